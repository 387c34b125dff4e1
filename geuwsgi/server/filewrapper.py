"""`wsgi.file_wrapper`: a file as a response body, sent by the kernel where that is possible."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from typing import Any, Optional


class FileWrapper:
    """What an application returns to have a file sent (PEP 3333, "Optional Platform-Specific File Handling").

    Iterating it reads blocks, for middleware that looks into bodies; returned as it is, a regular file goes out by sendfile
    from its current position, as many bytes as Content-Length says, or else to its end.

    Args:
        file: an object with `read`.
        block_size: bytes read at once when it is iterated.
    """

    __slots__ = ("block_size", "file")

    def __init__(self, file: Any, block_size: int = 8192) -> None:
        self.file = file
        self.block_size = block_size

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data = self.file.read(self.block_size)
        if not data:
            raise StopIteration
        return data  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the file, if it can be closed."""
        close = getattr(self.file, "close", None)
        if close is not None:
            close()

    def region(self) -> Optional[tuple[int, int, int]]:
        """Descriptor, offset and byte count when this is a regular file whose bytes are what `read` returns; else None."""
        file = self.file
        if isinstance(file, io.BufferedIOBase) and not isinstance(file, (io.BufferedReader, io.BufferedRandom)):
            return None  # gzip, bz2 and lzma files own up to the descriptor of the compressed file
        try:
            fd = file.fileno()
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                return None
            offset = file.tell()
        except (AttributeError, OSError, ValueError):
            return None
        return fd, offset, max(0, status.st_size - offset)
