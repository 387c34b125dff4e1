"""`wsgi.input`: the body of a request, read from the connection as the application asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Optional

import gevent

from ..errors import HTTPError
from ..protocol.chunked import ChunkDecoder
from .transport import READ_SIZE, ClientError, TimedOut

if TYPE_CHECKING:
    from .connection import HTTPConnection

#: A chunk that `read_chunk` returns whole; a larger one comes in pieces, so that no client decides how much memory is used.
MAX_CHUNK = 1024 * 1024
#: Bytes of a body that the application has not read which are read and thrown away to keep the connection.
DRAIN_LIMIT = 64 * 1024

_FOREVER = float("inf")

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Body:
    """The body of one request.

    Args:
        connection: where it comes from.
        length: its bytes; -1 when it is chunked.
        expect_continue: the client waits for a 100, which is sent when the first byte is asked for.

    Attributes:
        chunked: it has the chunked coding.
        ended: its last byte has left the connection.
    """

    __slots__ = ("_buffer", "_connection", "_decoder", "_expect_continue", "_left", "_pieces", "_position", "_until", "chunked", "ended")

    def __init__(self, connection: HTTPConnection, length: int, expect_continue: bool) -> None:
        self._connection = connection
        self._expect_continue = expect_continue
        self._left = length
        self.chunked = length < 0
        self.ended = length == 0
        self._decoder = ChunkDecoder(connection.server.settings.http.buffer_size) if length < 0 else None
        #: Decoded chunks, each followed by b"".
        self._pieces: list[bytes] = []
        self._buffer = b""
        self._position = 0
        #: The sweeper's time from which on no more of it is read.
        self._until = _FOREVER

    # -- PEP 3333

    def read(self, size: Optional[int] = -1) -> bytes:
        """At most `size` bytes, and fewer only at the end; all of it without `size`.

        Raises:
            ClientError: the client left or stalls, or its chunks are none.
        """
        if size is None or size < 0:
            parts = [self._take(len(self._buffer))]
            while True:
                data = self._more()
                if not data:
                    return b"".join(parts)
                parts.append(data)
        data = self._take(size)
        if len(data) == size:
            return data
        parts = [data]
        missing = size - len(data)
        while missing:
            data = self._more()
            if not data:
                break
            if len(data) > missing:
                self._buffer, self._position = data, missing
                data = data[:missing]
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)

    def readline(self, size: Optional[int] = -1) -> bytes:
        """One line with its newline, of at most `size` bytes; b"" at the end.

        Raises:
            ClientError: as `read`.
        """
        limit = -1 if size is None else size
        parts: list[bytes] = []
        found = 0
        while limit < 0 or found < limit:
            if self._position >= len(self._buffer):
                self._buffer, self._position = self._more(), 0
                if not self._buffer:
                    break
            newline = self._buffer.find(b"\n", self._position)
            count = (newline + 1 if newline >= 0 else len(self._buffer)) - self._position
            if limit >= 0 and count > limit - found:
                count = limit - found
                newline = -1
            parts.append(self._take(count))
            found += count
            if newline >= 0:
                break
        return b"".join(parts)

    def readlines(self, hint: Optional[int] = -1) -> list[bytes]:
        """The lines that are left; with `hint`, no further ones once that many bytes are read."""
        lines: list[bytes] = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    # -- what uWSGI's input has besides

    def fileno(self) -> int:
        """The connection's descriptor."""
        return self._connection.sock.fileno()  # type: ignore[no-any-return]

    def close(self) -> None:
        """Does nothing: the connection outlives the body."""

    def read_chunk(self, timeout: Optional[float] = None) -> bytes:
        """The next chunk as the client cut it, or a piece of it when it is larger than MAX_CHUNK; b"" at the end.

        Args:
            timeout: seconds to wait for it; None for the server's own limit.

        Raises:
            OSError: the body is not chunked, or none came in time.
            ClientError: as `read`.
        """
        if not self.chunked:
            raise OSError("the request body is not chunked")
        if timeout is None:
            chunk = self._next_chunk(wait=True)
        else:
            with gevent.Timeout(timeout, TimeoutError("no chunk in time")):
                chunk = self._next_chunk(wait=True)
        return chunk or b""

    def read_chunk_nowait(self) -> Optional[bytes]:
        """The same without waiting: None when no whole chunk is there.

        Raises:
            OSError: the body is not chunked.
            ClientError: as `read`.
        """
        if not self.chunked:
            raise OSError("the request body is not chunked")
        return self._next_chunk(wait=False)

    # -- for whoever hands it on

    @property
    def ready(self) -> bool:
        """Bytes of it are there."""
        return not self.ended and self._connection.parser.has_unread

    def some(self) -> bytes:
        """The next bytes, as many as come at once; b"" only at the end.

        Raises:
            ClientError: as `read`.
        """
        return self._take(len(self._buffer)) or self._more()

    def waive(self) -> None:
        """Leave the rest to somebody who takes the connection over with it."""
        if self._expect_continue and not self.ended:
            self._connection.transport.send(CONTINUE)
        self.ended = True

    # -- the connection's side

    def discard(self) -> bool:
        """Called after the response: read a small rest, so that the next request can be found behind it.

        Returns:
            False when the rest is too large, or may never come: the connection has to be closed.
        """
        if self.ended:
            return True
        if self.oversized:
            return False
        taken = 0
        # All of it has the time of a head, however slowly its bytes drip in.
        self._until = self._connection.sweeper.now + self._connection.server.settings.http.headers_timeout
        try:
            data = self._more()
            while data:
                taken += len(data)
                if taken > DRAIN_LIMIT:
                    return False
                data = self._more()
        except ClientError:
            return False
        return True

    @property
    def oversized(self) -> bool:
        """More is left than is worth reading for nothing, or the client still waits to be asked for it."""
        return not self.ended and (self._expect_continue or self._left > DRAIN_LIMIT)

    # -- inside

    def _take(self, count: int) -> bytes:
        """At most `count` bytes of the buffer."""
        start = self._position
        self._position = end = min(start + count, len(self._buffer))
        data = self._buffer[start:end]
        if end == len(self._buffer):
            self._buffer, self._position = b"", 0
        return data

    def _more(self) -> bytes:
        """Bytes that are not in the buffer; b"" at the end of the body."""
        if self._decoder is None:
            return self._plain()
        while not self._pieces and not self.ended:
            self._decode(wait=True)
        data = b"".join(self._pieces)
        self._pieces.clear()
        if not data and not self.ended:
            return self._more()
        return data

    def _plain(self) -> bytes:
        left = self._left
        if not left:
            return b""
        parser = self._connection.parser
        data: bytes = parser.take_unread()
        if not data:
            data = self._receive(min(left, READ_SIZE))
        elif len(data) > left:
            parser.put_back(data[left:])
            data = data[:left]
        self._left = left - len(data)
        self.ended = not self._left
        return data

    def _decode(self, wait: bool) -> bool:
        """Decode what the connection has; False when it has nothing and `wait` is not set."""
        assert self._decoder is not None
        data: Optional[bytes] = self._connection.parser.take_unread()
        if not data:
            data = self._receive(READ_SIZE) if wait else self._receive_now()
            if data is None:
                return False
        try:
            pieces, rest = self._decoder.feed(data)
        except HTTPError as error:
            self._connection.spoiled = True
            raise ClientError(error.detail, error.status) from None
        self._pieces += pieces
        if self._decoder.done:
            self.ended = True
            self._connection.parser.put_back(rest)
        return True

    def _next_chunk(self, wait: bool) -> Optional[bytes]:
        rest = self._take(len(self._buffer))
        if rest:
            return rest  # read() or readline() was here before
        pieces = self._pieces
        seen = size = 0
        while True:
            while seen < len(pieces):
                piece = pieces[seen]
                seen += 1
                size += len(piece)
                if size and (not piece or size >= MAX_CHUNK):
                    chunk = b"".join(pieces[:seen])
                    del pieces[:seen]
                    return chunk
            if self.ended:
                pieces.clear()
                return b""
            if not self._decode(wait):
                return None

    def _receive(self, size: int) -> bytes:
        connection = self._connection
        if connection.sweeper.now > self._until:
            raise ClientError("the rest of the request body does not come in time")
        if self._expect_continue:
            self._expect_continue = False
            # RFC 9110 section 10.1.1: not once the final response has begun.
            if not connection.responding:
                connection.transport.send(CONTINUE)
        timeout = connection.server.settings.http.socket_timeout
        try:
            data = connection.transport.receive(connection.sweeper.now + timeout, size)
        except TimedOut:
            connection.spoiled = True
            raise ClientError(f"no byte of the request body for {timeout:g} seconds", "408 Request Timeout") from None
        if not data:
            self._lost()
        return data

    def _receive_now(self) -> Optional[bytes]:
        if self._expect_continue:
            self._expect_continue = False
            if not self._connection.responding:
                self._connection.transport.send(CONTINUE)
        data = self._connection.transport.receive_now()
        if data == b"":
            self._lost()
        return data

    def _lost(self) -> None:
        self._connection.spoiled = True
        self._connection.transport.broken = True
        raise ClientError("the client has closed the connection in the middle of its request body")


class _NoBody(Body):
    """What a request without a body has: one object for all of them, since it has no state."""

    __slots__ = ()

    def __init__(self) -> None:
        self.chunked = False
        self.ended = True
        self._decoder = None
        self._expect_continue = False
        self._left = 0
        self._buffer = b""
        self._position = 0

    def fileno(self) -> int:
        raise OSError("this request has no body")

    @property
    def ready(self) -> bool:
        return False

    def discard(self) -> bool:
        return True

    def waive(self) -> None:
        pass


NO_BODY = _NoBody()
