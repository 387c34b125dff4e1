"""Virtual environments, through a real server; the units below them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest
import requests

from geuwsgi.errors import ConfigError
from geuwsgi.process import environment
from tests.harness.servers import Geuwsgi

StartServer = Callable[..., Geuwsgi]

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"

APP = """
import sys, json, os, only_here, through_pth, requests
def application(environ, start_response):
    start_response("200 OK", [])
    values = [only_here.VALUE, through_pth.VALUE, requests.VALUE, sys.prefix, os.environ.get("STARTED")]
    return [json.dumps(values).encode()]
"""


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A real environment with a module, a .pth file and a package that this one has too."""
    home = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    packages = home / "lib" / f"python{VERSION}" / "site-packages"
    (packages / "only_here.py").write_text("VALUE = 'from the environment'")
    (packages / "requests.py").write_text("VALUE = 'the one of the environment'")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "through_pth.py").write_text("VALUE = 'through a .pth file'")
    (packages / "extra.pth").write_text(f"{tmp_path / 'elsewhere'}\nimport os; os.environ['STARTED'] = 'yes'\n")
    return home


@pytest.mark.parametrize("relative", [False, True])
def test_a_virtual_environment(server: StartServer, venv: Path, relative: bool) -> None:
    (venv.parent / "app.py").write_text(APP)
    # Relative to --chdir, as in uWSGI.
    home = "venv" if relative else str(venv)
    running = server(None, "--virtualenv", home, "--chdir", str(venv.parent), "--wsgi-file", "app.py")
    assert requests.get(running.url, timeout=10).json() == [
        "from the environment",
        "through a .pth file",
        "the one of the environment",
        str(venv),
        "yes",
    ]


def test_our_own_environment_is_no_trouble(server: StartServer) -> None:
    running = server("hello_flask.py", "--virtualenv", sys.prefix)
    assert requests.get(running.url, timeout=10).status_code == 200


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """sys.path and sys.prefix to change at will."""
    value = ["/first", "/lib/python3.99", "/ours/site-packages"]
    monkeypatch.setattr(sys, "path", value)
    monkeypatch.setattr(sys, "prefix", "/ours")
    monkeypatch.setattr(sys, "exec_prefix", "/ours")
    return value


def make(home: Path, cfg: str = "", *folders: str) -> str:
    home.mkdir(exist_ok=True)
    if cfg:
        (home / "pyvenv.cfg").write_text(cfg)
    for folder in folders:
        (home / folder).mkdir(parents=True)
    return str(home)


def test_its_packages_come_before_ours_and_after_the_standard_library(path: list[str], tmp_path: Path) -> None:
    home = make(tmp_path / "v", f"home = /usr/bin\nversion = {VERSION}.1\n", f"lib/python{VERSION}/site-packages")
    environment.activate_virtualenv(home)
    assert path == ["/first", "/lib/python3.99", f"{home}/lib/python{VERSION}/site-packages", "/ours/site-packages"]
    assert sys.prefix == sys.exec_prefix == home


def test_a_python_home_without_pyvenv_cfg(path: list[str], tmp_path: Path) -> None:
    home = make(tmp_path / "v", "", f"lib/python{VERSION}/site-packages", "lib/python3/dist-packages", "lib/python3.4")
    environment.activate_virtualenv(home)
    assert path[2:4] == [f"{home}/lib/python{VERSION}/site-packages", f"{home}/lib/python3/dist-packages"]


def test_system_packages_where_the_environment_wants_them(path: list[str], tmp_path: Path) -> None:
    system = make(tmp_path / "system", "", "bin", f"lib/python{VERSION}/site-packages")
    cfg = f"home = {system}/bin\ninclude-system-site-packages = true\nversion_info = {VERSION}.1.final.0\n"
    home = make(tmp_path / "v", cfg, f"lib/python{VERSION}/site-packages")
    environment.activate_virtualenv(home)
    assert path[2:4] == [f"{home}/lib/python{VERSION}/site-packages", f"{system}/lib/python{VERSION}/site-packages"]


@pytest.mark.parametrize(
    ("cfg", "folders", "message"),
    [
        ("version = 3.4.1\n", (), f"is for Python 3.4, and geuwsgi runs on {VERSION}; install geuwsgi with Python 3.4"),
        ("home = /usr/bin\n", ("lib/python3.4",), "is for Python 3.4"),
        ("", ("lib",), "no virtual environment"),
    ],
)
def test_environments_that_do_not_fit(path: list[str], tmp_path: Path, cfg: str, folders: tuple[str, ...], message: str) -> None:
    home = make(tmp_path / "v", cfg, *folders)
    before = list(path)
    with pytest.raises(ConfigError, match=message) as caught:
        environment.activate_virtualenv(home, "app.ini:3")
    assert str(caught.value).startswith(f"app.ini:3: virtualenv = {home}: ")
    assert path == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["START", "/lib"], ["CWD", "/lib"]),  # python -m geuwsgi
        (["", "/lib"], ["CWD", "/lib"]),
        (["/usr/bin", "START", "/lib"], ["CWD", "/usr/bin", "START", "/lib"]),  # the script, and PYTHONPATH
    ],
)
def test_the_working_directory_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: list[str], after: list[str]) -> None:
    names: dict[str, Any] = {"START": "/started/here", "CWD": str(tmp_path)}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [names.get(entry, entry) for entry in before])
    environment.set_python_path([], "/started/here")
    assert sys.path == [names.get(entry, entry) for entry in after]


def test_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GT_GONE", "1")
    monkeypatch.setenv("GT_SET", "old")
    environment.set_variables(["GT_SET=new=er", "GT_EMPTY=", "GT_GONE", "GT_NEVER"])
    assert os.environ["GT_SET"] == "new=er"
    assert os.environ["GT_EMPTY"] == ""
    assert "GT_GONE" not in os.environ
    monkeypatch.delenv("GT_EMPTY")
