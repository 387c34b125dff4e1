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


def certificate(folder: Path) -> tuple[str, str]:
    """A certificate for localhost and its key, made by the program `openssl`.

    Raises:
        OSError, subprocess.CalledProcessError: it is not there, or refuses.
    """
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    if not os.path.exists(cert):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", cert]
        subprocess.run(command, check=True, capture_output=True)
    return cert, key


def build(name: str, tls: bool = False) -> str:
    """Returns the path of the program made from benchmarks/<name>.c.

    Args:
        name: its name.
        tls: with TLS, which wants OpenSSL's headers (libssl-dev).

    Raises:
        NoCompiler: neither $CC, cc nor gcc is there.
        subprocess.CalledProcessError: the compiler refused; its words went to standard error.
    """
    target = BUILD / (f"{name}-tls" if tls else name)
    sources = [HERE / f"{name}.c", *HERE.glob("*.h")]
    if target.exists() and target.stat().st_mtime > max(source.stat().st_mtime for source in sources):
        return str(target)
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise NoCompiler("a C compiler is needed for the load generator: install gcc or set CC")
    BUILD.mkdir(parents=True, exist_ok=True)
    options = ["-DWITH_TLS", "-lssl", "-lcrypto"] if tls else []
    subprocess.run([compiler, "-O2", "-o", str(target), str(sources[0]), *options], check=True)
    return str(target)
