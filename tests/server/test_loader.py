"""Finding the application, and what is said when there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Callable

import pytest

from geuwsgi.errors import AppLoadError
from geuwsgi.server.loader import AppSettings, load_applications

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a file below a directory that is the working directory and first in sys.path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    yield file
    for name in set(sys.modules) - before:
        del sys.modules[name]


def load(**settings: Any) -> dict[str, Any]:
    """Mountpoint -> what its application returns when it is called."""
    return {mount.mountpoint: mount.application() for mount in load_applications(AppSettings(**settings))}


def test_a_file(write: Write) -> None:
    path = write("app.py", "def application(): return __name__, __file__")
    assert load(wsgi_file="app.py") == {"": ("uwsgi_file_app", str(path))}
    assert sys.modules["uwsgi_file_app"].__file__ == str(path)


def test_what_is_imported_before(write: Write) -> None:
    write("first.py", "import sys; sys.seen = ['first']")
    write("jobs/second.py", "import sys; sys.seen.append(__name__)")
    write("app.py", "import sys; sys.seen.append('app'); application = sys.seen.copy")
    assert load(wsgi_file="app.py", imports=("first", "jobs/second.py")) == {"": ["first", "jobs_second", "app"]}
    del sys.seen


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("missing", "there is no module named 'missing' in .*; --chdir and --pythonpath say where else"),
        ("missing.py", r"cannot read .*missing\.py: No such file or directory"),
        ("bad", "the module bad cannot be loaded: ValueError: no"),
        ("./bad.py", r"\./bad\.py cannot be loaded: ValueError: no"),
    ],
)
def test_what_cannot_be_imported_before(write: Write, target: str, message: str) -> None:
    write("bad.py", "raise ValueError('no')")
    write("app.py", "def application(): pass")
    with pytest.raises(AppLoadError, match=message):
        load(wsgi_file="app.py", imports=(target,))


def test_a_file_of_another_name_and_extension(write: Write) -> None:
    write("sub/site.wsgi", "def run(): return __name__")
    assert load(wsgi_file="sub/site.wsgi", callable="run") == {"": "uwsgi_file_sub_site_wsgi"}
    assert not list(Path().glob("**/__pycache__"))


def test_a_package_as_file(write: Write) -> None:
    write("pkg/__init__.py", "from .inner import application")
    write("pkg/inner.py", "def application(): return __name__")
    assert load(wsgi_file="pkg") == {"": "uwsgi_file_pkg.inner"}


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("mod", "application", "application"),
        ("mod", "other", "other"),
        ("mod:other", "application", "other"),
        ("mod:holder.method", "application", "method"),
        ("mod:factory()", "application", "made"),
        ("mod:holder.factory()", "application", "made"),
        ("mod", "factory()", "made"),
        ("pkg.mod", "application", "inner"),
    ],
)
def test_modules(write: Write, module: str, name: str, expected: str) -> None:
    write(
        "mod.py",
        "def application(): return 'application'\n"
        "def other(): return 'other'\n"
        "def factory(): return lambda: 'made'\n"
        "class holder:\n"
        "    def method(): return 'method'\n"
        "    def factory(): return lambda: 'made'\n",
    )
    write("pkg/__init__.py", "")
    write("pkg/mod.py", "def application(): return 'inner'")
    assert load(module=module, callable=name) == {"": expected}


def test_mounts_in_order_and_without_their_last_slash(write: Write) -> None:
    write("one.py", "def application(): return 1")
    write("two.py", "def app(): return 2")
    mounts = load_applications(AppSettings(mounts=(("/b/", "one.py"), ("/a", "two:app"), ("/", "one:application"))))
    assert [mount.mountpoint for mount in mounts] == ["/b", "/a", ""]
    assert [mount.application() for mount in mounts] == [1, 2, 1]


def test_the_first_keeps_a_mountpoint(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    write("one.py", "def application(): return 1")
    write("two.py", "raise RuntimeError('not even loaded')")
    assert load(module="one", wsgi_file="two.py") == {"": 1}
    assert "mountpoint / already has an application, two.py is not loaded" in capfd.readouterr().err


def test_the_line_that_tools_look_for(write: Write, capfd: pytest.CaptureFixture[str]) -> None:
    write("one.py", "def application(): return 1")
    load(wsgi_file="one.py", mounts=(("/x", "one.py"),))
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith("WSGI app 0 (mountpoint='') ready in 0 seconds on interpreter ")
    assert lines[0].endswith(" (default app)")
    assert lines[1].startswith("WSGI app 1 (mountpoint='/x') ready in 0 seconds on interpreter ")
    assert "default" not in lines[1]


def test_applications_of_the_fake_module(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uwsgi", ModuleType("uwsgi"))
    text = "import uwsgi\ndef a(): return 'a'\ndef b(): return 'b'\nuwsgi.applications = {'': a, '/b/': 'b'}"
    write("multi.py", text)
    assert load(module="multi") == {"": "a", "/b": "b"}
    assert load(wsgi_file="multi.py") == {"": "a", "/b": "b"}


def test_applications_of_the_module_itself(write: Write) -> None:
    write("multi.py", "def a(): return 'a'\napplications = {'/a': a, '/z': a}\ndef application(): return 'plain'")
    assert load(module="multi") == {"/a": "a", "/z": "a"}
    assert load(module="multi:application") == {"": "plain"}
    assert load(wsgi_file="multi.py") == {"": "plain"}


def test_nothing_asked_for() -> None:
    assert load_applications(AppSettings()) == []


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("x = 1", {"wsgi_file": "a.py"}, "no callable named 'application' in a.py; name the application: use --callable NAME"),
        ("def app(): pass", {"module": "a"}, "no callable named 'application' in module a; it has 'app': use --callable app"),
        ("def create_app(): pass", {"module": "a"}, "it has 'create_app': use --callable create_app()"),
        ("def app(): pass", {"module": "a:web"}, "no callable named 'web' in module a; it has 'app': write a:app"),
        ("", {"module": ":app"}, "':app' names no module; write it as pkg.mod, pkg.mod:name or pkg.mod:factory()"),
        ("x = 1", {"module": "a:x"}, "'x' in module a is a int, not a callable"),
        ("x = 1", {"module": "a:x.y"}, "no callable named 'x.y' in module a"),
        ("def f(): return None", {"module": "a:f()"}, "'f()' in module a is a NoneType, not a callable"),
        ("", {"wsgi_file": "missing.py"}, "/missing.py: No such file or directory"),
        ("", {"module": "nowhere"}, "there is no module named 'nowhere' in /"),
        ("", {"module": "nowhere.inner:app"}, "there is no module named 'nowhere' in /"),
        ("applications = {}", {"module": "a"}, "the dictionary of applications of a is empty"),
        ("applications = {1: print}", {"module": "a"}, "the mountpoint 1 in the dictionary of applications of a is not a str"),
        ("applications = {'': 1}", {"module": "a"}, "a int found for a is not a callable"),
        ("applications = {'': 'gone'}", {"module": "a"}, "a str found for a is not a callable"),
    ],
)
def test_no_application(write: Write, text: str, settings: dict[str, Any], message: str) -> None:
    write("a.py", text)
    with pytest.raises(AppLoadError) as caught:
        load_applications(AppSettings(**settings))
    assert message in str(caught.value)
    assert caught.value.traceback_text == ""


@pytest.mark.parametrize("settings", [{"wsgi_file": "a.py"}, {"module": "a"}, {"mounts": (("/x", "a.py"),)}])
def test_an_import_that_fails_shows_the_traceback_of_the_application_alone(write: Write, settings: dict[str, Any]) -> None:
    path = write("a.py", "import b")
    inner = write("b.py", "def f():\n    return 1 / 0\nf()\n")
    with pytest.raises(AppLoadError) as caught:
        load_applications(AppSettings(**settings))
    assert "cannot be loaded: ZeroDivisionError: division by zero" in str(caught.value)
    lines = caught.value.traceback_text.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'  File "{path}", line 1, in <module>'
    assert f'  File "{inner}", line 2, in f' in lines
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert "geuwsgi" not in caught.value.traceback_text
    assert "uwsgi_file_a" not in sys.modules


def test_a_missing_module_inside_the_application_shows_who_wanted_it(write: Write) -> None:
    path = write("a.py", "import not_installed")
    with pytest.raises(AppLoadError) as caught:
        load_applications(AppSettings(module="a"))
    assert str(caught.value) == "the module a cannot be loaded: ModuleNotFoundError: No module named 'not_installed'"
    assert f'File "{path}", line 1' in caught.value.traceback_text


def test_a_syntax_error_is_shown_with_its_line(write: Write) -> None:
    path = write("a.py", "def f(:\n")
    with pytest.raises(AppLoadError) as caught:
        load_applications(AppSettings(wsgi_file="a.py"))
    assert "SyntaxError" in str(caught.value)
    assert f'File "{path}", line 1' in caught.value.traceback_text


def test_a_factory_that_fails(write: Write) -> None:
    write("a.py", "def f():\n    raise KeyError('x')\n")
    with pytest.raises(AppLoadError, match=r"f\(\) of module a cannot be loaded: KeyError: 'x'") as caught:
        load_applications(AppSettings(module="a:f()"))
    assert "in f" in caught.value.traceback_text


def test_sys_exit_at_import(write: Write) -> None:
    write("a.py", "import sys; sys.exit(3)")
    with pytest.raises(AppLoadError, match=r"a\.py called sys\.exit\(3\) while it was loaded"):
        load_applications(AppSettings(wsgi_file="a.py"))


def test_ctrl_c_while_loading_is_not_the_applications_fault(write: Write) -> None:
    write("a.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_applications(AppSettings(wsgi_file="a.py"))
