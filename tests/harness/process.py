"""A program started for a test, its log in a file, and nothing of it left afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

import psutil

from .wait import wait_until

#: Stands in the environment of every process of a program, also of those that daemonized.
_MARK = "GEUWSGI_TEST_MARK"


class ProgramDied(AssertionError):
    """The program ended before it was ready."""


class Program:
    """A running program.

    Attributes:
        log_path: the file that takes its standard output and error.
        pid: of the process started (the master, where there is one).
    """

    def __init__(self, argv: Sequence[str], log_path: Path, cwd: Optional[Path] = None, env: Optional[Mapping[str, str]] = None) -> None:
        self.argv = list(argv)
        self.log_path = log_path
        self._mark = uuid.uuid4().hex
        with open(log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=cwd,
                env={**os.environ, **(env or {}), _MARK: self._mark},
            )
        self.pid = self.process.pid

    @property
    def log(self) -> str:
        """All that it has logged so far."""
        return self.log_path.read_text("utf-8", "replace")

    def wait_log(self, text: str, deadline: float = 20.0) -> str:
        """Wait until the log holds `text`; the whole log."""
        wait_until(lambda: text in self.log, deadline, f"{text!r} in the log of {self.argv[0]}")
        return self.log

    def check_alive(self) -> None:
        """Raise ProgramDied, with the log, when it has ended."""
        status = self.process.poll()
        if status is not None:
            raise ProgramDied(f"{' '.join(self.argv)}\nended with {status}:\n{self.log}")

    def descriptors(self) -> Counter[str]:
        """Its open descriptors by kind ("socket", "pipe", "anon_inode:[eventpoll]", or a path), with how many of each."""
        kinds: Counter[str] = Counter()
        folder = Path(f"/proc/{self.pid}/fd")
        for entry in folder.iterdir():
            try:
                target = os.readlink(entry)
            except FileNotFoundError:
                continue
            kinds[target.split(":", 1)[0] if target.startswith(("socket:", "pipe:")) else target] += 1
        return kinds

    def relatives(self) -> list[psutil.Process]:
        """Every living process that descends from it, daemons included."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and process.environ().get(_MARK) == self._mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def uss(self) -> int:
        """Its unique memory, in bytes."""
        return int(psutil.Process(self.pid).memory_full_info().uss)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, deadline: float = 20.0) -> int:
        """Wait for its end; the exit status (negative: the signal)."""
        return self.process.wait(deadline)

    def kill(self) -> None:
        """End it and all that it started, whatever their state. Nobody of them holds a port any more when this returns."""
        # By descent too: Redis and the workers of nginx write their titles over the environment that holds the mark.
        children = []
        if self.process.poll() is None:
            children = psutil.Process(self.pid).children(recursive=True)
            self.process.kill()
        everybody = {*children, *self.relatives()}
        for process in everybody:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait(20)
        wait_until(lambda: not any(map(_lives, everybody)), 20, "the end of all that was killed")

    def interrupt(self, deadline: float = 20.0) -> tuple[int, float]:
        """Send SIGINT, as Ctrl-C does; the exit status and the seconds that it took."""
        start = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(deadline), time.monotonic() - start
        except subprocess.TimeoutExpired:
            log = self.log
            self.kill()
            raise AssertionError(f"not gone {deadline:g} s after SIGINT:\n{log}") from None


def _lives(process: psutil.Process) -> bool:
    """Whether it has not ended, reaped or not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
