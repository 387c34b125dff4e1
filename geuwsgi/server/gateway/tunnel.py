"""Bytes in both directions between two streams, until both have ended. What they mean is the ends' business.

All of it happens in io callbacks in the hub: no greenlet but the one that waits for the end, no switch for any byte. A stream that takes
nothing stops the reading of the other one, so TCP pushes back through the tunnel.
"""

from __future__ import annotations

import socket as stdlib_socket
from typing import TYPE_CHECKING, Any, Optional

from gevent import get_hub
from greenlet import getcurrent

from ..rawio import LARGE_READ_SIZE, READ_SIZE, receive, transmit

if TYPE_CHECKING:
    from ..stream import ByteStream

#: TCP asks a silent peer whether it is there after so many seconds, again each time, so often: a tunnel has no other limit for silence.
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))

#: The largest close frame of a websocket server.
_CLOSE_FRAME = 2 + 125


class Tunnel:
    """Joins two streams.

    Args:
        client, backend: the two; closed at the end.
        timeout: seconds that one of them may take nothing.
        afterlife: seconds for which one may go on when the other one has ended.

    Attributes:
        problem: what went wrong, "" when both sides came to their end.
        farewell: the last bytes that the backend has sent: whether it said goodbye.
    """

    def __init__(self, client: ByteStream, backend: ByteStream, timeout: float, afterlife: float) -> None:
        self.problem = ""
        self.timeout = timeout
        self.afterlife = afterlife
        self._up = _Direction(self, client, backend, "the backend", False)
        self._down = _Direction(self, backend, client, "the client", True)
        self._timer: Any = None
        self._greenlet: Any = None
        self._over = False
        for stream in (client, backend):
            _keep_alive(stream)

    def run(self, to_backend: bytes = b"", to_client: bytes = b"") -> tuple[int, int]:
        """Carry bytes until both have ended. In the greenlet that waits for it; a kill ends the tunnel.

        Args:
            to_backend, to_client: what is to be sent first.

        Returns:
            Bytes sent to the backend and to the client.
        """
        up, down = self._up, self._down
        try:
            up.start(to_backend)
            down.start(to_client)
            self._greenlet = getcurrent()
            while not self._over:
                get_hub().switch()
        finally:
            self._greenlet = None
            if self._timer is not None:
                self._timer.close()
            for direction in (up, down):
                direction.close()
            for direction in (up, down):
                direction.source.close()
        return up.moved, down.moved

    @property
    def farewell(self) -> bytes:
        return self._down.last

    @property
    def backend_left_first(self) -> bool:
        """The backend ended while the client was still there."""
        return self._down.first

    # -- for the directions

    def ended(self, direction: _Direction) -> None:
        """One side has sent its last byte, and it was handed on."""
        if self._up.done and self._down.done:
            self.finish()
        else:
            direction.first = True
            self.watch()

    def finish(self, problem: str = "") -> None:
        """Let `run` return. Called in the hub."""
        if not self._over:
            self._over = True
            self.problem = problem
            get_hub().loop.run_callback(self._wake)

    def _wake(self) -> None:
        if self._greenlet is not None:
            self._greenlet.switch()

    def watch(self) -> None:
        """Something must not last: one direction has ended, or is blocked."""
        seconds = self.afterlife if self._up.done or self._down.done else self.timeout
        if self._timer is not None:
            self._timer.close()
        self._timer = get_hub().loop.timer(seconds)
        self._timer.start(self._late)

    def calm(self) -> None:
        """Nothing has to be watched any more, unless one direction has ended."""
        up, down = self._up, self._down
        if self._timer is not None and not (up.blocked or down.blocked or up.done or down.done):
            self._timer.stop()

    def _late(self) -> None:
        for direction in (self._up, self._down):
            if direction.blocked:
                self.finish(f"{direction.sink_name} has taken nothing for {self.timeout:g} seconds")
                return
        # The other half of a connection that was closed: nobody misses it.
        self.finish()


class _Direction:
    """What comes from one stream and goes to the other."""

    __slots__ = (
        "_pending",
        "_reader",
        "_remember",
        "_size",
        "_tunnel",
        "_writer",
        "done",
        "first",
        "last",
        "moved",
        "sink",
        "sink_name",
        "source",
    )

    def __init__(self, tunnel: Tunnel, source: ByteStream, sink: ByteStream, sink_name: str, remember: bool) -> None:
        self._tunnel = tunnel
        self.source = source
        self.sink = sink
        self.sink_name = sink_name
        self._remember = remember
        self._size = READ_SIZE
        self._reader: Any = None
        self._writer: Any = None
        self._pending: Optional[memoryview] = None
        self.done = False
        self.first = False
        self.moved = 0
        self.last = b""

    @property
    def blocked(self) -> bool:
        return self._pending is not None

    def start(self, first: bytes) -> None:
        self._reader = self.source.watcher(1)
        if not first or self._put(first):
            self._reader.start(self._readable)

    def close(self) -> None:
        for watcher in (self._reader, self._writer):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._reader = self._writer = self._pending = None

    def _readable(self) -> None:
        source = self.source
        data = receive(source.native, source.number, self._size)
        if data is None:
            return
        if not data:
            self._reader.stop()
            self.done = True
            self.sink.end()
            self._tunnel.ended(self)
            return
        size = len(data)
        self._size = LARGE_READ_SIZE if size == self._size or size > READ_SIZE else READ_SIZE
        if not self._put(data):
            self._reader.stop()

    def _put(self, data: bytes) -> bool:
        """Hand bytes on; False when some have to wait."""
        sink = self.sink
        if self._remember:
            self.last = data[-_CLOSE_FRAME:]
        sent = transmit(sink.native, sink.number, data)
        if sent == len(data):
            self.moved += sent
            return True
        if sent < 0:
            self._broken()
            return False
        self.moved += sent
        self._pending = memoryview(data)[sent:]
        if self._writer is None:
            self._writer = sink.watcher(2)
        self._writer.start(self._writable)
        self._tunnel.watch()
        return False

    def _writable(self) -> None:
        pending = self._pending
        if pending is None:
            return
        sink = self.sink
        sent = transmit(sink.native, sink.number, pending)
        if sent < 0:
            self._writer.stop()
            self._pending = None
            self._broken()
        elif sent == len(pending):
            self.moved += sent
            self._writer.stop()
            self._pending = None
            self._reader.start(self._readable)
            self._tunnel.calm()
        elif sent:
            self.moved += sent
            self._pending = pending[sent:]
            self._tunnel.watch()

    def _broken(self) -> None:
        """The sink is gone. What it has still sent is handed on by the other direction, which then finds its end."""
        self.done = True
        self._tunnel.ended(self)


def _keep_alive(stream: ByteStream) -> None:
    """Have TCP find out when the peer of a silent connection is gone."""
    native = stream.native
    if stream.number < 0 or getattr(native, "family", None) == stdlib_socket.AF_UNIX:
        return
    try:
        native.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(stdlib_socket, name):
                native.setsockopt(stdlib_socket.IPPROTO_TCP, getattr(stdlib_socket, name), value)
    except OSError:
        pass
