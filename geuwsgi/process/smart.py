"""Daemons that outlive the server (`--smart-attach-daemon`): known by a pidfile, started when the process in it is not there."""

from __future__ import annotations

import os
import time
from typing import Optional

from ..log import log
from . import originals
from .daemonspec import DaemonSpec

#: The shell in between ends at once, so that the command is nobody's child and has no terminal.
_BACKGROUND = 'exec </dev/null; /bin/sh -c "$1" & exit 0'


class SmartDaemon:
    """One of them.

    Args:
        spec: with a pidfile.

    Attributes:
        due: when the pidfile is looked at again, in `time.monotonic()`.
    """

    def __init__(self, spec: DaemonSpec) -> None:
        self.spec = spec
        self.due = 0.0
        self._found = 0

    def look(self) -> None:
        """See whether it runs, and start it if not.

        Raises:
            OSError: it cannot be started.
        """
        self.due = time.monotonic() + self.spec.freq
        pid = self.pid()
        if pid is None:
            self._spawn()
        elif pid != self._found:
            self._found = pid
            log(f'[uwsgi-daemons] found valid/active pidfile for "{self.spec.command}" (pid: {pid})')

    def pid(self) -> Optional[int]:
        """The process in the pidfile; None when there is none or it does not live."""
        try:
            with open(self.spec.pidfile, encoding="ascii", errors="replace") as file:
                pid = int(file.read())
        except (OSError, ValueError):
            return None
        # 0 and less would be the server's own process group, or everybody.
        return pid if pid > 0 and _lives(pid) and not _is_zombie(pid) else None

    def signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        pid = self.pid()
        if pid is not None:
            try:
                os.kill(pid, number)
            except OSError as error:
                log(f'[uwsgi-daemons] "{self.spec.command}" (pid: {pid}): {error.strerror}')

    def _spawn(self) -> None:
        log(f'[uwsgi-daemons] {"re" if self._found else ""}spawning "{self.spec.command}" (uid: {os.getuid()} gid: {os.getgid()})')
        self._found = 0
        argv = ["/bin/sh", "-c", self.spec.command]
        if self.spec.daemonize:
            argv = ["/bin/sh", "-c", _BACKGROUND, "sh", self.spec.command]
        originals.start_program(argv, before=self.spec.enter)


def _lives(pid: int) -> bool:
    try:
        return originals.exists(pid)
    except OverflowError:
        return False


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[:1] == [b"Z"]
    except OSError:
        return False
