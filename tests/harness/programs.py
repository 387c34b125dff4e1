"""Programs that tests need beside Python, and what happens where one is missing."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ROOT / "tests" / "apps"


def missing(what: str) -> NoReturn:
    """Skip the test because `what` is not there; with CI=true that is a failure."""
    reason = f"missing: {what} (scripts/test installs it where it may)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def find_program(name: str) -> str:
    """The path of a system program; a missing one ends the test."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    if found is None:
        missing(name)
    return found


def find_uwsgi() -> str:
    """The real uWSGI that pip compiled for this environment; never the system's, which embeds another Python."""
    path = Path(sys.prefix) / "bin" / "uwsgi"
    if not path.exists():
        missing("the real uWSGI in this environment")
    return str(path)


def find_debian_uwsgi() -> str:
    """Debian's uWSGI with its Python, greenlet and asyncio plugins, which pip's lacks."""
    for plugin in ("python3", "greenlet_python3", "asyncio_python3"):
        if not Path(f"/usr/lib/uwsgi/plugins/{plugin}_plugin.so").exists():
            missing(f"Debian's uWSGI plugin {plugin}")
    return find_program("uwsgi-core")
