"""`--master-fifo`: a named pipe that takes one letter for each thing that the master shall do.

Source: the commands are those of uWSGI's "The Master FIFO".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from ..errors import ConfigError
from . import originals


class MasterFifo:
    """The open pipe.

    Args:
        paths: of all pipes; the first one is used, the digits 0 to 9 choose another.
        source: where the first one was given.

    Attributes:
        fd: to read from.

    Raises:
        ConfigError: it cannot be made or opened.
    """

    def __init__(self, paths: Sequence[str], source: str = "") -> None:
        self._paths = [os.path.abspath(path) for path in paths]
        self._source = source
        self.fd = self._open(0)

    def read(self) -> str:
        """The letters that have come, without line ends."""
        try:
            return os.read(self.fd, 4096).decode("latin-1").replace("\n", "").replace(" ", "")
        except BlockingIOError:
            return ""

    def choose(self, slot: int) -> bool:
        """Go over to another pipe; False if there is none of this number.

        Raises:
            ConfigError: it cannot be made or opened; the one before stays.
        """
        if slot >= len(self._paths):
            return False
        fd = self._open(slot)
        originals.close(self.fd)
        self.fd = fd
        return True

    def _open(self, slot: int) -> int:
        path = self._paths[slot]
        try:
            if not os.path.exists(path):
                os.mkfifo(path, 0o600)
            if not stat.S_ISFIFO(os.stat(path).st_mode):
                raise ConfigError("a file of that name is there and is no pipe", "master-fifo", path, self._source)
            # For writing, too: otherwise the pipe ends with each program that writes to it.
            return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigError(f"cannot be opened: {error.strerror}", "master-fifo", path, self._source) from None
