"""A pipe whose reader stands still."""

from __future__ import annotations

import os
from contextlib import suppress

#: What it is full of.
FILLING = b"\x1a"


class FullPipe:
    """A pipe into which nothing more fits, until some of it is read.

    Attributes:
        end: the descriptor to write to; it blocks, as a pipe does.
    """

    def __init__(self) -> None:
        self._read, self.end = os.pipe()
        os.set_blocking(self.end, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.end, FILLING * 4096)
        os.set_blocking(self.end, True)

    def __enter__(self) -> FullPipe:
        return self

    def __exit__(self, *failure: object) -> None:
        if self.end >= 0:
            os.close(self.end)
            os.close(self._read)

    def make_room(self, size: int) -> None:
        """Read so many bytes."""
        os.read(self._read, size)

    def rest(self) -> bytes:
        """What was written behind the filling. Nobody can write any more."""
        os.close(self.end)
        self.end = -1
        with open(self._read, "rb") as file:
            return file.read().lstrip(FILLING)
