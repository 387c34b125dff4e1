"""The number that `uwsgi.connection_fd()` gives out, readable exactly when `websocket_recv_nb()` has something to say.

Applications wait on it with select, epoll, asyncio or `wait_fd_read`, and keep it across the handshake. Frames are read
in the background, so the socket itself would stay silent with a message in the inbox. Therefore the socket moves to
another number, and a readiness descriptor (an eventfd, or one end of a pipe) takes its place under the number that the
application knows. Only connections whose application asks pay for this.
"""

from __future__ import annotations

import fcntl
import os
import resource
from typing import Any, Optional, cast

from gevent import get_hub, monkey

from ..log import log

#: Sockets move to numbers from here on, so that the numbers in applications' hands stay low: select() ends at 1023.
_HIGH = 4096


def _epoll_object() -> Optional[Any]:
    """The loop's own epoll set, or None where the loop is not on epoll.

    A duplicate of the descriptor names the same set, so closing this object closes nothing of the loop's.
    """
    try:
        epoll = monkey.get_original("select", "epoll")
        return epoll.fromfd(os.dup(cast(int, get_hub().loop.fileno())))
    except (AttributeError, TypeError, OSError):
        return None


def forget(fd: int) -> None:
    """Take a number out of the loop's epoll set before the number changes its meaning.

    libev never does that itself; a stale entry makes it rebuild the whole set now and then, at a cost of all connections.
    """
    epoll = _epoll_object()
    if epoll is None:
        return
    try:
        epoll.unregister(fd)
    except OSError:
        pass  # it was not in the set
    finally:
        epoll.close()


def _duplicate_high(fd: int) -> int:
    """A second number for the same socket, out of select()'s range if the limits allow."""
    # PyPy does not know the one that also sets close-on-exec.
    command = getattr(fcntl, "F_DUPFD_CLOEXEC", fcntl.F_DUPFD)
    try:
        moved = fcntl.fcntl(fd, command, min(_HIGH, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))
    except OSError:
        return os.dup(fd)
    if command == fcntl.F_DUPFD:
        os.set_inheritable(moved, False)
    return moved


class Readiness:
    """A descriptor that can be made readable and unreadable at will, under a given number.

    Args:
        fd: the number to take over; what it named before must have been moved away.
    """

    __slots__ = ("_raised", "_writer", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._raised = False
        if hasattr(os, "eventfd"):
            source = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._writer = -1
        else:
            # CPython 3.9, and systems other than Linux, some of which have no pipe2 either.
            source, self._writer = os.pipe()
            os.set_blocking(source, False)
            os.set_blocking(self._writer, False)
        os.dup2(source, fd, inheritable=False)
        os.close(source)

    def set(self) -> None:
        """Make it readable."""
        if not self._raised:
            self._raised = True
            try:
                if self._writer < 0:
                    os.eventfd_write(self.fd, 1)
                else:
                    os.write(self._writer, b"\0")
            except OSError:
                pass  # the application has closed the number (`close` says so); its messages arrive all the same

    def clear(self) -> None:
        """Make it unreadable. An application that read from the descriptor itself has done so already."""
        if self._raised:
            self._raised = False
            try:
                os.read(self.fd, 8)
            except OSError:
                pass

    def close(self) -> None:
        """Close the number; greenlets that still wait on it are woken by gevent."""
        loop = get_hub().loop
        if hasattr(loop, "closing_fd"):
            loop.closing_fd(self.fd)
        forget(self.fd)
        try:
            os.close(self.fd)
        except OSError:
            # As `socket.socket(fileno=uwsgi.connection_fd())` does when it is collected.
            log("the application has closed connection_fd() of a websocket, which the server does when the request ends")
        if self._writer >= 0:
            os.close(self._writer)


def take_over(fd: int) -> tuple[int, Readiness]:
    """Move a socket off its number and put a readiness descriptor there.

    Args:
        fd: the socket's number; no watcher may be active on it.

    Returns:
        the socket's new number, and the readiness descriptor under the old one.
    """
    moved = _duplicate_high(fd)
    forget(fd)
    return moved, Readiness(fd)
