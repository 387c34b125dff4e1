"""What the parsers of heads have in common: where the bytes behind a head wait, what is told about it, what its paths and numbers mean.

No I/O.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_to_bytes


class HeadParser:
    """The part of a parser of request heads that does not depend on the protocol. `feed` and `feed_unread` make it whole.

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


#: Whatever has more digits than fit is this.
LARGEST = 2**63 - 1


def decimal(digits: str) -> int:
    """What digits mean, at most `LARGEST`. They come from peers, may be without end, and Python reads only some thousand.

    Args:
        digits: ASCII digits only; "" is 0.
    """
    return min(int(digits.lstrip("0")[:20] or "0"), LARGEST)


def path_info(path: str) -> str:
    """PATH_INFO for the path of a request target: "." and ".." are resolved, "%20" is a blank.

    In this order, as in uWSGI: rules and applications see "/b" for "/a/../b", so that nobody gets past a rule for "/b" in this way, and
    "/a/../b" for "/a/%2e%2e/b".

    Args:
        path: begins with a slash, or is "*"; a character for each octet.

    Source: RFC 3986 section 5.2.4, and uWSGI's `http_parse`, where nothing is left of "/..".
    """
    if "/." in path:
        path = _without_dots(path)
    return unquote_to_bytes(path).decode("latin-1") if "%" in path else path


def _without_dots(path: str) -> str:
    kept: list[str] = []
    segments = path[1:].split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
