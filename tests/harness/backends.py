"""Real uWSGI servers of several languages that speak the uwsgi protocol, to stand behind a front."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .ports import accepts, free_ports
from .process import Program, ProgramDied
from .programs import APPS, ROOT, find_program, find_uwsgi, missing
from .wait import wait_until

PLUGINS = Path("/usr/lib/uwsgi/plugins")
COROAE_SOURCE = Path("/usr/src/uwsgi/plugins/coroae")


@dataclass(frozen=True)
class Language:
    """How a backend is started.

    Attributes:
        modifier1: by which its requests are known.
        plugins: of Debian's uWSGI, which is taken then.
        options: further ones.
        says: how its answer begins.
    """

    modifier1: int
    says: str
    options: tuple[str, ...]
    plugins: tuple[str, ...] = ()


LANGUAGES = {
    "python": Language(0, "python", ("--gevent", "100", "--wsgi-file", str(APPS / "router_backend.py"))),
    "ruby-fibers": Language(7, "ruby", ("--async", "100", "--fiber", "--rack", str(APPS / "router.ru")), plugins=("rack_ruby31", "fiber")),
    "ruby-threads": Language(
        7, "ruby", ("--threads", "8", "--rbthreads", "--rack", str(APPS / "router.ru")), plugins=("rack_ruby31", "rbthreads")
    ),
    "perl-coroae": Language(5, "perl", ("--coroae", "100", "--psgi", str(APPS / "router.psgi")), plugins=("psgi", "coroae")),
}


class Backend(Program):
    """One of them, on 127.0.0.1.

    Attributes:
        address: where it speaks the uwsgi protocol.
    """

    def __init__(self, folder: Path, name: str, port: int = 0) -> None:
        language = LANGUAGES[name]
        for attempt in range(5):
            self.port = port or free_ports(1)[0]
            self.address = f"127.0.0.1:{self.port}"
            argv = [*_program(language.plugins), "--master", "--socket", self.address, "--buffer-size", "32768", *language.options]
            super().__init__(argv, folder / f"{name}.log", folder)
            try:
                wait_until(self._is_ready, 15, f"the {name} backend")
                return
            except ProgramDied:
                if attempt == 4 or port:
                    raise

    def _is_ready(self) -> bool:
        self.check_alive()
        return "spawned uWSGI worker" in self.log and accepts(self.port)


def _program(plugins: Sequence[str]) -> list[str]:
    if not plugins:
        return [find_uwsgi(), "--home", sys.prefix]
    argv = [find_program("uwsgi-core")]
    for plugin in plugins:
        path = PLUGINS / f"{plugin}_plugin.so"
        if plugin == "coroae":
            path = _coroae()
        if not path.exists():
            missing(f"Debian's uWSGI plugin {plugin}")
        argv += ["--plugin", str(path)]
    return argv


def _coroae() -> Path:
    """Coro::AnyEvent's plugin, which Debian has as a source only; built once, in a second."""
    built = ROOT / ".cache" / "uwsgi-plugins" / "coroae_plugin.so"
    if not built.exists():
        if not COROAE_SOURCE.exists():
            missing("uwsgi-src, for uWSGI's plugin coroae")
        for module in ("Coro", "AnyEvent"):
            if subprocess.run(["perl", f"-M{module}", "-e", "1"], capture_output=True, check=False).returncode:
                missing(f"Perl's {module}")
        built.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [find_program("uwsgi-core"), "--build-plugin", str(COROAE_SOURCE)], cwd=folder, capture_output=True, text=True, check=False
            )
            found = Path(folder) / "coroae_plugin.so"
            if not found.exists():
                missing(f"a compiler and headers for uWSGI's plugin coroae ({(done.stderr or done.stdout)[-300:]})")
            own = built.with_suffix(f".{os.getpid()}")
            own.write_bytes(found.read_bytes())
            own.replace(built)  # in one step: other workers of the test run may build it at the same time
    return built
