"""One request on a stream of HTTP/2: to whatever serves a request, a connection that ends with its response."""

from __future__ import annotations

import socket as stdlib_socket
from typing import TYPE_CHECKING, Any, Optional

from greenlet import GreenletExit

from ...errors import HTTPError
from ...log import log
from ...protocol.http2.guard import CANCEL, INTERNAL_ERROR
from ..connection import HTTPConnection
from ..transport import ClientError
from .body import HTTP2Body
from .carrier import Carrier
from .response import HTTP2Response
from .transport import StreamTransport

if TYPE_CHECKING:
    from ...protocol.http2.head import RequestHead
    from ..stream import ByteStream
    from .connection import HTTP2Connection


class HTTP2Stream(HTTPConnection):
    """As `HTTPConnection`, for one request.

    Args:
        connection: the TCP connection.
        transport: the stream's bytes.
        head: the request.
    """

    __slots__ = ("_connection", "number")

    body_class = HTTP2Body
    response_class = HTTP2Response

    transport: StreamTransport
    parser: RequestHead

    def __init__(self, connection: HTTP2Connection, transport: StreamTransport, head: RequestHead) -> None:
        # Not super(): there is neither a socket nor a parser.
        self.number = transport.number
        self._connection = connection
        self.server = connection.server
        self.peer = connection.peer
        self.sweeper = connection.sweeper
        self.transport = transport
        self.parser = head
        self.sock = StreamNumber(transport)
        self.request = None
        self.response = None
        self.responding = False
        self.spoiled = False
        self.upgraded = False
        self.greenlet = None
        self.http2 = None
        self.hosts = connection.hosts

    def serve(self) -> None:
        """Serve the request. Runs in the stream's own greenlet; never raises but when it is killed."""
        try:
            if not self.transport.broken:
                self._serve_request()
                self._connection.guard.served()
        except ClientError as error:
            log(f"{self._who()}: {error}")
        except (GreenletExit, KeyboardInterrupt):
            raise
        finally:
            if not self.upgraded:
                self._finish()

    def _finish(self) -> None:
        transport = self.transport
        if not transport.over:
            transport.reset(INTERNAL_ERROR)
        elif not transport.ended:
            transport.drain()
        self.sock.close()
        self._connection.forget(self)

    # -- for the websocket

    def upgrade(self, head: bytes) -> tuple[ByteStream, bytes, bytes]:
        """As `HTTPConnection.upgrade`: `:status` 200 is what a 101 is in HTTP/1.1 (RFC 8441 section 5)."""
        if not head:
            raise HTTPError("501 Not Implemented", "HTTP/2 cannot be handed on as it is (http-raw-body)")
        if not self.parser.websocket:
            raise HTTPError("400 Bad Request", "websocket handshake without an extended CONNECT (RFC 8441)")
        fields = [(b":status", b"200")]
        for line in head.split(b"\r\n")[1:-2]:
            name, _, value = line.partition(b": ")
            if name not in (b"Upgrade", b"Connection", b"Sec-WebSocket-Accept"):
                fields.append((name.lower(), value))
        self.transport.send_head(fields, False)
        self.upgraded = self.responding = True
        if self.request is not None:
            self.request.status = "200 OK"
        return Carrier(self, self.transport), b"", b""

    def unsent(self) -> int:
        """Bytes that have not reached the client's kernel."""
        return self._connection.output.unsent()

    def let_go(self) -> None:
        """The websocket is done with the stream."""
        self._finish()

    # -- for applications that go beyond WSGI

    def disconnect(self) -> None:
        """As `HTTPConnection.disconnect`."""
        self.spoiled = True
        self.transport.reset(CANCEL)

    def read_raw(self, size: int) -> bytes:
        """At most `size` bytes of the request's body; b"" at its end."""
        transport = self.transport
        self.spoiled = True
        transport.wait_readable(self.sweeper.now + self.server.settings.http.socket_timeout)
        data = transport.take()
        transport.put_back(data[size:])
        return data[:size]

    @property
    def idle(self) -> bool:
        return False

    def abandon(self) -> None:
        """As `HTTPConnection.abandon`."""
        self._finish()

    def _linger(self) -> None:
        """There is nothing to wait for: other streams use the connection."""


class StreamNumber:
    """Stands for a socket where an application wants to know the connection's number.

    The number of the TCP connection would say when anything comes for any of its streams. What is given out is one end of a pair of
    sockets, the other end of which is closed together with the stream: waiting for it, and `uwsgi.is_connected`, tell what they tell in
    HTTP/1.1.
    """

    __slots__ = ("_mine", "_theirs", "_transport")

    def __init__(self, transport: StreamTransport) -> None:
        self._transport = transport
        self._mine: Optional[Any] = None
        self._theirs: Optional[Any] = None

    def fileno(self) -> int:
        if self._theirs is None:
            mine, self._theirs = stdlib_socket.socketpair()
            if self._transport.broken:
                mine.close()
            else:
                self._mine = mine
                self._transport.on_broken = self._broken
        return int(self._theirs.fileno())

    @property
    def given(self) -> bool:
        """The application knows a number."""
        return self._theirs is not None

    def detach(self) -> int:
        """The number, which now belongs to the caller."""
        self._broken()
        assert self._theirs is not None
        number = int(self._theirs.detach())
        self._theirs = None
        return number

    def _broken(self) -> None:
        if self._mine is not None:
            self._transport.on_broken = None
            self._mine.close()
            self._mine = None

    def close(self) -> None:
        """The request is over."""
        self._broken()
        if self._theirs is not None:
            self._theirs.close()
            self._theirs = None
