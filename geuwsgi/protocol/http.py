"""HTTP/1.1 request heads, from bytes to an environ. No I/O.

llhttp (through httptools) is the parser. It cannot pause: given the bytes of two pipelined requests it parses both. So it is
never given more than one head: the end of a head, an empty line, is looked for first, llhttp gets exactly the bytes up to it,
and what follows (a body, the next request, early websocket frames) stays here, unread, until somebody takes it.

Source: RFC 9112 (HTTP/1.1), RFC 9110 (fields), PEP 3333 and RFC 3875 (environ), and uWSGI for what those leave open.
"""

from __future__ import annotations

import re
from typing import Any, Optional

import httptools

from ..errors import HTTPError
from .head import HeadParser, path_info

BAD_REQUEST = "400 Bad Request"
URI_TOO_LONG = "414 URI Too Long"
EXPECTATION_FAILED = "417 Expectation Failed"
HEADERS_TOO_LARGE = "431 Request Header Fields Too Large"
NOT_IMPLEMENTED = "501 Not Implemented"
VERSION_NOT_SUPPORTED = "505 HTTP Version Not Supported"

#: llhttp also knows the methods of RTSP, ICE and HTTP/2's preface. CONNECT asks for a tunnel, which an origin server does not offer.
METHODS = {
    name.encode(): name
    for name in [
        *("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "QUERY"),
        *("COPY", "LOCK", "MKCOL", "MOVE", "PROPFIND", "PROPPATCH", "SEARCH", "UNLOCK", "BIND", "REBIND", "UNBIND", "ACL"),
        *("REPORT", "MKACTIVITY", "CHECKOUT", "MERGE", "M-SEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE", "PURGE"),
        *("MKCALENDAR", "LINK", "UNLINK"),
    ]
}

#: Names come from clients: neither their number nor their length may grow this without bound.
_MAX_CACHED_KEYS = 2048
_MAX_CACHED_NAME = 64
_keys: dict[bytes, str] = {b"Content-Type": "CONTENT_TYPE", b"Content-Length": "CONTENT_LENGTH"}

_UNKNOWN_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ ")
#: RFC 3986 section 3.2.2, without looking into the IPv6 literal; the empty host is what a target without an authority has.
HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")


class HTTP2Preface(HTTPError):
    """Not a request, but the first 18 bytes of what a client of HTTP/2 says first (RFC 9113 section 3.4).

    Attributes:
        template: what every environ of the connection holds.
    """

    def __init__(self, template: dict[str, Any]) -> None:
        super().__init__(VERSION_NOT_SUPPORTED, "the preface of HTTP/2")
        self.template = template


def environ_key(name: bytes) -> str:
    """The environ key of a header: "HTTP_X_REAL_IP" for b"X-Real-IP".

    Returns "" for a name with an underscore, which is dropped: it would share its key with the spelling that has a dash, so
    that a client could send `X_Real_IP` past a proxy that only strips or sets `X-Real-IP`.
    """
    if b"_" in name:
        return ""
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


class RequestParser(HeadParser):
    """Parses one request head after another.

    Args:
        template: as `HeadParser` has it; no HTTP_ or CONTENT_ keys.
        limit: the request line and the final empty line count as well.
    """

    __slots__ = ("_blank", "_complete", "_llhttp", "_problem", "_tail", "_url", "_valid_host")

    def __init__(self, template: dict[str, Any], limit: int) -> None:
        super().__init__(template, limit)
        self._llhttp: Any = None
        self._tail = b""
        self._url = b""
        self._blank = 0
        self._complete = False
        self._problem = ""
        self._valid_host = ""

    # -- bytes in, a head out

    def feed(self, data: bytes) -> bool:
        """Take bytes of the connection while a head is awaited; True when it is complete.

        Raises:
            HTTPError: the bytes are not a request that can be served. The connection is of no use after that.
        """
        if self.started:
            return self._feed_on(data)
        if data[0] <= 13:
            # RFC 9112 section 2.2: ignore empty lines before the request line. They count, or they could come for ever.
            size = len(data)
            data = data.lstrip(b"\r\n")
            self._blank += size - len(data)
            if self._blank > self._limit:
                raise HTTPError(BAD_REQUEST, "nothing but empty lines")
            if not data:
                return False
        self._blank = 0
        if self._llhttp is None:
            self._llhttp = httptools.HttpRequestParser(self)
        self.environ = self._template.copy()
        self._url = b""
        self._complete = False
        self.header_count = 0
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self.started = True
            self.head_size = len(data)
            self._tail = data[-3:]
            self._parse(data)
            self._check_unfinished()
            return False
        end += 4
        self.head_size = end
        if end < len(data):
            self._unread = data[end:]
            data = data[:end]
        self._parse(data)
        return self._head()

    def _feed_on(self, data: bytes) -> bool:
        """The same in the middle of a head: its end may lie across two reads."""
        tail = self._tail
        end = (tail + data).find(b"\r\n\r\n")
        if end >= 0:
            end += 4 - len(tail)
            if end < len(data):
                self._unread = data[end:]
                data = data[:end]
        self.head_size += len(data)
        self._parse(data)
        if end >= 0:
            self.started = False
            return self._head()
        self._tail = (tail + data)[-3:]
        self._check_unfinished()
        return False

    def feed_unread(self) -> bool:
        """Go on with the bytes that came behind the last message; True when they hold a complete head."""
        data = self.take_unread()
        return bool(data) and self.feed(data)

    def close(self) -> None:
        self._llhttp = None  # which holds on to this object: no cycle is left to the collector

    # -- llhttp's callbacks. What they raise would arrive wrapped, so they note problems instead.

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key = _keys.get(name)
        if key is None:
            key = environ_key(name)
            if len(name) <= _MAX_CACHED_NAME and len(_keys) < _MAX_CACHED_KEYS:
                _keys[name] = key
        self.header_count += 1
        if not key:
            return
        # llhttp strips what is before the value, and of what is behind it only spaces.
        text = value.rstrip(b" \t").decode("latin-1")
        environ = self.environ
        if key in environ:
            if key == "HTTP_HOST":
                self._problem = "more than one Host"
            # Joined with ", " as RFC 9110 section 5.3 and uWSGI do; cookies as RFC 6265 section 5.4 spells them.
            text = environ[key] + ("; " if key == "HTTP_COOKIE" else ", ") + text
        environ[key] = text

    def on_headers_complete(self) -> None:
        self._complete = True
        # Not later: llhttp forgets the Connection header when the message is complete.
        self.keep_alive = self._llhttp.should_keep_alive()

    # -- judging

    def _parse(self, data: bytes) -> None:
        try:
            self._llhttp.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Connection: upgrade. Whether it is one is for the application to say; llhttp is ready for the next message.
            pass
        except httptools.HttpParserError as error:
            raise self._refuse(error, data) from None

    def _check_unfinished(self) -> None:
        if self._complete:
            # llhttp ends a head of HTTP/0.9 at less than CRLF CRLF, and would take the rest for something else.
            raise HTTPError(BAD_REQUEST, "empty line inside the request head")
        if self.head_size > self._limit:
            raise self._too_large()

    def _head(self) -> bool:
        """The head is complete: what it means."""
        if not self._complete:
            if self._llhttp.get_method() == b"PRI":
                if self._url == b"*" and self.head_size == 18 and self._llhttp.get_http_version() == "2.0":
                    raise HTTP2Preface(self._template)
                raise HTTPError(VERSION_NOT_SUPPORTED, "the preface of HTTP/2")
            raise HTTPError(BAD_REQUEST, "empty line inside the request head")
        if self.head_size > self._limit:
            raise self._too_large()
        environ = self.environ
        llhttp = self._llhttp
        version = llhttp.get_http_version()
        if version == "1.1":
            self.http11 = True
            environ["SERVER_PROTOCOL"] = "HTTP/1.1"
        elif version == "1.0":
            self.http11 = False
            environ["SERVER_PROTOCOL"] = "HTTP/1.0"
        else:
            raise HTTPError(VERSION_NOT_SUPPORTED, f"HTTP/{version}")
        method = METHODS.get(llhttp.get_method())
        if method is None:
            raise HTTPError(NOT_IMPLEMENTED, f"method {llhttp.get_method().decode('latin-1')}")
        environ["REQUEST_METHOD"] = method
        environ["REQUEST_URI"] = target = self._url.decode("latin-1")
        path, _, environ["QUERY_STRING"] = target.partition("?")
        if path[0] != "/" or "#" in target:
            path = self._unusual_target(target, path)
        environ["PATH_INFO"] = path_info(path)
        host = environ.get("HTTP_HOST")
        if not host or host != self._valid_host:
            self._check_host(host)
        if self._problem:
            raise HTTPError(BAD_REQUEST, self._problem)
        # Only a message with a body leaves llhttp in the middle of something, and a new one is cheap.
        if "HTTP_TRANSFER_ENCODING" in environ:
            self._check_transfer_encoding(environ["HTTP_TRANSFER_ENCODING"])
            self.content_length = -1
            self._llhttp = None
        elif "CONTENT_LENGTH" in environ:
            # llhttp has made sure that these are digits, and fewer than 2**64 bytes. But they may begin with zeros without end.
            length = environ["CONTENT_LENGTH"]
            if len(length) > 20:
                raise HTTPError(BAD_REQUEST, f"Content-Length of {len(length)} digits")
            self.content_length = int(length)
            self._llhttp = None
        else:
            self.content_length = 0
        if "HTTP_EXPECT" in environ:
            self._check_expect(environ["HTTP_EXPECT"])
        else:
            self.expect_continue = False
        return True

    def _unusual_target(self, target: str, path: str) -> str:
        """The path of a request target that is not in origin form.

        Of the four forms of RFC 9112 section 3.2 CONNECT's has been refused before.
        """
        if "#" in target:
            raise HTTPError(BAD_REQUEST, "fragment in the request target")
        if path == "*":
            if target != "*" or self.environ["REQUEST_METHOD"] != "OPTIONS":
                raise HTTPError(BAD_REQUEST, "the target * is for OPTIONS only")
            return path
        return self._absolute(path)

    def _absolute(self, url: str) -> str:
        """The path of an absolute URL, whose authority replaces Host (RFC 9112 section 3.2.2)."""
        scheme, _, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        if scheme.lower() not in ("http", "https") or not authority or "@" in authority:
            raise HTTPError(BAD_REQUEST, "unusable absolute request target")
        if self.http11 and "HTTP_HOST" not in self.environ:
            raise HTTPError(BAD_REQUEST, "no Host")
        self.environ["HTTP_HOST"] = authority
        return slash + path or "/"

    def _check_host(self, host: Optional[str]) -> None:
        if host is None:
            if self.http11:
                raise HTTPError(BAD_REQUEST, "no Host")
        elif HOST.fullmatch(host):
            self._valid_host = host
        else:
            raise HTTPError(BAD_REQUEST, self._problem or f"invalid Host {host!r}")

    def _check_transfer_encoding(self, codings: str) -> None:
        if not self.http11:
            # RFC 9112 section 6.1: the framing of such a message is to be treated as faulty.
            raise HTTPError(BAD_REQUEST, "Transfer-Encoding in HTTP/1.0")
        if codings.lower() != "chunked":
            raise HTTPError(NOT_IMPLEMENTED, f"transfer coding {codings}")

    def _check_expect(self, expect: str) -> None:
        # RFC 9110 section 10.1.1: HTTP/1.0 cannot expect anything, and an unknown expectation may be answered with 417.
        if self.http11 and expect.lower() != "100-continue":
            raise HTTPError(EXPECTATION_FAILED, f"Expect: {expect}")
        self.expect_continue = self.http11 and self.content_length != 0

    def _too_large(self) -> HTTPError:
        if not self.header_count and len(self._url) * 2 > self._limit:
            return HTTPError(URI_TOO_LONG, f"request line of more than {self._limit} bytes (buffer-size)")
        return HTTPError(HEADERS_TOO_LARGE, f"request head of more than {self._limit} bytes (buffer-size)")

    def _refuse(self, error: httptools.HttpParserError, data: bytes) -> HTTPError:
        """What llhttp's complaint means for the client."""
        text = str(error)
        if isinstance(error, httptools.HttpParserInvalidMethodError):
            if _UNKNOWN_METHOD.match(data):
                return HTTPError(NOT_IMPLEMENTED, f"method {data.split(b' ', 1)[0][:32].decode('latin-1')}")
            return HTTPError(BAD_REQUEST, "not an HTTP request")
        if "PRI/Upgrade" in text or "Invalid HTTP version" in text:
            return HTTPError(VERSION_NOT_SUPPORTED, text)
        if text.startswith("Request has invalid `Transfer-Encoding`"):
            return HTTPError(NOT_IMPLEMENTED, f"transfer coding {self.environ.get('HTTP_TRANSFER_ENCODING', '')}")
        return HTTPError(BAD_REQUEST, text)
