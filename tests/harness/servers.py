"""The servers under test: geuwsgi, and the real uWSGI as the oracle. Both are started alike and found on a port of the kernel's choice."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Optional

from .logs import absent_lines, unexpected_lines
from .process import Program, ProgramDied
from .programs import APPS, ROOT, find_debian_uwsgi, find_uwsgi
from .wait import wait_until


class Server(Program):
    """A server on 127.0.0.1.

    Attributes:
        addresses: where it listens: "127.0.0.1:40123", "[::1]:40123" or a path, in the order asked for.
        address: the first of them.
    """

    addresses: list[str]

    @property
    def address(self) -> str:
        return self.addresses[0]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def ws_url(self) -> str:
        return f"ws://{self.address}"

    def finish(self) -> None:
        """Stop it and look at what it left."""
        raise NotImplementedError


def _app_arguments(app: Optional[str]) -> list[str]:
    return [] if app is None else ["--wsgi-file", str(APPS / app)]


class Geuwsgi(Server):
    """`python -m geuwsgi`, ready to serve. GEUWSGI_INTERPRETER names the interpreter that runs it (see scripts/pypy).

    Args:
        app: an application in tests/apps, or None when the arguments name one.
        arguments: options; without one that binds, `--http-socket 127.0.0.1:0` is added.
        expect_log: regular expressions of troubles that the log must hold; any other trouble fails the test.
        expect_status: the exit status after SIGINT.
        lasting: descriptors that the application may keep after its clients have left.
    """

    def __init__(
        self,
        folder: Path,
        app: Optional[str] = None,
        *arguments: str,
        expect_log: Iterable[str] = (),
        expect_status: int = 0,
        lasting: int = 0,
        cwd: Optional[Path] = None,
        env: Optional[Mapping[str, str]] = None,
        ready: float = 60.0,
    ) -> None:
        self.expect_log = list(expect_log)
        self.expect_status = expect_status
        self.lasting = lasting
        ready_file = folder / "ready"
        bind = [] if any(is_binding(argument) for argument in arguments) else ["--http-socket", "127.0.0.1:0"]
        interpreter = os.environ.get("GEUWSGI_INTERPRETER") or sys.executable
        argv = [interpreter, "-m", "geuwsgi", *bind, *_app_arguments(app), *arguments, "--ready-file", str(ready_file)]
        super().__init__(argv, folder / "server.log", cwd or folder, server_environment(env))
        try:
            wait_until(lambda: self._is_ready(ready_file), ready, "the ready file")
        except ProgramDied:
            self.kill()
            raise
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}\n{self.log}") from None
        self.addresses = ready_file.read_text().split()
        self.start_descriptors = self.descriptors()

    def _is_ready(self, ready_file: Path) -> bool:
        self.check_alive()
        return ready_file.exists() and ready_file.read_text().endswith("\n")

    def extra_descriptors(self) -> str:
        """What is open beyond what was open at the start, "" when nothing but the allowance."""
        extra = self.descriptors() - self.start_descriptors
        return "" if sum(extra.values()) <= self.lasting else f"{dict(extra)}"

    def finish(self) -> None:
        """Stop it as Ctrl-C does, and assert that it went well and left nothing.

        A test that has stopped it already keeps the checks of the log and of the processes.
        """
        try:
            if self.process.poll() is None:
                wait_until(lambda: not self.extra_descriptors(), 20, "descriptors of clients that left: " + self.extra_descriptors())
            status, _ = self.interrupt()
            # What it has killed is gone as soon as it gets the processor for that.
            wait_until(lambda: not self.relatives(), 20, f"the end of processes left behind: {self.relatives()}")
            log = self.log
            assert status == self.expect_status, f"exit status {status}:\n{log}"
            trouble = unexpected_lines(log, self.expect_log)
            assert not trouble, "unexpected in the log:\n" + "\n".join(trouble) + "\n--- the whole log:\n" + log
            absent = absent_lines(log, self.expect_log)
            assert not absent, f"expected in the log, but absent: {absent}\n{log}"
        finally:
            self.kill()


class UWSGI(Server):
    """The real uWSGI, started like Geuwsgi. It is the oracle, so nothing is asserted of how it ends.

    Args:
        debian: take Debian's, with the greenlet engine that `uwsgi.suspend()` wants: pip's has only uGreen, with which the
            second request dead-locks on the interpreter's lock. Applications see Debian's Python packages there.
    """

    def __init__(
        self,
        folder: Path,
        app: Optional[str] = None,
        *arguments: str,
        debian: bool = False,
        cwd: Optional[Path] = None,
        env: Optional[Mapping[str, str]] = None,
        ready: float = 60.0,
    ) -> None:
        bind = [] if any(is_binding(argument) for argument in arguments) else ["--http-socket", "127.0.0.1:0"]
        if debian:
            argv = [find_debian_uwsgi(), "--plugin", "python3,greenlet_python3"]
        else:
            # The interpreter is embedded: it finds the environment's packages only when told where they are.
            argv = [find_uwsgi(), "--home", sys.prefix]
        argv += [*bind, *_app_arguments(app), *arguments]
        super().__init__(argv, folder / "uwsgi.log", cwd or folder, server_environment(env))
        try:
            self.addresses = wait_until(self._bound, ready, "uWSGI's sockets and workers")
        except AssertionError:
            self.kill()
            raise

    def _bound(self) -> list[str]:
        self.check_alive()
        log = self.log
        if "spawned uWSGI" not in log:
            return []
        return re.findall(r"bound to TCP address (\S+)", log) + re.findall(r"uWSGI http bound on (\S+)", log)

    def finish(self) -> None:
        self.kill()


_BINDING = {"--http", "--http-socket", "--https", "--https2", "--https-socket", "--socket", "--uwsgi-socket", "-s", "--ini"}


def is_binding(argument: str) -> bool:
    """Whether an option opens a listening socket."""
    return argument.partition("=")[0] in {
        "--http",
        "--http-socket",
        "--socket",
        "-s",
        "--uwsgi-socket",
        "--https",
        "--https2",
        "--https-socket",
        "--https-dev",
        "--ini",
    }


def server_environment(env: Optional[Mapping[str, str]] = None) -> dict[str, str]:
    """The environment of a server: this source tree first, and descriptors left open are told in the log."""
    return {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default::ResourceWarning", "PYTHONUNBUFFERED": "1", **(env or {})}
