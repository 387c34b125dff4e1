"""`--daemonize FILE`: a process of its own, without a terminal, whose log goes to a file."""

from __future__ import annotations

import os
from typing import Optional

from ..errors import ConfigError
from . import environment

_DONE = b"+"


def daemonize(path: str, option: str, source: Optional[str]) -> None:
    """Go on in the background; the process that was started ends at once, with status 0.

    Args:
        path: the log file.
        option: as it was given; source: where.

    Raises:
        ConfigError: the log file cannot be opened.
    """
    environment.redirect_log(path, source, option)
    if os.fork():
        os._exit(0)
    os.setsid()
    _forget_the_terminal()


class Daemonizing:
    """`--daemonize2 FILE`: the same, but the process that was started waits until the application is loaded, and shows why if it is not."""

    def __init__(self, path: str, source: Optional[str]) -> None:
        self._path = os.path.abspath(path)
        self._source = source
        read, self._write = os.pipe()
        if os.fork():
            os.close(self._write)
            os._exit(0 if os.read(read, 1) == _DONE else 1)
        os.close(read)
        os.setsid()

    def finish(self) -> None:
        """The application is loaded: let go of the terminal.

        Raises:
            ConfigError: the log file cannot be opened.
        """
        environment.redirect_log(self._path, self._source, "daemonize2")
        _forget_the_terminal()
        os.write(self._write, _DONE)
        os.close(self._write)


def _forget_the_terminal() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)


def log_path(given: str, option: str, source: Optional[str]) -> str:
    """The absolute path of a log file.

    Raises:
        ConfigError: it is no file.
    """
    if given.startswith("udp:") or (":" in given and "/" not in given):
        raise ConfigError("logging over the network is not there yet; give the path of a file", option, given, source)
    return os.path.abspath(given)
