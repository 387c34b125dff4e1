"""Source archive, wheel and installation, with a compiler and without, in environments of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import urllib.request
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

import pytest

from geuwsgi import __version__, accel
from tests.harness.programs import ROOT, missing
from tests.harness.wait import wait_until

pytestmark = pytest.mark.packaging

#: What setup.py and pip need of the environment that the tests run in, so that nothing has to be downloaded.
OFFLINE = ("--quiet", "--disable-pip-version-check", "--no-build-isolation", "--no-deps", "--no-index")

APP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello from a wheel"]
"""


def run(*command: object, cwd: Path, env: Optional[Mapping[str, str]] = None) -> subprocess.CompletedProcess[str]:
    """Run a program without this checkout on its path."""
    cleared = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "GEUWSGI_PURE", "PYTHONHOME")}
    return subprocess.run(
        [str(word) for word in command], cwd=cwd, env={**cleared, **(env or {})}, capture_output=True, text=True, timeout=300, check=False
    )


def succeed(*command: object, cwd: Path, env: Optional[Mapping[str, str]] = None) -> str:
    done = run(*command, cwd=cwd, env=env)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Environment:
    """An environment without geuwsgi.

    Args:
        borrow: see the packages of the environment that the tests run in (gevent, httptools, Cython), but not geuwsgi.
    """

    def __init__(self, folder: Path, borrow: bool) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.python = self.bin / "python"
        venv.create(folder, with_pip=True, symlinks=True)
        if borrow:
            # A path file inside a path that a path file names is not followed: an editable geuwsgi there stays out of sight.
            packages = Path(succeed(self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
            # Before Python 3.12 a new environment brings an old setuptools, which would come first.
            succeed(self.python, "-m", "pip", "uninstall", "-q", "-y", "setuptools", cwd=folder)
            (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n" + sysconfig.get_path("platlib") + "\n")
        assert run(self.python, "-c", "import geuwsgi", cwd=folder).returncode == 1

    def install(self, *arguments: object, env: Optional[Mapping[str, str]] = None) -> None:
        succeed(self.python, "-m", "pip", "install", *arguments, cwd=self.folder, env=env)

    def variant(self) -> str:
        """ "compiled" or "pure"."""
        said = succeed(self.bin / "geuwsgi", "--version", cwd=self.folder)
        assert said.startswith(f"geuwsgi {__version__} ")
        return said.partition("(")[2].partition(")")[0]

    def serve(self) -> str:
        """Start the installed command, ask it once, stop it; what it answered."""
        (self.folder / "app.py").write_text(APP)
        ready = self.folder / "ready"
        command = [self.bin / "geuwsgi", "--http-socket", "127.0.0.1:0", "--wsgi-file", "app.py", "--ready-file", ready]
        env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "GEUWSGI_PURE")}
        with open(self.folder / "log", "wb") as log:
            server = subprocess.Popen([str(word) for word in command], cwd=self.folder, env=env, stdout=log, stderr=log)
        try:
            wait_until(lambda: (ready.exists() and ready.read_text().endswith("\n")) or server.poll() is not None, 20, "the ready file")
            assert server.poll() is None, (self.folder / "log").read_text()
            with urllib.request.urlopen(f"http://{ready.read_text().strip()}/", timeout=10) as response:
                body: str = response.read().decode()
        finally:
            server.terminate()
            server.wait(10)
        return body


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, with things in it that must not get into a package."""
    folder = tmp_path_factory.mktemp("source") / "geuwsgi"
    unwanted = shutil.ignore_patterns(
        ".git", ".cache", "build", "artifacts", "*.so", "__pycache__", "*.egg-info", ".*_cache", ".hypothesis"
    )
    shutil.copytree(ROOT, folder, ignore=unwanted)
    (folder / "geuwsgi" / "protocol" / "_frames.cpython-30-x86_64-linux-gnu.so").write_bytes(b"of another time")
    return folder


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, from the hook that `python -m build` calls."""
    out = tmp_path_factory.mktemp("sdist")
    succeed(sys.executable, "-c", f"from setuptools import build_meta; build_meta.build_sdist({str(out)!r})", cwd=source)
    [archive] = out.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel made from the source archive."""
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        missing("a C compiler")
    out = tmp_path_factory.mktemp("wheel")
    succeed(sys.executable, "-m", "pip", "wheel", *OFFLINE, "-w", out, sdist, cwd=out)
    [archive] = out.iterdir()
    return archive


def test_source_archive(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {path.relative_to(ROOT).as_posix() for kind in ("py", "pyx", "pxd", "typed") for path in (ROOT / "geuwsgi").rglob(f"*.{kind}")}
    assert wanted - names == set()
    assert {"README.rst", "CHANGES.rst", "LICENSE", "setup.py", "setup.cfg", "pyproject.toml", "docs/differences.rst"} <= names
    assert {"tests/conftest.py", "tests/apps/blocking_echo.py", "scripts/test", "bombertab_demo/chat.ini"} <= names
    assert [name for name in names if name.endswith((".so", ".pyc", ".c"))] == []


def test_wheel(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    for module in accel.TWINS:
        folder, _, name = module.rpartition(".")
        assert f"geuwsgi/{folder}/_{name}{suffix}" in names
    assert "geuwsgi/py.typed" in names
    assert {name.partition("/")[0] for name in names} == {"geuwsgi", f"geuwsgi-{__version__}.dist-info"}
    assert [name for name in names if name.endswith((".pyc", ".c")) or "cpython-30" in name] == []


def test_an_installed_wheel_serves(wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env", borrow=True)
    environment.install(*OFFLINE, wheel)
    assert environment.variant() == "compiled"
    assert environment.serve() == "hello from a wheel"
    assert succeed(environment.python, "-m", "pip", "check", cwd=tmp_path)


def test_without_a_compiler(sdist: Path, tmp_path: Path) -> None:
    """As a person would install it: into an empty environment, with what pip fetches, on a machine without gcc."""
    environment = Environment(tmp_path / "env", borrow=False)
    env = {"PATH": str(environment.bin), "CC": "/bin/false", "CXX": "/bin/false"}
    started = time.monotonic()
    done = run(environment.python, "-m", "pip", "install", "--disable-pip-version-check", sdist, cwd=tmp_path, env=env)
    if done.returncode and any(words in done.stderr for words in ("No matching distribution", "Failed to establish", "ConnectionError")):
        missing(f"the index from which pip fetches gevent ({time.monotonic() - started:.0f} s)")
    assert done.returncode == 0, done.stderr
    assert environment.variant() == "pure"
    assert environment.serve() == "hello from a wheel"


def test_without_cython(sdist: Path, tmp_path: Path) -> None:
    """An environment that has no Cython and no index either still installs."""
    succeed("tar", "xf", sdist, cwd=tmp_path)
    [folder] = (path for path in tmp_path.iterdir() if path.is_dir())
    blocked = "import sys; sys.modules['Cython'] = None; from setuptools import build_meta; print(build_meta.build_wheel('.'))"
    name = succeed(sys.executable, "-c", blocked, cwd=folder).splitlines()[-1]
    assert name == f"geuwsgi-{__version__}-py3-none-any.whl"


def test_editable(source: Path, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(source, checkout)
    environment = Environment(tmp_path / "env", borrow=True)
    environment.install(*OFFLINE, "-e", checkout, env={"GEUWSGI_PURE": "1"})
    assert environment.variant() == "pure"
    assert environment.serve() == "hello from a wheel"
    init = checkout / "geuwsgi" / "__init__.py"
    init.write_text(init.read_text().replace(__version__, "9.9.9"))
    assert succeed(environment.bin / "geuwsgi", "--version", cwd=tmp_path).startswith("geuwsgi 9.9.9 ")
