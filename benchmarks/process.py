"""One server process tree: started on its cores, asked for its CPU and memory, ended with all its children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import psutil

START_TIMEOUT = 20.0
STOP_TIMEOUT = 5.0
LOG_LIMIT = 64 * 1024  # bytes of a server's output that are looked at


class StartError(Exception):
    """The server did not come up; the message says what it printed last."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A running server.

    Args:
        command: what to run.
        cores: the cores it and its children may use.
        env: added to the environment.
        port: the port that it was told to listen on.
        ready_file: a file that it writes its address to; it counts instead of `port`.

    Raises:
        StartError: it ended, or did not listen in time.
    """

    def __init__(
        self, command: Sequence[str], cores: Sequence[int], env: dict[str, str], port: int, ready_file: Optional[Path] = None
    ) -> None:
        self.port = port
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        try:
            # a session of its own, so that the end reaches children that a server forgets
            self._popen = subprocess.Popen(
                list(command),
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=tempfile.gettempdir(),  # not the project: what is installed is measured, not the tree
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )
        except OSError as error:
            self._log.close()
            raise StartError(f"{command[0]}: {error.strerror}") from error
        try:
            self._wait(ready_file)
        except BaseException:
            self.stop()
            raise

    def _wait(self, ready_file: Optional[Path]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._popen.poll() is not None:
                raise StartError(f"ended with status {self._popen.returncode}: {self.last_words()}")
            if ready_file is not None:
                address = ready_file.read_text().split() if ready_file.exists() else []
                if address:
                    self.port = int(address[0].rpartition(":")[2])
                    return
            else:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                        return
            time.sleep(0.02)
        raise StartError(f"did not listen within {START_TIMEOUT:.0f} s: {self.last_words()}")

    def last_words(self) -> str:
        """The last line that looks like an answer to "why"."""
        # by position: seeking would move where the server, which shares the descriptor's offset, writes next
        text = os.pread(self._log.fileno(), LOG_LIMIT, max(0, os.fstat(self._log.fileno()).st_size - LOG_LIMIT))
        lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
        told = [line for line in lines if "rror" in line]
        return (told or lines or ["it printed nothing"])[-1][:200]

    def alive(self) -> bool:
        return self._popen.poll() is None

    def _tree(self) -> list[psutil.Process]:
        try:
            parent = psutil.Process(self._popen.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def cpu(self) -> float:
        """Seconds of CPU that the tree has used, in the kernel's steps of 10 ms."""
        spent = 0.0
        for process in self._tree():
            try:
                times = process.cpu_times()
                spent += times.user + times.system
            except psutil.NoSuchProcess:
                pass
        return spent

    def memory(self) -> int:
        """Bytes that would be free if the tree ended (USS)."""
        total = 0
        for process in self._tree():
            try:
                total += process.memory_full_info().uss
            except psutil.NoSuchProcess:
                pass
        return total

    def stop(self) -> None:
        """Ask, wait, insist. Nothing of the session is left afterwards."""
        for number, patience in ((signal.SIGTERM, STOP_TIMEOUT), (signal.SIGKILL, STOP_TIMEOUT)):
            try:
                os.killpg(self._popen.pid, number)
            except ProcessLookupError:
                pass
            try:
                self._popen.wait(patience)
            except subprocess.TimeoutExpired:
                continue
        try:
            os.killpg(self._popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._log.close()
