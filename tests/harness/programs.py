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
    """The path of a program, looked for beside the interpreter first; a missing one ends the test."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        missing(name)
    return found
