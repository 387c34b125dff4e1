"""Checked values, `uwsgi.opt`, and what is said about the rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import pytest

from geuwsgi.config.config import Config, load
from geuwsgi.config.options import OPTIONS, Option
from geuwsgi.errors import ConfigError
from tests.harness.programs import find_uwsgi
from tests.harness.wait import wait_until


def config(*arguments: str, environ: Optional[Mapping[str, str]] = None) -> Config:
    return load(arguments, environ or {})


def from_ini(tmp_path: Path, text: str, *arguments: str, environ: Optional[Mapping[str, str]] = None) -> Config:
    (tmp_path / "x.ini").write_text("[uwsgi]\n" + text)
    previous = os.getcwd()
    os.chdir(tmp_path)
    try:
        return config("--ini", "x.ini", *arguments, environ=environ)
    finally:
        os.chdir(previous)


def test_defaults() -> None:
    empty = config()
    assert empty.opt == {}
    assert empty.warnings == []
    assert empty.get("http") == []
    assert empty.get("gevent") is None
    assert empty.get("master") is False
    assert empty.get("callable") == "application"
    assert empty.get("listen") == 1024
    assert empty.get("buffer-size") == 32768
    assert empty.get("http-keepalive") == 75.0
    assert empty.get("websockets-max-size") == 1024
    assert (empty.get("websockets-ping-freq"), empty.get("websockets-pong-tolerance")) == (30.0, 3.0)
    assert empty.get("module") is None
    assert empty.source("module") is None
    assert not empty.given("module")


def test_typed_values() -> None:
    asked = config("--gevent", "100", "--websocket-ping-freq", "0.5", "-M", "--http", ":80", "--http=:81", "-w", "a:b", "-H", "venv", "-C")
    assert asked.get("gevent") == 100
    assert asked.get("websockets-ping-freq") == 0.5
    assert asked.get("master") is True
    assert asked.get("http") == [":80", ":81"]
    assert asked.get("module") == asked.get("wsgi") == "a:b"
    assert asked.get("virtualenv") == asked.get("home") == "venv"
    assert asked.get("chmod-socket") == "666"


def test_the_last_value_counts(tmp_path: Path) -> None:
    asked = from_ini(tmp_path, "gevent = 1\ngevent = 2\nworkers = 1\nprocesses = 1\nvenv = a\nhome = b\n")
    assert asked.get("gevent") == 2
    assert asked.get("virtualenv") == "b"
    assert asked.source("gevent") == "x.ini:3"


def test_sources(tmp_path: Path) -> None:
    asked = from_ini(tmp_path, "env = A=1\nenv = B=2\n", "--env", "C=3", environ={"UWSGI_CALLABLE": "app"})
    assert asked.get("env") == ["A=1", "B=2", "C=3"]
    assert [asked.source("env", index) for index in range(3)] == ["x.ini:2", "x.ini:3", "command line"]
    assert asked.source("env") == "command line"
    assert asked.source("callable") == "environment"
    assert asked.get("callable") == "app"


@pytest.mark.parametrize("text", ["true", "1", "on", "yes", "", "True", "ON", "true ; comment", "1 # comment"])
def test_true(text: str, tmp_path: Path) -> None:
    asked = from_ini(tmp_path, f"vacuum = {text}\n")
    assert asked.get("vacuum") is True
    assert asked.warnings == []


@pytest.mark.parametrize("text", ["false", "0", "off", "no", "False", "NO", "false ; comment"])
def test_false(text: str, tmp_path: Path) -> None:
    assert from_ini(tmp_path, f"vacuum = {text}\n").get("vacuum") is False


def test_a_strange_flag_is_true_and_said(tmp_path: Path) -> None:
    asked = from_ini(tmp_path, "vacuum = maybe\n")
    assert asked.get("vacuum") is True
    assert asked.warnings == ["x.ini:2: vacuum = maybe is taken as true, as uWSGI does; write true or false"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 75.0), ("1", 75.0), ("true", 75.0), ("5", 5.0), ("0", 0.0), ("2.5", 2.5)],
)
def test_keepalive(text: str, expected: float, tmp_path: Path) -> None:
    assert from_ini(tmp_path, f"http-keepalive = {text}\n").get("http-keepalive") == expected


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("gevent = abc", "x.ini:2: gevent = abc: N must be a whole number"),
        ("gevent = 1.5", "x.ini:2: gevent = 1.5: N must be a whole number"),
        ("gevent =", "x.ini:2: gevent: N must be a whole number"),
        ("gevent = 0", "x.ini:2: gevent = 0: must be at least 1"),
        ("gevent = 1_0", "x.ini:2: gevent = 1_0: N must be a whole number"),
        ("gevent = ٣", "x.ini:2: gevent = ٣: N must be a whole number"),
        ("gevent = " + "9" * 5000, "x.ini:2: gevent = " + "9" * 1000 + "...: N must be a whole number"),
        ("listen = -1", "x.ini:2: listen = -1: must be at least 1"),
        ("listen = 2147483648", "x.ini:2: listen = 2147483648: must be at most 2147483647"),
        ("processes = 99999999999999999999", "x.ini:2: processes = 99999999999999999999: must be at most 10000"),
        ("locks = 2147483648", "x.ini:2: locks = 2147483648: must be at most 1000000"),
        ("signal-bufsize = 2147483648", "x.ini:2: signal-bufsize = 2147483648: must be at most 2147483647"),
        ("websockets-ping-freq = -0.1", "x.ini:2: websockets-ping-freq = -0.1: must be at least 0"),
        ("websocket-ping-freq = nan", "x.ini:2: websocket-ping-freq = nan: SECONDS must be a number"),
        ("http-timeout = inf", "x.ini:2: http-timeout = inf: SECONDS must be a number"),
        ("http-keepalive = soon", "x.ini:2: http-keepalive = soon: SECONDS must be a number"),
        ("module =", "x.ini:2: module: needs an argument: MODULE[:NAME]"),
        ("chmod-socket = 999", "x.ini:2: chmod-socket = 999: permissions are three octal digits"),
        ("chmod-socket = 66", "x.ini:2: chmod-socket = 66: permissions are three octal digits"),
        ("pp = %(pp)", "x.ini:2: pp = %(pp): %(pp) refers to itself"),
        ("pp = @(nowhere)", "x.ini:2: pp = @(nowhere): @(nowhere) cannot be read: No such file or directory"),
    ],
)
def test_bad_values(line: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        from_ini(tmp_path, line + "\n")
    assert str(caught.value).startswith(complaint)
    assert caught.value.source == "x.ini:2"


def test_references_look_ahead(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("from a file\n")
    asked = from_ini(
        tmp_path,
        "chdir = %(base)/$(SUB)\nbase = $(ROOT)/x\ngevent = %(processes * 50 + 1)\nprocesses = 1\n"
        "my-word = @(word)\nunset = $(NOPE)%(nope)\n",
        environ={"ROOT": "/srv", "SUB": "s"},
    )
    assert asked.get("chdir") == "/srv/x/s"
    assert asked.get("gevent") == 51
    assert asked.opt["my-word"] == b"from a file"
    assert asked.opt["unset"] == b"$(NOPE)%(nope)"


def test_opt(tmp_path: Path) -> None:
    asked = from_ini(
        tmp_path, "bare\nmaster = true\nrep = 1\nrep = 2\nmy-key = caf\u00e9\nwsgi = m\n", "-Lp1", "--set", "a=b=c", "--need-app=no"
    )
    assert asked.opt == {
        "ini": b"x.ini",
        "bare": b"",
        "master": b"true",
        "rep": b"2",
        "my-key": "caf\u00e9".encode(),
        "wsgi": b"m",
        "disable-logging": True,
        "processes": b"1",
        "set": b"a=b=c",
        "a": b"b=c",
        "need-app": b"no",
    }


def test_bytes_survive(tmp_path: Path) -> None:
    (tmp_path / "x.ini").write_bytes(b"[uwsgi]\nkey = \xff\n")
    assert config(str(tmp_path / "x.ini")).opt["key"] == b"\xff"


def test_comment_behind_a_text(tmp_path: Path) -> None:
    asked = from_ini(tmp_path, "chdir = /srv ; here\nattach-daemon = a; b\ngevent = 5 ; five\nenv = A=1 ; 2\n")
    assert asked.get("chdir") == "/srv ; here"
    assert asked.get("gevent") == 5
    assert asked.warnings == ["x.ini:2: chdir: comments stand on lines of their own, so '/srv ; here' is taken whole, as uWSGI does"]


@pytest.mark.parametrize(
    "option", [option for option in OPTIONS if "COMMAND" in option.metavar or "ACTION" in option.metavar], ids=lambda option: option.name
)
def test_no_comment_in_a_command(tmp_path: Path, option: Option) -> None:
    assert from_ini(tmp_path, f"{option.name} = cd / ; true # here\n").warnings == []


def test_what_has_no_effect_is_said(tmp_path: Path) -> None:
    asked = from_ini(tmp_path, "enable-threads = true\nplugins = python3\nhttp-websockets = true\nhttp-websockets = 0\n")
    assert asked.warnings == [
        "x.ini:5: http-websockets = 0 has no effect: every HTTP address carries websockets",
        "enable-threads (x.ini:2) has no effect: Python threads work in any case; for an application in real threads give --threads N",
        "plugins (x.ini:3) has no effect: what geuwsgi can do is built in, it loads no plugins",
    ]


def test_what_is_ignored_is_said_once(tmp_path: Path) -> None:
    asked = from_ini(tmp_path, "log-5xx = true\nqueue = 1\nqueue = 2\nmy-own = 1\n", "--logformat", "30")
    assert asked.warnings == [
        "known to uWSGI, not implemented by geuwsgi, ignored: log-5xx (x.ini:2), queue (x.ini:3), queue (x.ini:4), logformat (command line)"
    ]
    assert asked.opt["logformat"] == b"30"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("gevnt = 5\n", "x.ini:2: gevnt = 5: there is no such option (strict), did you mean --gevent?"),
        ("set = my-own=1\n", "x.ini:2: my-own = 1: there is no such option (strict)"),
        ("queue = 30\n", "x.ini:2: queue = 30: geuwsgi does not implement this option of uWSGI yet (strict)"),
    ],
)
def test_strict(text: str, complaint: str, tmp_path: Path) -> None:
    from_ini(tmp_path, text)
    for strict in ([text + "strict = true\n"], [text, "--strict"]):
        with pytest.raises(ConfigError) as caught:
            from_ini(tmp_path, *strict)
        assert str(caught.value).startswith(complaint)


def test_strict_lets_placeholders_and_conditions_pass(tmp_path: Path) -> None:
    text = "strict\nset-placeholder = base=/srv\nchdir = %(base)\nif-exists = /\nenable-threads\nendif\n"
    assert from_ini(tmp_path, text).get("chdir") == "/srv"


def test_a_game_as_it_is(tmp_path: Path) -> None:
    text = (
        "http-socket = :8080\nmodule = game.server\ngevent = 100\noffload-threads = 1\nvirtualenv = %dvenv\ncheck-static = %dstatic\n"
        "static-index = index.html\nattach-daemon = redis-server --port 6380\nmaster = true\ngevent-monkey-patch = true\n"
    )
    asked = from_ini(tmp_path, text)
    assert asked.get("http-socket") == [":8080"]
    assert asked.get("attach-daemon") == ["redis-server --port 6380"]
    assert asked.get("check-static") == [f"{tmp_path.resolve()}/static"]
    assert asked.warnings == ["offload-threads (x.ini:5) has no effect: the kernel sends files: a client that takes its time holds no core"]


PROBE = """
import json, os, uwsgi
opt = {key: value if value is True else value.decode("latin-1") for key, value in uwsgi.opt.items()}
with open(os.environ["PROBE"] + ".part", "w") as file:
    json.dump(opt, file)
os.rename(os.environ["PROBE"] + ".part", os.environ["PROBE"])
"""

FILE = """
[uwsgi]
; comment
bare
master = false
text = 4 ; kept
eq = a=b=c
n = %n %s %e %c %x
N = %N %S %X
d = %d %p
pct = 100%% %%n a%Qb %[x
rep = 1
rep = 2
ph = %(rep) %(nosuch) %() %(later)
later = $(HOME)|$(NOSUCH)
math = %(%k * 2 + 1) %(rep 5 - 1) %(7 / 2) %(10 -- 2) %(x + 1) %(1/0) %(1 / 0)
word = @(word.txt)
ex = @(exec://echo hi)
key%(rep) = yes
hash = %j
if-env = HOME
home-is = %(_)
endif =
if-not-env = HOME
homeless = 1
endif =
for = 1 2 3
turn = t%(_)
endfor =
set = g=%(later)
set-placeholder = ph2=%(later)
h = x%(ph2)
ini = :more
[more]
section = %x %X %n %N
"""


@pytest.mark.differential
@pytest.mark.parametrize(
    "arguments",
    [
        ["--ini", "site.ini"],
        ["--ini", "site.ini:more"],
        ["-M", "-p1", "--env", "A=1", "--env=B=2", "-S", "foo=bar", "-b", "8192", "--http-keepa", "--master", "-C644"],
        ["-LTi", "--set", "x=%n $(HOME)", "--set", "y=%(x)", "--ini", "site.ini", "--need-app=true", "--pp", "$(HOME)"],
        ["--processes", "1", "--workers", "1"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_opt_is_what_the_real_uwsgi_makes_of_it(arguments: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    (tmp_path / "site.ini").write_text(FILE.lstrip())
    (tmp_path / "word.txt").write_text("a word\n\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UWSGI_FROM_ENVIRONMENT", "1")
    monkeypatch.setenv("PROBE", "probe.json")
    words = ["--wsgi-file", "probe.py", "--http-socket", "127.0.0.1:0", *arguments]
    ours = load(words, os.environ).opt
    assert {key: value if value is True else value.decode("latin-1") for key, value in ours.items()} == _theirs(words, tmp_path)


def _theirs(words: Sequence[str], tmp_path: Path) -> Any:
    """What the real uWSGI's `uwsgi.opt` is."""
    result = tmp_path / "probe.json"
    with open(tmp_path / "uwsgi.log", "wb") as log:
        process = subprocess.Popen([find_uwsgi(), *words, "--die-on-term"], stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until(lambda: result.exists() or process.poll() is not None, 20, "the probe's result")
        theirs = json.loads(result.read_text())
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    assert theirs.pop("die-on-term") is True
    return theirs
