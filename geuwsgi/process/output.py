"""What the application prints goes to the log at once, and a log that cannot be written is no reason for it to fail."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any


class _Output(io.FileIO):
    """Standard output or error. What cannot be written, on a full disk or into a pipe that nobody reads, is dropped and counted."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, "w", closefd=False)
        self._lost = 0
        self._reason = ""

    def write(self, data: Any, /) -> int:
        try:
            if self._lost:
                self._write(f"{self._lost} writes to this log were lost: {self._reason}\n".encode())
                self._lost = 0
            return self._write(data)
        except OSError as error:
            self._lost += 1
            self._reason = os.strerror(error.errno or 0)
            return memoryview(data).nbytes

    def _write(self, data: Any) -> int:
        written: Any = super().write(data)
        if written is None:  # somebody has made the pipe non-blocking, and it is full
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return int(written)


def open_output(fd: int, encoding: str) -> io.TextIOWrapper:
    """A stream for `print` on an open descriptor, which stays open: line by line, and never an error."""
    return io.TextIOWrapper(io.BufferedWriter(_Output(fd)), encoding, "backslashreplace", line_buffering=True)


def replace_output() -> None:
    """Make `print` of the application show up when it happens, in a file or a pipe too.

    Source: uWSGI replaces Python's block-buffered standard streams for the same reason (`init_uwsgi_vars`).
    """
    for name, fd in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        try:
            if stream.fileno() != fd:
                continue
            encoding = stream.encoding
            stream.flush()
        except (AttributeError, OSError, ValueError):
            continue  # replaced by something that is no text file, or closed
        setattr(sys, name, open_output(fd, encoding))
