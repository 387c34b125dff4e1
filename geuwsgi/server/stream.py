"""What carries a websocket: a socket, TLS on a socket, or one stream of an HTTP/2 connection.

A websocket reads with `rawio.receive` and writes with `rawio.transmit`, which go straight to the kernel where the stream is a
socket (`number` is its descriptor), and to the methods of the same names where it is anything else (`number` is -1). The
rest of a stream is for moments that are rare.
"""

from __future__ import annotations

import socket as stdlib_socket
from typing import Any, Callable, Protocol

from gevent import get_hub, monkey

from .descriptor import Readiness, forget, take_over
from .keepalive import unacknowledged

#: The two events that a stream is watched for, libev's numbers.
READABLE, WRITABLE = 1, 2

_native_socket = monkey.get_original("_socket", "socket")


class Watcher(Protocol):
    """As an io watcher of gevent's loop. Its callback is called in the hub, again and again while there is a cause."""

    def start(self, callback: Callable[[], Any]) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class ByteStream(Protocol):
    """Bytes in both directions, never waiting.

    Attributes:
        number: the descriptor of a socket that carries the bytes as they are, which is then read and written directly; else -1.
        native: the plain, non-blocking socket object of such a socket; else an object (this one) with `receive`, `transmit` and
            `transmit_two`, see `rawio` for what they return.
    """

    number: int
    native: Any

    def watcher(self, events: int) -> Watcher:
        """A watcher for READABLE (`receive` would return something) or WRITABLE (`transmit` would take something).

        Unlike the kernel, a stream may hold bytes for which no event comes any more: its watcher calls back for them, too, also for those
        that were there before it was started.
        """

    def move(self) -> Readiness:
        """Give the number that the application knows to a readiness descriptor. Watchers made before must be made anew.

        No watcher may be active. `number` and `native` have changed afterwards, maybe.
        """

    def unread(self) -> bool:
        """Whether bytes of the peer are there, or have come since the last call, which `receive` has not returned."""

    def unacknowledged(self) -> int:
        """Bytes taken by `transmit` that the peer's side has not confirmed."""

    def end(self) -> None:
        """Nothing more will be written: the peer is told so behind all that was, and may go on sending."""

    def shutdown(self) -> None:
        """Nothing more will be written or read, the number stays taken."""

    def close(self) -> None:
        """Let go of everything. May be called once, at any time."""


class SocketStream:
    """A plain socket.

    Args:
        fd: its number, which now belongs to this object.
        family: its address family.
    """

    __slots__ = ("_family", "_moved", "native", "number")

    def __init__(self, fd: int, family: int) -> None:
        self._family = family
        self._moved = False
        self.number = fd
        self.native: Any = adopt(fd, family)

    def watcher(self, events: int) -> Watcher:
        return get_hub().loop.io(self.number, events)

    def move(self) -> Readiness:
        self.number, readiness = take_over(self.native.detach())
        self.native = adopt(self.number, self._family)
        self._moved = True
        return readiness

    def unread(self) -> bool:
        try:
            return bool(self.native.recv(1, stdlib_socket.MSG_PEEK))
        except OSError:
            return False

    def unacknowledged(self) -> int:
        return unacknowledged(self.number)

    def end(self) -> None:
        self._shutdown(stdlib_socket.SHUT_WR)

    def shutdown(self) -> None:
        self._shutdown(stdlib_socket.SHUT_RDWR)

    def _shutdown(self, how: int) -> None:
        try:
            self.native.shutdown(how)
        except OSError:
            pass  # the peer was faster

    def close(self) -> None:
        if self._moved:
            forget(self.number)
        self.native.close()


def adopt(fd: int, family: int) -> Any:
    """A plain socket object for a descriptor, whose calls never wait, whatever `socket.setdefaulttimeout` says."""
    native = _native_socket(family, stdlib_socket.SOCK_STREAM, 0, fd)
    native.setblocking(False)
    return native
