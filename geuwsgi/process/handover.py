"""A reload: the process executes itself anew and keeps its id, its listening sockets, and the children that serve meanwhile.

The new image reads its configuration again, imports the application again, and finds in the environment what it has taken over. The old
workers go on until the new ones serve. When the application cannot be loaded they go on altogether.

Source: uWSGI's master executes itself too, after its workers have ended; connections wait until the new ones are there.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Callable, Optional

from . import originals

#: `if-reload` of configuration files looks for it, too.
_VARIABLE = "GEUWSGI_HANDOVER"


@dataclass
class Socket:
    """A listening socket.

    Attributes:
        fd: its descriptor.
        asked: the address as the configuration had it; "" for one that systemd handed over unasked.
        worker: whose it is with `--reuse-port`, else 1.
        path: the file that goes with it.
        number: as in `Listener`.
    """

    fd: int
    asked: str
    worker: int = 1
    path: str = ""
    number: int = -1


@dataclass
class OldWorker:
    """A worker; see `crew.WorkerProcess`."""

    id: int
    pid: int
    line: int
    ready: bool
    told: float
    started: float
    deadline: Optional[float]


@dataclass
class OldDaemon:
    """An attached daemon; see `daemons.Daemon`."""

    text: str
    pid: int
    pipe: int
    started: float


@dataclass
class Handover:
    """What one image of the process leaves to the next.

    Attributes:
        reloads: how often this process has been reloaded.
        sockets: its listening sockets.
        workers: those that serve.
        daemons: those that run.
        meeting: the directory where the workers' channels meet, "" for none.
        pems: the descriptor of what stood in the files of certificates, -1 without.
        signals: the descriptors of the signal framework, its table first; empty without.
        crons: (command, process id, start) of commands of `--cron` that run.
    """

    reloads: int = 0
    sockets: list[Socket] = field(default_factory=list)
    workers: list[OldWorker] = field(default_factory=list)
    daemons: list[OldDaemon] = field(default_factory=list)
    meeting: str = ""
    pems: int = -1
    signals: list[int] = field(default_factory=list)
    crons: list[tuple[str, int, float]] = field(default_factory=list)

    def descriptors(self) -> list[int]:
        """All that have to survive the execution."""
        return [
            *(socket.fd for socket in self.sockets),
            *(worker.line for worker in self.workers if worker.line >= 0),
            *(daemon.pipe for daemon in self.daemons),
            *([self.pems] if self.pems >= 0 else []),
            *self.signals,
        ]


@contextmanager
def in_directory(path: str) -> Iterator[None]:
    """Be in another directory for a while.

    Raises:
        OSError: it is not there.
    """
    # Not by its name: a new version of an application is often put in the place of the old one, whose directory has no name then.
    before = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))
    try:
        os.chdir(path)
        yield
    finally:
        os.fchdir(before)
        originals.close(before)


class Launch:
    """How this process was started. Made before anything of it changes."""

    def __init__(self) -> None:
        self.directory = os.getcwd()
        self.environ = dict(os.environ)
        for name in (_VARIABLE, "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
            self.environ.pop(name, None)
        self.arguments = sys.argv[1:]
        given: list[str] = getattr(sys, "orig_argv", [])  # since Python 3.10
        self.argv = [sys.executable, *(given[1:] or ["-m", "geuwsgi", *self.arguments])]

    def again(self, handover: Handover, wanted: Callable[[], bool] = lambda: True) -> None:
        """Execute the same command once more. Returns only when that fails.

        Args:
            handover: what it takes over.
            wanted: asked at the last moment, when no signal can arrive any more; False lets everything be.

        Raises:
            OSError: why it failed; nothing has changed.
        """
        fds = handover.descriptors()
        environ = {**self.environ, _VARIABLE: json.dumps(asdict(handover))}
        sys.stdout.flush()
        # Signals wait until the new image knows what to do with them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, originals.DANGEROUS)
        try:
            for fd in fds:
                os.set_inheritable(fd, True)
            with in_directory(self.directory):
                if wanted():
                    os.execve(self.argv[0], self.argv, environ)
        finally:
            for fd in fds:
                os.set_inheritable(fd, False)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def take(environ: MutableMapping[str, str]) -> Optional[Handover]:
    """What the image before this one has left; None after a fresh start."""
    text = environ.pop(_VARIABLE, None)
    if text is None:
        return None
    values = json.loads(text)
    handover = Handover(
        reloads=values["reloads"],
        sockets=[Socket(**socket) for socket in values["sockets"]],
        workers=[OldWorker(**worker) for worker in values["workers"]],
        daemons=[OldDaemon(**daemon) for daemon in values["daemons"]],
        meeting=values["meeting"],
        pems=values["pems"],
        signals=values["signals"],
        crons=[(command, pid, started) for command, pid, started in values["crons"]],
    )
    for fd in handover.descriptors():
        os.set_inheritable(fd, False)
    return handover
