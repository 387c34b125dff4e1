"""A response as frames of HTTP/2. What an application may say and what becomes of it is the same as in HTTP/1.1, but for the framing.

Source: RFC 9113 sections 8.1 and 8.2.2.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ...log import log
from ...protocol.http2.guard import INTERNAL_ERROR
from ..head import Head, date_line
from ..response import APPLICATION, CUT_FILE, JOIN_LIMIT, Response
from .raw import RawResponse

if TYPE_CHECKING:
    from .stream import HTTP2Stream
    from .transport import Fields

#: Names come from applications, which may take them from users: bounded.
_MAX_CACHED = 1024
_names: dict[str, bytes] = {}


class HTTP2Response(Response):
    """As `Response`."""

    __slots__ = ("_fields", "_raw")

    _connection: HTTP2Stream
    _fields: Fields
    _raw: RawResponse

    # -- what the application calls

    def write_file(self, fd: int, offset: int, count: int) -> None:
        """As `Response.write_file`, but read in pieces: the frames need headers."""
        if self.refused:
            return
        stream = self._connection.transport
        if not self.head_sent:
            self._send_head(-1)
        if self._no_body:
            return
        if self._left >= 0:
            count = self._allow(count)
        sent = self._copy(fd, offset, count, False)
        if sent < count:
            self.complete = True
            stream.reset(INTERNAL_ERROR)
            raise OSError(f"the file ended {count - sent} bytes before its time")

    def write_raw(self, data: bytes) -> None:
        """As `Response.write_raw`: what would be a response of HTTP/1.1 is sent as one of HTTP/2. Behind a head it is the body.

        Raises:
            ClientError: the client is gone.
            OSError: it is no response.
        """
        if not self.head_sent:
            raw = getattr(self, "_raw", None)
            if raw is None:
                raw = self._raw = RawResponse()
            data = raw.feed(data)
            if not raw.complete:
                return
            if self._head is None:
                self.start_response(raw.status, raw.headers)
            self._send_head(-1)
        elif hasattr(self, "_raw"):
            data = self._raw.feed(data)
        if data and not self._no_body:
            self._request.body_bytes += len(data)
            self._connection.transport.send(data)

    # -- the body

    def _send(self, data: bytes) -> None:
        if not self.head_sent:
            self._send_head(-1)
        if self._no_body:
            return
        if self._left >= 0:
            data = self._limit(data)
        if data:
            self._request.body_bytes += len(data)
            self._connection.transport.send(data, self._left == 0)

    def _send_whole(self, data: bytes) -> None:
        stream = self._connection.transport
        if not data:
            self._send_head(0, True)
            self.complete = True
            if self._left > 0 and not self._no_body:
                self._short()
            return
        self._send_head(len(data))
        self.complete = True
        if self._no_body:
            return
        if self._left != len(data):
            data = self._limit(data)
        else:
            self._left = 0
        self._request.body_bytes = len(data)
        if self._left:
            stream.send(data)
            self._short()
        else:
            stream.send(data, True)

    def _send_file(self, fd: int, offset: int, size: int) -> None:
        self._send_head(size)
        if self._no_body:
            self.complete = True
            return
        count = min(size, self._left)
        if count > JOIN_LIMIT:
            self._connection.give_core_back()
        whole = count == self._left
        sent = self._copy(fd, offset, count, whole)
        self._left -= sent
        self.complete = True
        if self._left:
            self._short(CUT_FILE if sent < count else APPLICATION)

    def _copy(self, fd: int, offset: int, count: int, end: bool) -> int:
        """Send bytes of a file; how many there were."""
        stream = self._connection.transport
        left = count
        while left:
            data = os.pread(fd, min(left, JOIN_LIMIT), offset)
            if not data:
                break
            offset += len(data)
            left -= len(data)
            stream.send(data, end and not left)
            self._request.body_bytes += len(data)
        if not count and end:
            stream.finish()
        return count - left

    def _finish(self) -> None:
        raw = getattr(self, "_raw", None)
        if raw is not None and not self.head_sent:
            raise OSError("what uwsgi.send() was given is not a whole response")
        if not self.head_sent:
            self._send_whole(b"")
            return
        self.complete = True
        if self._left > 0 and not self._no_body:
            self._short()
        else:
            self._connection.transport.finish()

    def _short(self, whose: str = APPLICATION) -> None:
        log(f"{self._what(whose)} sent {self._left} bytes less than its Content-Length said: the stream is reset")
        self._connection.transport.reset(INTERNAL_ERROR)

    # -- the head

    def inform(self, status: str, headers: list[tuple[str, str]]) -> None:
        """As `Response.inform`."""
        if not self.head_sent:
            self._connection.transport.send_head(_encode(Head(status, headers)), False)

    def _send_head(self, size: int, end: bool = False) -> None:
        """Send the head, with what the application has left to the server.

        Args:
            size: bytes of the whole body when they are known, else -1.
            end: no body follows, whatever Content-Length says.
        """
        stream = self._connection.transport
        # What rules of the internal routing put in front of the body.
        text = self._build_head(size)
        end = end and self._left <= 0
        stream.send_head(self._fields, self._no_body or (end and not text))
        if text:
            stream.send(text, end)

    def _build_head(self, size: int) -> bytes:
        """Make `_fields`, with what the application has left to the server; b"", since nothing of it stands in front of the body."""
        head = self._head
        if head is None:
            raise RuntimeError("the application has not called start_response")
        code = head.code
        extra: Fields = []
        if code == 204 or code == 304 or code < 200:
            self._no_body = True
            if code != 304:
                head.drop_length()
        elif head.length >= 0:
            self._left = head.length
        elif size > 0 or (size == 0 and not self._head_only):
            self._left = size
            extra.append((b"content-length", b"%d" % size))
        if self._head_only:
            self._no_body = True
        if not head.has_date:
            extra.append((b"date", date_line(time.time())[6:].encode("ascii")))
        fields = self._fields = _encode(head)
        fields += extra
        if code < 200:
            # An interim status ends nothing, and an application that ends with one has made a mistake.
            fields[0] = (b":status", b"500")
        request = self._request
        request.header_count = len(fields) - 1
        # As it would be in HTTP/1.1, for the log.
        request.header_bytes = sum([len(name) + len(value) + 4 for name, value in fields]) + len(head.lines[0])
        self.head_sent = self._connection.responding = True
        return b""


def _encode(head: Head) -> Fields:
    """The fields of a head."""
    fields = [(b":status", b"%d" % head.code)]
    for line in head.lines[1:]:
        name, _, value = line.partition(": ")
        lower = _names.get(name) or _lower(name)
        if lower != b"upgrade":  # which belongs to HTTP/1.1; all others of its kind `Head` has left out
            fields.append((lower, value.encode("latin-1")))
    return fields


def _lower(name: str) -> bytes:
    """A header's name as HTTP/2 has it."""
    lower = name.lower().encode("ascii")
    if len(_names) < _MAX_CACHED and len(name) <= 64:
        _names[name] = lower
    return lower
