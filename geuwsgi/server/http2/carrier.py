"""A stream of HTTP/2 that carries a websocket (RFC 8441): see `server.stream.ByteStream`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from gevent import get_hub

from ...protocol.http2.guard import CANCEL
from ..descriptor import Readiness, forget
from ..stream import READABLE
from ..transport import ClientError

if TYPE_CHECKING:
    from .stream import HTTP2Stream
    from .transport import StreamTransport


class Carrier:
    """The bytes of a websocket.

    Args:
        stream: whose application serves it.
        transport: its bytes.
    """

    __slots__ = ("_closed", "_heard", "_stream", "_transport", "native", "number")

    def __init__(self, stream: HTTP2Stream, transport: StreamTransport) -> None:
        self._stream = stream
        self._transport = transport
        self._heard = False
        self._closed = False
        self.number = -1
        self.native: Any = self

    # -- as `rawio`

    def receive(self, size: int) -> Optional[bytes]:
        transport = self._transport
        data = transport.take()
        if not data:
            return b"" if transport.ended or transport.broken else None
        if len(data) > size:
            transport.put_back(data[size:])
            data = data[:size]
        return data

    def transmit(self, data: Union[bytes, bytearray, memoryview]) -> int:
        try:
            return self._transport.push(data if isinstance(data, bytes) else memoryview(data), False)
        except ClientError:
            return -1

    def transmit_two(self, head: bytes, body: Union[bytes, memoryview]) -> int:
        # Not joined: only a part of a large body is taken at a time.
        sent = self.transmit(head)
        if sent < len(head):
            return sent
        more = self.transmit(body)
        return sent + more if more >= 0 else -1

    # -- the rest

    def watcher(self, events: int) -> Watcher:
        return Watcher(self._transport, events)

    def move(self) -> Readiness:
        sock = self._stream.sock
        if sock.given:
            number = sock.detach()
            forget(number)
        else:
            number = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        return Readiness(number)

    def unread(self) -> bool:
        return self._transport.has_unread

    def unacknowledged(self) -> int:
        return self._stream.unsent()

    def end(self) -> None:
        self._transport.finish()

    def shutdown(self) -> None:
        self._transport.on_readable = self._transport.on_room = None
        self._transport.reset(CANCEL)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._transport.on_readable = self._transport.on_room = None
            self._stream.let_go()


class Watcher:
    """Calls back while there is something to read, or once there may be room to write."""

    __slots__ = ("_active", "_callback", "_hub", "_reads", "_transport")

    def __init__(self, transport: StreamTransport, events: int) -> None:
        self._transport = transport
        self._reads = events == READABLE
        self._callback: Optional[Callable[[], Any]] = None
        self._active = False
        self._hub: Any = get_hub()

    def start(self, callback: Callable[[], Any]) -> None:
        self._callback = callback
        self._active = True
        if self._reads:
            self._transport.on_readable = self._fire
            if self._ready():
                self._hub.loop.run_callback(self._fire)
        else:
            self._transport.on_room = self._fire
            self._transport.wait_turn()

    def stop(self) -> None:
        if self._active:
            self._active = False
            if self._reads:
                self._transport.on_readable = None
            else:
                self._transport.on_room = None

    def close(self) -> None:
        self.stop()
        self._callback = None

    def _ready(self) -> bool:
        transport = self._transport
        return transport.has_unread or transport.ended or transport.broken

    def _fire(self) -> None:
        """Runs in the hub."""
        if not self._active or self._callback is None:
            return
        if not self._reads:
            self._callback()
            if self._active:
                self._transport.wait_turn()
        elif self._ready():
            self._callback()
            if self._active and self._ready():
                # As a socket's watcher: again in the next turn of the loop.
                self._hub.loop.run_callback(self._fire)
