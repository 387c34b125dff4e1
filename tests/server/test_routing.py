"""Which application answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from geuwsgi.server.loader import Mount
from geuwsgi.server.routing import application_for, warn_about_mounts
from geuwsgi.server.settings import StaticSettings
from geuwsgi.server.static import StaticFiles


def app(name: str) -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [f"{name} {environ['SCRIPT_NAME']!r} {environ['PATH_INFO']!r}".encode()]

    return application


def ask(application: Any, path: str, script: str = "") -> tuple[str, str]:
    """Status and body."""
    environ: dict[str, Any] = {"PATH_INFO": path, "SCRIPT_NAME": script}
    setup_testing_defaults(environ)
    seen: list[str] = []
    body = application(environ, lambda status, headers, exc_info=None: seen.append(status))
    text = b"".join(body).decode()
    if hasattr(body, "close"):
        body.close()
    return seen[0], text


def test_one_application_alone_is_not_wrapped() -> None:
    alone = app("alone")
    assert application_for([Mount("", alone)], None, True) is alone
    assert application_for([Mount("/x", alone)], None, False) is alone


MOUNTS = [Mount("/x", app("x")), Mount("/x/y", app("y")), Mount("/z", app("z"))]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        # As measured on uWSGI 2.0.31, where the default is the first one loaded, whatever its mountpoint.
        ("/", "x '' '/'"),
        ("/x", "x '/x' ''"),
        ("/x/", "x '/x' '/'"),
        ("/x/foo", "x '/x' '/foo'"),
        ("/xfoo", "x '' '/xfoo'"),
        ("/x/y", "y '/x/y' ''"),
        ("/x/y/1", "y '/x/y' '/1'"),
        ("/x/yes", "x '/x' '/yes'"),
        ("/z/1", "z '/z' '/1'"),
        ("", "x '' ''"),
    ],
)
def test_managed_script_name(path: str, expected: str) -> None:
    assert ask(application_for(MOUNTS, None, True), path) == ("200 OK", expected)


def test_the_root_application_is_the_default_wherever_it_stands() -> None:
    router = application_for([*MOUNTS, Mount("", app("root"))], None, True)
    assert ask(router, "/")[1] == "root '' '/'"
    assert ask(router, "/other")[1] == "root '' '/other'"
    assert ask(router, "/z")[1] == "z '/z' ''"


def test_unmanaged_goes_by_the_script_name_of_the_front_server() -> None:
    router = application_for(MOUNTS, None, False)
    assert ask(router, "/z/1")[1] == "x '' '/z/1'"
    assert ask(router, "/1", script="/z")[1] == "z '/z' '/1'"
    assert ask(router, "/1", script="/unknown")[1] == "x '/unknown' '/1'"


def test_static_files_come_first_and_see_the_path_below_the_mountpoint(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("from the file")
    static = StaticFiles(StaticSettings(maps=(("/s", str(tmp_path)),)))
    router = application_for(MOUNTS, static, True)
    assert ask(router, "/s/a.txt") == ("200 OK", "from the file")
    assert ask(router, "/z/s/a.txt") == ("200 OK", "from the file")
    assert ask(router, "/s/b.txt")[1] == "x '' '/s/b.txt'"


def test_files_without_an_application(tmp_path: Path) -> None:
    router = application_for([], StaticFiles(StaticSettings(check=(str(tmp_path),))), False)
    assert ask(router, "/nothing") == ("404 Not Found", "Not Found")


def test_unreachable_mounts_are_told(capfd: pytest.CaptureFixture[str]) -> None:
    warn_about_mounts(MOUNTS, True)
    warn_about_mounts([Mount("", app("root"))], False)
    assert capfd.readouterr().err == ""
    warn_about_mounts(MOUNTS, False)
    assert "without --manage-script-name" in capfd.readouterr().err
