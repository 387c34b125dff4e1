"""The internal routing and static files from the configuration on: order, mistakes, what needs the worker."""

from __future__ import annotations

import http.client
import re
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from geuwsgi.config.config import load
from geuwsgi.errors import ConfigError
from geuwsgi.process.rules import route_settings, static_settings
from geuwsgi.server.routes.actions import ACTIONS
from geuwsgi.server.routes.compiling import compile_routes
from geuwsgi.server.routes.conditions import CONDITIONS
from geuwsgi.server.settings import Expiry
from geuwsgi.server.static import StaticFiles
from tests.harness.programs import find_program
from tests.harness.servers import Server

Start = Callable[..., Server]
APP = str(Path(__file__).parents[1] / "differential" / "routes_app.py")


def fetch(server: Server, target: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_rules_keep_the_order_of_the_configuration(tmp_path: Path) -> None:
    ini = tmp_path / "x.ini"
    ini.write_text("[uwsgi]\nroute-run = log:2\nroute = ^/ log:3 ; no comment\nresponse-route-label = l\nadd-header = A: b\n")
    found = route_settings(load(["--route-host", "^h log:1", "--ini", str(ini), "--route-if", "empty: log:4"], {}))
    # What a file says stands behind the options of the command line before it.
    assert [(rule.option, rule.value) for rule in found.rules] == [
        ("route-host", "^h log:1"),
        ("route-run", "log:2"),
        ("route", "^/ log:3 ; no comment"),
        ("response-route-label", "l"),
        ("route-if", "empty: log:4"),
    ]
    assert found.rules[1].source == f"{ini}:2"
    assert [(rule.option, rule.value) for rule in found.add] == [("add-header", "A: b")]


def test_static_options() -> None:
    found = static_settings(
        load(
            [
                *("--static-check", "/a", "--static-map2", "/b=/c", "--static-skip-ext", ".php", "--static-safe", "/d"),
                *("--static-expires-type", "text/css=60", "--static-expires", r"\.png$ 3600", "--static-expires-uri-mtime", "^/x -5"),
                *("--static-gzip-prefix", "/e", "--static-gzip-suffix", ".js", "--static-gzip", "x", "--fileserve-mode", "Nginx"),
                *("--static-cache-paths", "10", "--mime-file", "/m", "--check-static-docroot"),
            ],
            {},
        )
    )
    assert (found.check, found.maps2, found.skip, found.safe) == (("/a",), (("/b", "/c"),), (".php",), ("/d",))
    assert found.expires == (
        Expiry("file", re.compile(r"\.png$", re.ASCII), 3600),
        Expiry("uri", re.compile("^/x", re.ASCII), -5, True),
        Expiry("type", re.compile(re.escape("text/css"), re.ASCII), 60),
    )
    assert (found.gzip_prefixes, found.gzip_suffixes, found.gzip_patterns) == (("/e",), (".js",), (re.compile("x", re.ASCII),))
    assert (found.redirect_header, found.cache_seconds, found.mime_files) == ("X-Accel-Redirect", 10, ("/m",))
    assert found.any
    assert not static_settings(load(["--static-gzip-all"], {})).any


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--static-expires", "x"), "write it as REGEXP SECONDS"),
        (("--static-expires", "x y"), "write it as REGEXP SECONDS"),
        (("--static-expires", "( 5"), "no regular expression"),
        (("--static-expires-type", "text/css 5"), "write it as TYPE=SECONDS"),
        (("--static-gzip", "("), "no regular expression"),
        (("--file-serve-mode", "fast"), "x-accel-redirect"),
        (("--static-map2", "x=y"), "/prefix=directory"),
    ],
)
def test_mistakes_in_static_options(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        static_settings(load(arguments, {}))
    assert str(caught.value).startswith(f"command line: {arguments[0]}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("route = ^/x nonsense:y", "there is no action nonsense"),
        ("route = ^/( log:y", "no regular expression"),
        ("final-route-if = nonsense:x log:y", "there is no condition nonsense"),
        ("route-run = cache:key=x", "which geuwsgi does not have"),
    ],
)
def test_a_mistake_stops_the_start(
    line: str, message: str, run_geuwsgi: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "x.ini").write_text(f"[uwsgi]\nhttp-socket = 127.0.0.1:0\nwsgi-file = {APP}\n{line}\n")
    ended = run_geuwsgi("--ini", str(tmp_path / "x.ini"))
    assert ended.returncode == 1
    assert f"x.ini:4: {line}: " in ended.stderr
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_workers_of_a_master(server: Start, tmp_path: Path) -> None:
    """Rules are compiled once, before the fork, and know which worker they run in."""
    (tmp_path / "a.txt").write_text("a file")
    running = server(
        APP,
        *("--master", "--processes", "2", "--route", "^/x addheader:X-Worker: ${uwsgi[wid]}"),
        *("--collect-header", "X-Sendfile XS", "--response-route-if-not", "empty:${XS} static:${XS}"),
    )
    assert {fetch(running, "/x")[1]["x-worker"] for _ in range(40)} <= {"1", "2"}
    assert fetch(running, f"/xs?{tmp_path}/a.txt")[2] == b"a file"


def test_harakiri(server: Start, tmp_path: Path) -> None:
    app = tmp_path / "slow.py"
    app.write_text("import time\ndef application(e, s):\n    time.sleep(20)\n    s('200 OK', [])\n    return [b'late']\n")
    running = server(str(app), "--route", "^/slow harakiri:1", expect_log=["Harakiri|harakiri|HARAKIRI"])
    assert fetch(running, "/slow")[0] == 500


def test_rules_alone_need_no_application(server: Start, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a file")
    running = server(None, "--route", f"^/a static:{tmp_path}/a.txt", "--route", "^/b redirect:/a")
    assert fetch(running, "/a")[2] == b"a file"
    assert fetch(running, "/b")[0] == 302
    assert fetch(running, "/c")[0] == 404


def test_applications_by_name(server: Start, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(
            f"def application(e, s):\n    s('200 OK', [])\n    return [('{name} ' + e['SCRIPT_NAME'] + ' ' + e['PATH_INFO']).encode()]\n"
        )
    running = server(
        None,
        *("--mount", f"/one={tmp_path}/one.py", "--mount", f"/two={tmp_path}/two.py"),
        *("--route", "^/app uwsgi:,0,0,/two", "--route", "^/set setapp:/two", "--route", "^/script setscriptname:/two"),
        expect_log=[],
    )
    assert fetch(running, "/app")[2] == b"two  /app"
    assert fetch(running, "/set")[2] == b"two  /set"
    assert fetch(running, "/script")[2] == b"two /two /script"
    assert fetch(running, "/other")[2] == b"one  /other"


def documented() -> list[str]:
    """The configurations in the document about routing."""
    text = (Path(__file__).parents[2] / "docs" / "routing.rst").read_text()
    blocks = re.findall(r"^\.\. code-block:: ini\n\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    assert len(blocks) > 4
    return [textwrap.dedent(block) for block in blocks]


@pytest.mark.parametrize("text", documented())
def test_the_documents_examples(text: str, tmp_path: Path) -> None:
    ini = tmp_path / "x.ini"
    ini.write_text(text if text.startswith("[") else "[uwsgi]\n" + text)
    config = load(["--ini", str(ini), "--strict"], {})
    assert not config.warnings
    assert compile_routes(route_settings(config), StaticFiles(static_settings(config)))


def test_every_action_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "routing.rst").read_text()
    names = {name.replace("-next", "") for name in (*ACTIONS, *CONDITIONS)}
    assert not [name for name in names if not re.search(rf"``{re.escape(name)}[:`]", text)]


def test_over_http2(server: Start) -> None:
    pytest.importorskip("h2")
    running = server(
        APP,
        *("--route", "^/red redirect:/x", "--route", "^/say send:text,", "--route", "^/hang disconnect:"),
        *("--response-route", "^/say addheader:X-Status: ${uwsgi[status]}", "--error-route-status", "404 return:410"),
    )

    def curl(path: str) -> subprocess.CompletedProcess[str]:
        command = [find_program("curl"), "-sSi", "-m", "10", "--http2-prior-knowledge", running.url + path]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    found = curl("/red").stdout
    assert "HTTP/2 302" in found
    assert "location: /x" in found
    said = curl("/say").stdout
    assert "x-status: 200" in said
    assert "\n\ntext,PATH_INFO=/say\n" in said
    assert "HTTP/2 410" in curl("/missing").stdout
    assert curl("/hang").returncode != 0
