"""Compiles the load generator and the C echo, when their sources are newer than what is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / ".cache" / "benchmarks"


class NoCompiler(Exception):
    """Nothing to compile with."""


def build(name: str) -> str:
    """Returns the path of the program made from benchmarks/<name>.c.

    Raises:
        NoCompiler: neither $CC, cc nor gcc is there.
        subprocess.CalledProcessError: the compiler refused; its words went to standard error.
    """
    target = BUILD / name
    sources = [HERE / f"{name}.c", *HERE.glob("*.h")]
    if target.exists() and target.stat().st_mtime > max(source.stat().st_mtime for source in sources):
        return str(target)
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise NoCompiler("a C compiler is needed for the load generator: install gcc or set CC")
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run([compiler, "-O2", "-o", str(target), str(sources[0])], check=True)
    return str(target)
