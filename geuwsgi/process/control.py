"""The line between the master and one worker: single bytes in both directions, and the end of file when either is gone.

Orders do not come as signals, because a Ctrl-C in a terminal reaches all processes at once, and because a worker notices here that its
master was killed.
"""

from __future__ import annotations

import _socket
import os

#: Orders of the master: end soon (1001), end with time for running requests (1001), make room for another one (1012).
STOP = b"s"
STOP_SLOWLY = b"t"
RETIRE = b"r"
#: Accept no connections for a while, and accept them again.
PAUSE = b"p"
RESUME = b"c"
#: Open the log file anew.
REOPEN_LOG = b"l"
#: Log what you are doing.
REPORT = b"i"
#: There was no reload, which one of you may have asked for.
REFUSED = b"n"

#: What a worker tells: it serves; it wants to be replaced; it has added a timer or the like, which wakes the master and is all that this
#: shall do; the application could not be loaded (the rest of the stream is why).
READY = b"R"
REPLACE_ME = b"L"
LOOK_AT_SIGNALS = b"S"
FAILED = b"F"


def pair() -> tuple[int, int]:
    """The two ends, as descriptors that do not block: the master's and the worker's."""
    # The patched one would make gevent sockets, and with them watchers in the master's hub.
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    fds = ours.detach(), theirs.detach()
    for fd in fds:
        os.set_blocking(fd, False)
    return fds


def tell(fd: int, message: bytes) -> None:
    """Write; whoever is gone does not need to know."""
    try:
        os.write(fd, message)
    except OSError:
        pass


def hear(fd: int) -> bytes:
    """What has come; b"" at the end of file.

    Raises:
        BlockingIOError: nothing is there.
    """
    try:
        return os.read(fd, 65536)
    except ConnectionError:
        return b""
