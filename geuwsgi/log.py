"""The server's log: whole lines to standard error, in one write each.

`--logto` points descriptors 1 and 2 at a file before anything is served, so nothing here knows about files.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from typing import Union

#: What a terminal of UTF-8 may take for a command (ECMA-48 section 5.3): it comes out of the paths of requests, whose bytes are characters.
_COMMANDS = {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)}

#: Seconds that a pipe or a terminal which takes nothing is waited for, before what it is given is dropped.
PATIENCE = 1.0

#: As it was before gevent patched it: a line may be written where no greenlet can wait.
_poll = select.poll

#: Linux writes into a pipe without waiting, whatever the other writers do meanwhile. Elsewhere one looks first, and may be unlucky.
_AT_ONCE = getattr(os, "RWF_NOWAIT", 0)

#: Attempts of one write for which others were always faster.
_MOST_VAIN = 1000


class Writer:
    """Writes to a descriptor that somebody reads, or does not. What cannot be written is dropped and counted.

    A full disk, a pipe whose reader is gone, and one whose reader stands still: none of them is a reason to fail, nor to stand still for
    longer than `PATIENCE`, and that once.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lost = 0
        self._reason = ""
        self._cut = b""
        self._at_once = bool(_AT_ONCE)
        self._regular = False

    def write(self, data: Union[bytes, memoryview]) -> None:
        """Write all of it, or count it."""
        try:
            if self._lost:
                self._write(self._cut + f"{self._lost} writes to this log were lost: {self._reason}\n".encode())
                self._lost = 0
                self._cut = b""
            self._write(data)
        except OSError as error:
            self._lost += 1
            self._reason = error.strerror or str(error)

    def _write(self, data: Union[bytes, memoryview]) -> None:
        written = self._some(data)
        whole = len(data)
        if written == whole:
            return
        left = memoryview(data)[written:]
        vain = 0
        try:
            while left:
                written = self._some(left)
                left = left[written:]
                vain += not written
                if vain > _MOST_VAIN:
                    raise BlockingIOError(errno.EAGAIN, "there is room, but never for this")
        except OSError:
            if len(left) < whole:
                self._cut = b"\n"  # what comes next begins a line of its own
            raise

    def _some(self, data: Union[bytes, memoryview]) -> int:
        if self._regular:  # and stays so: a log that is opened again is a file again
            return os.write(self._fd, data)
        if self._at_once:
            try:
                return os.pwritev(self._fd, [data], -1, _AT_ONCE)
            except BlockingIOError:
                pass
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ESPIPE):
                    raise
                self._at_once = False
        if stat.S_ISREG(os.fstat(self._fd).st_mode):
            self._regular = True
            return os.write(self._fd, data)
        poll = _poll()
        poll.register(self._fd, select.POLLOUT)
        if not poll.poll(0 if self._lost else PATIENCE * 1000):
            raise BlockingIOError(errno.EAGAIN, "its reader stands still")
        return 0 if self._at_once else os.write(self._fd, data[: select.PIPE_BUF])


_writer = Writer(2)


def log(line: str) -> None:
    """Write one line (without its newline) to the log.

    Not `print`: one system call per line keeps lines of several workers whole, and it works from a hub callback, where a patched stream
    may not block. What cannot be written takes no server down, see `Writer`.
    """
    if not line.isascii():
        line = line.translate(_COMMANDS)
    _writer.write((line + "\n").encode("utf-8", "backslashreplace"))
