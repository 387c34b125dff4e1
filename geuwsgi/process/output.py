"""What the application prints goes to the log at once, and a log that cannot be written is no reason for it to fail."""

from __future__ import annotations

import io
import sys
from typing import Any

from ..log import Writer


class _Output(io.FileIO):
    """Standard output or error."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, "w", closefd=False)
        self._writer = Writer(fd)

    def write(self, data: Any, /) -> int:
        self._writer.write(data)
        return memoryview(data).nbytes


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
