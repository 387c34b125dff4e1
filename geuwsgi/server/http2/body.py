"""`wsgi.input` of a request of HTTP/2: the DATA frames of its stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from ..body import Body
from ..transport import ClientError, TimedOut

if TYPE_CHECKING:
    from .stream import HTTP2Stream


class HTTP2Body(Body):
    """As `Body`. A body of unknown length counts as chunked, and its chunks are the frames that it came in."""

    __slots__ = ("_stream",)

    _connection: HTTP2Stream

    def __init__(self, connection: HTTP2Stream, length: int, expect_continue: bool) -> None:
        self._connection = connection
        self._stream = connection.transport
        self._expect_continue = expect_continue
        self._left = length
        self.chunked = length < 0
        self._decoder = None
        self._pieces = []
        self._buffer = b""
        self._position = 0

    @property
    def ended(self) -> bool:  # type: ignore[override]  # an attribute there, which is set; here the stream knows
        return self._stream.ended and not self._stream.has_unread

    @property
    def ready(self) -> bool:
        return self._stream.has_unread

    def waive(self) -> None:
        """Nobody takes a connection of HTTP/2 over, as only one of its streams is his."""

    @property
    def oversized(self) -> bool:
        return False

    def discard(self) -> bool:
        """Called after the response. The stream sees to the rest (`StreamTransport.drain`)."""
        return True

    def _more(self) -> bytes:
        stream = self._stream
        while True:
            data = stream.take()
            if data:
                return data
            if stream.ended:
                return b""
            if stream.broken:
                self._lost()
            self._wait()

    def _next_chunk(self, wait: bool) -> Optional[bytes]:
        rest = self._take(len(self._buffer))
        if rest:
            return rest  # read() or readline() was here before
        stream = self._stream
        while True:
            piece = stream.take_piece()
            if piece:
                return piece
            if stream.ended:
                return b""
            if stream.broken:
                self._lost()
            if not wait:
                self._send_continue()
                return None
            self._wait()

    def _wait(self) -> None:
        self._send_continue()
        connection = self._connection
        timeout = connection.server.settings.http.socket_timeout
        try:
            self._stream.wait_readable(connection.sweeper.now + timeout)
        except TimedOut:
            connection.spoiled = True
            raise ClientError(f"no byte of the request body for {timeout:g} seconds", "408 Request Timeout") from None

    def _send_continue(self) -> None:
        if self._expect_continue:
            self._expect_continue = False
            if not self._connection.responding:
                self._stream.send_head([(b":status", b"100")], False)
