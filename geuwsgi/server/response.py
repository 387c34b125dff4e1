"""One response: from what a WSGI application says and yields to the bytes of HTTP/1.1.

Source: PEP 3333 ("The start_response() Callable", "Handling the Content-Length Header", "Error Handling"); RFC 9112 sections 6 and 7.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from ..log import log
from .filewrapper import FileWrapper
from .head import Head, date_line

if TYPE_CHECKING:
    from .connection import HTTPConnection
    from .request import Request

#: Up to this many bytes, a head and the data behind it are joined for one send; beyond it, copying costs more than sendmsg.
JOIN_LIMIT = 64 * 1024

#: Who has sent too little, in the log.
APPLICATION = "the application"
CUT_FILE = "a file that became shorter meanwhile"

_LAST_CHUNK = b"0\r\n\r\n"


class Response:
    """The response to one request.

    Args:
        connection: where it goes.
        request: what it answers.
        http11: the request is HTTP/1.1, not 1.0.
        head_only: the request is a HEAD.
        keep_alive: the client lets the connection live on.

    Attributes:
        head_sent: the status is out, and nothing can change it any more.
        complete: all that was promised has been sent.
        refused: the server has answered in the application's place.
        keep_alive: the connection can serve another request after this.
        ruled: what rules of the internal routing have to do with it; only there when they have (`routes.response`).
        until_closed: it goes to a front server, which takes the end of the connection for the end of the body.
    """

    until_closed = False

    __slots__ = (
        "_chunked",
        "_connection",
        "_head",
        "_head_only",
        "_http11",
        "_left",
        "_no_body",
        "_overrun",
        "_request",
        "complete",
        "head_sent",
        "keep_alive",
        "refused",
        "ruled",
    )

    ruled: Any

    def __init__(self, connection: HTTPConnection, request: Request, http11: bool, head_only: bool, keep_alive: bool) -> None:
        self._connection = connection
        self._request = request
        self._http11 = http11
        self._head_only = head_only
        self._head: Optional[Head] = None
        #: Bytes that Content-Length still allows; -1 without one.
        self._left = -1
        self._chunked = False
        self._no_body = False
        self._overrun = False
        self.head_sent = False
        self.complete = False
        self.refused = False
        self.keep_alive = keep_alive

    # -- what the application calls

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """PEP 3333's start_response.

        Raises:
            RuntimeError: a second call without `exc_info`.
            TypeError, ValueError: as `Head`.
        """
        if self.refused:
            return self.write
        if exc_info is not None:
            try:
                if self.head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # no cycle through the traceback
        elif self._head is not None:
            raise RuntimeError("start_response was called a second time, without exc_info")
        self._head = Head(status, headers)
        self._request.status = status
        return self.write

    def write(self, data: bytes) -> None:
        """PEP 3333's write: send at once.

        Raises:
            ClientError: the client is gone.
        """
        if type(data) is not bytes:
            raise TypeError(f"write() takes bytes, not {type(data).__name__}")
        if self.refused:
            return
        if data or not self.head_sent:
            self._send(data)

    def write_file(self, fd: int, offset: int, count: int) -> None:
        """As `write`, for bytes of a regular file, which the kernel moves.

        Raises:
            ClientError: the client is gone.
            OSError: the file is shorter than that; the response is broken off.
        """
        if self.refused:
            return
        transport = self._connection.transport
        head = b"" if self.head_sent else self._build_head(-1)
        if self._no_body:
            count = 0
        elif self._left >= 0:
            count = self._allow(count)
        if count and self._chunked:
            head += b"%x\r\n" % count
        if head:
            transport.send(head)
        if not count:
            return
        sent = transport.send_file(fd, offset, count)
        self._request.body_bytes += sent
        if sent < count:
            self.complete = self.keep_alive = False
            transport.reset()
            raise OSError(f"the file ended {count - sent} bytes before its time")
        if self._chunked:
            transport.send(b"\r\n")

    def write_raw(self, data: bytes) -> None:
        """Send bytes as they are, in the place of a response or in the middle of one; the connection ends with this response.

        Raises:
            ClientError: the client is gone.
        """
        self.keep_alive = False
        self.head_sent = self._connection.responding = True
        self._connection.transport.send(data)
        self._request.body_bytes += len(data)

    # -- what the connection calls

    def send(self, result: Any) -> None:
        """Send what the application returned, and end the response.

        Raises:
            ClientError: the client is gone.
            Exception: what the application's iterable raises.
        """
        request = self._request
        if type(result) is bytes:
            # Taken for a body and not for a series of numbers, as by uWSGI.
            result = (result,) if result else ()
        if request.websocket is None and not self.head_sent:
            kind = type(result)
            if (kind is list or kind is tuple) and len(result) == 1:
                data = result[0]
                if type(data) is bytes:
                    self._send_whole(data)
                    return
            elif (kind is list or kind is tuple) and self._joinable(result):
                self._send_whole(b"".join(result))
                return
            elif kind is FileWrapper:
                region = result.region()
                if region is not None:
                    self._send_file(*region)
                    return
        if result is None:
            if request.websocket is not None or self.refused:
                return
            raise TypeError("the application returned None")
        self._iterate(result)
        if request.websocket is None and not self.refused:
            self._finish()

    def fail(self, status: str) -> None:
        """Answer with an error page, or, when the head is out, break the response off so that it cannot be taken for whole.

        Raises:
            ClientError: the client is gone.
        """
        if self.head_sent:
            if not self.complete:
                self.keep_alive = False
                if self._left < 0 and not self._chunked and not self._no_body:
                    # Its end is the end of the connection: only a reset tells it from a whole one.
                    self._connection.transport.reset()
            return
        headers = [("Content-Type", "text/plain; charset=utf-8")]
        if status.startswith("426"):
            # RFC 9110 section 15.5.22 and RFC 6455 section 4.4.
            headers += [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
        self._head = Head(status, headers)
        self._request.status = status
        self._send_whole(status.encode("latin-1") + b"\n")

    def refuse(self, status: str) -> None:
        """Answer with an error in the middle of the application's call, and close.

        Raises:
            ClientError: the client is gone.
        """
        self.refused = True
        self.keep_alive = False
        self.fail(status)

    def whole(self, data: bytes) -> None:
        """Send the whole body at once, before the application returns.

        Raises:
            ClientError: the client is gone.
        """
        if not self.refused:
            self._send_whole(data)
            self._left = 0

    def inform(self, status: str, headers: list[tuple[str, str]]) -> None:
        """Send an interim response, such as 103 Early Hints (RFC 9110 section 15.2), to a client that knows of them.

        Raises:
            ClientError: the client is gone.
        """
        if self._http11 and not self.head_sent:
            lines = Head(status, headers).lines
            self._connection.transport.send(("HTTP/1.1 " + "\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def switched(self, status: str, header_count: int) -> None:
        """The connection was handed over to somebody who has answered, or will: nothing is left to be sent here."""
        self.refused = self.head_sent = self.complete = True
        self.keep_alive = False
        self._request.status = status
        self._request.header_count = header_count

    # -- the body

    def _joinable(self, chunks: Union[list[Any], tuple[Any, ...]]) -> bool:
        """Whether a body in several pieces is all there, so that it needs no more than one in one piece."""
        request = self._request
        if request.waits or request.sleep >= 0 or not chunks:
            return False
        return all(type(chunk) is bytes for chunk in chunks) and sum(map(len, chunks)) <= JOIN_LIMIT

    def _iterate(self, result: Iterable[bytes]) -> None:
        request = self._request
        for data in result:
            if request.websocket is not None or self.refused:
                # The upgrade has taken the place of the response: what is yielded only marks time.
                if not data:
                    self._pause()
            elif data:
                if type(data) is not bytes:
                    raise TypeError(f"the application's iterable yielded {type(data).__name__}, not bytes")
                if not (self._no_body and self.head_sent):
                    self._send(data)
                    if self._head_only:
                        return
            else:
                self._pause()

    def _pause(self) -> None:
        """An empty chunk: under uWSGI's async API it means "wait for what I have registered"."""
        request = self._request
        server = self._connection.server
        if request.waits or request.sleep >= 0 or server.settings.http.async_mode:
            server.suspend(request)

    def _send(self, data: bytes) -> None:
        """Send a piece of a body whose size is not known."""
        transport = self._connection.transport
        head = b"" if self.head_sent else self._build_head(-1)
        if self._no_body:
            if head:
                transport.send(head)
            return
        if self._left >= 0:
            data = self._limit(data)
        if not data:
            if head:
                transport.send(head)
            return
        self._request.body_bytes += len(data)
        if self._chunked:
            head += b"%x\r\n" % len(data)
            transport.send(b"%b%b\r\n" % (head, data))
        elif len(data) <= JOIN_LIMIT:
            transport.send(head + data)
        elif head:
            transport.send_two(head, data)
        else:
            transport.send(data)

    def _send_whole(self, data: bytes) -> None:
        """Send a body that is all there, and end the response."""
        head = self._build_head(len(data))
        self.complete = True
        if self._no_body:
            data = b""
        elif self._left != len(data):
            data = self._limit(data)
            if self._left:
                self._short()
        self._request.body_bytes = len(data)
        if len(data) <= JOIN_LIMIT:
            self._connection.transport.send(head + data)
        else:
            self._connection.transport.send_two(head, data)

    def _send_file(self, fd: int, offset: int, size: int) -> None:
        head = self._build_head(size)
        transport = self._connection.transport
        if self._no_body:
            self.complete = True
            transport.send(head)
            return
        count = min(size, self._left)
        if count > JOIN_LIMIT:
            # From here on it is the kernel that works: a client that takes its time holds no core.
            self._connection.give_core_back()
        if count <= JOIN_LIMIT:
            data = os.pread(fd, count, offset)
            sent = len(data)
            transport.send(head + data)
        else:
            transport.send(head)
            sent = transport.send_file(fd, offset, count)
        self._request.body_bytes = sent
        self._left -= sent
        self.complete = True
        if self._left:
            self._short(CUT_FILE if sent < count else APPLICATION)

    def _finish(self) -> None:
        """The application has nothing more to say."""
        if not self.head_sent:
            self._send_whole(b"")
            return
        self.complete = True
        if self._chunked:
            self._connection.transport.send(_LAST_CHUNK)
        elif self._left > 0 and not self._no_body:
            self._short()

    def _limit(self, data: bytes) -> bytes:
        """Cut what goes beyond Content-Length, which the client would take for the next response."""
        count = self._allow(len(data))
        return data if count == len(data) else data[:count]

    def _allow(self, count: int) -> int:
        """How many of the next `count` bytes Content-Length leaves room for; the room is used up."""
        left = self._left
        if count > left:
            if not self._overrun:
                self._overrun = True
                log(f"{self._what()} sent more bytes than its Content-Length said: the rest is dropped")
            count = left
        self._left = left - count
        return count

    def _short(self, whose: str = APPLICATION) -> None:
        """Fewer bytes than Content-Length said: closing tells the client, who would wait for them otherwise."""
        self.keep_alive = False
        log(f"{self._what(whose)} sent {self._left} bytes less than its Content-Length said: the connection is closed")

    def _what(self, whose: str = APPLICATION) -> str:
        environ = self._request.environ
        return f"{environ.get('REQUEST_METHOD', '')} {environ.get('REQUEST_URI', '')}: {whose}"

    # -- the head

    def _build_head(self, size: int) -> bytes:
        """The head, with the framing headers that the application has left to the server.

        Args:
            size: bytes of the whole body when they are known, else -1.
        """
        head = self._head
        if head is None:
            raise RuntimeError("the application has not called start_response")
        request = self._request
        connection = self._connection
        code = head.code
        lines = head.lines
        http11 = self._http11
        if code == 204 or code == 304 or code < 200:
            self._no_body = True
            if code != 304:
                head.drop_length()
                lines = head.lines
        elif head.length >= 0:
            self._left = head.length
        elif size > 0 or (size == 0 and not self._head_only):
            self._left = size
            lines.append(f"Content-Length: {size}")
        elif self._head_only:
            pass
        elif http11 and not self.until_closed:
            self._chunked = True
            lines.append("Transfer-Encoding: chunked")
        else:
            self.keep_alive = False
        if self._head_only:
            self._no_body = True
            self._chunked = False
        if not self.keep_alive or head.close or code < 200 or connection.must_close():
            self.keep_alive = False
            if not self.until_closed:
                lines.append("Connection: close")
        elif not http11:
            lines.append("Connection: keep-alive")
        if not head.has_date:
            lines.append(date_line(time.time()))
        protocol = "HTTP/1.1 " if http11 else "HTTP/1.0 "
        encoded = (protocol + "\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self.head_sent = connection.responding = True
        request.header_count = len(lines) - 1
        request.header_bytes = len(encoded)
        return encoded
