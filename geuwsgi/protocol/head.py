"""What the parsers of request heads have in common: where the bytes behind a head wait, and what is told about the head. No I/O."""

from __future__ import annotations

from typing import Any


class HeadParser:
    """Parses heads that come in one protocol or another, so that a connection need not know which.

    Args:
        template: what every environ of this connection holds; copied for each request.
        limit: the largest head in bytes.

    Attributes:
        environ: of the last complete head.
        content_length: bytes of its body; -1 when the body is chunked.
        keep_alive: whether the client lets the connection live on.
        expect_continue: the client waits for a 100 before it sends the body.
        http11: the client speaks HTTP/1.1 or better.
        head_size: bytes of the last head.
        header_count: header fields, or variables, in it.
        started: bytes of a head have come that is not complete yet.
    """

    __slots__ = (
        "_limit",
        "_template",
        "_unread",
        "content_length",
        "environ",
        "expect_continue",
        "head_size",
        "header_count",
        "http11",
        "keep_alive",
        "started",
    )

    def __init__(self, template: dict[str, Any], limit: int) -> None:
        self._template = template
        self._limit = limit
        self._unread = b""
        self.environ: dict[str, Any] = {}
        self.content_length = 0
        self.keep_alive = False
        self.expect_continue = False
        self.http11 = True
        self.head_size = 0
        self.header_count = 0
        self.started = False

    def feed(self, data: bytes) -> bool:
        """Take bytes of the connection while a head is awaited; True when it is complete.

        Raises:
            HTTPError: the bytes are not a request that can be served. The connection is of no use after that.
        """
        raise NotImplementedError

    def feed_unread(self) -> bool:
        """Go on with the bytes that came behind the last message; True when they hold a complete head."""
        data = self._unread
        if not data:
            return False
        self._unread = b""
        return self.feed(data)

    def take_unread(self) -> bytes:
        """The bytes that came behind what has been parsed; they are the caller's from now on."""
        data = self._unread
        self._unread = b""
        return data

    def put_back(self, data: bytes) -> None:
        """Give bytes back that the caller took and did not need."""
        self._unread = data

    @property
    def has_unread(self) -> bool:
        return bool(self._unread)

    def close(self) -> None:
        """No more bytes will come."""
