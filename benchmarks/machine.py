"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Iterable
from importlib import metadata
from typing import Any

from servers import Server


def processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"


def geuwsgi_version(python: str) -> str:
    """`geuwsgi --version` of the interpreter that has it; it tells compiled from pure."""
    try:
        run = subprocess.run(
            [python, "-m", "geuwsgi", "--version"], cwd=tempfile.gettempdir(), capture_output=True, text=True, timeout=30, check=False
        )
    except OSError as error:
        return f"{python}: {error.strerror}"
    return (run.stdout.strip() or run.stderr.strip() or "unknown").splitlines()[-1]


def describe(servers: Iterable[Server], python: str) -> dict[str, Any]:
    """Processor, kernel, versions of everything that is compared."""
    packages = sorted({package for server in servers for package in server.packages if package != "geuwsgi"})
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "geuwsgi": geuwsgi_version(python),
        "versions": {package: version(package) for package in packages},
    }
