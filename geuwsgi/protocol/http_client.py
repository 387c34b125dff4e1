"""HTTP/1.1 as a client speaks it: an environ in, the head of a request out; bytes in, the head of a response out. No I/O.

Source: RFC 9112 (HTTP/1.1), RFC 9110 section 7.6 (what a gateway leaves out and adds).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httptools

from ..errors import ProtocolError
from .head import decimal

#: The largest response head. Servers say 8 to 64 KiB.
MAX_HEAD = 65536

#: Fields of one connection (RFC 9110 section 7.6.1), and what is said anew for the next one.
_LEFT_OUT = frozenset(
    [
        *("HTTP_CONNECTION", "HTTP_KEEP_ALIVE", "HTTP_PROXY_CONNECTION", "HTTP_TE", "HTTP_TRAILER", "HTTP_TRANSFER_ENCODING"),
        *("HTTP_UPGRADE", "HTTP_EXPECT", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_HOST", "HTTP_CONTENT_LENGTH"),
    ]
)
#: Spelled in a way that title case does not give. Names are the same in any case, but not every program knows.
_SPELLED = {"Www-Authenticate": "WWW-Authenticate", "Dnt": "DNT", "Etag": "ETag"}

#: What a request target may not hold as it is, and what is left alone where something of it is quoted.
_UNSAFE = re.compile("[^\x21-\x7e]")
_KEPT = "".join(map(chr, range(0x21, 0x7F)))
#: What may stand behind a status code.
_REASON = re.compile("[\t\x20-\x7e\x80-\xff]*")

_MAX_CACHED = 2048
_names: dict[str, str] = {"CONTENT_TYPE": "Content-Type: "}


class BadResponse(ProtocolError):
    """The bytes of a backend are no HTTP response."""


def encode_request(environ: Mapping[str, Any], length: int, upgrade: str = "", keep_alive: bool = True) -> bytes:
    """The head of a request.

    Args:
        environ: as PEP 3333 has it, with REQUEST_URI and HTTP_ keys.
        length: bytes of the body; -1 when it follows as chunks.
        upgrade: the protocol to change to, "" for none.
        keep_alive: the connection can be used again.

    Raises:
        ValueError: something in it would break the head apart. No client can send such a thing, but rules may make it of what is decoded.
    """
    method = environ["REQUEST_METHOD"]
    target = environ["REQUEST_URI"]
    if target[:1] != "/" and target != "*":
        # An absolute URL, whose authority is in HTTP_HOST by now (RFC 9112 section 3.2.2). It ends with a query as well as with a slash:
        # the backend has to see the path that was decided on here.
        path, mark, query = target.partition("://")[2].partition("?")
        target = "/" + path.partition("/")[2] + mark + query
    if _UNSAFE.search(target):
        target = quote(target, safe=_KEPT, encoding="latin-1")
    # Who has connected, also where an X-Forwarded-For was believed: that one goes in front of it.
    address = environ.get("geuwsgi.peer") or environ.get("REMOTE_ADDR", "")
    before = environ.get("HTTP_X_FORWARDED_FOR")
    lines = [
        f"{method} {target} HTTP/1.1",
        f"Host: {environ.get('HTTP_HOST') or environ.get('SERVER_NAME') or 'localhost'}",
        f"X-Forwarded-Proto: {environ.get('wsgi.url_scheme', 'http')}",
    ]
    if before or address:
        lines.append(f"X-Forwarded-For: {before + ', ' + address if before and address else before or address}")
    for key, value in environ.items():
        name = _names.get(key)
        if name is None:
            name = _name(key)
        if name:
            lines.append(name + value)
    if upgrade:
        lines += [f"Upgrade: {upgrade}", "Connection: Upgrade"]
    elif not keep_alive:
        lines.append("Connection: close")
    if length < 0:
        lines.append("Transfer-Encoding: chunked")
    elif length or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {length}")
    lines.append("\r\n")
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) or text.count("\r") != len(lines) or "\0" in text:
        raise ValueError("a line break in a header for an HTTP backend")
    return text.encode("latin-1")


def options(connection: str) -> set[str]:
    """What a Connection header lists, in lower case (RFC 9110 section 7.6.1)."""
    return {option.strip() for option in connection.lower().split(",")}


def _name(key: str) -> str:
    """ "HTTP_X_REAL_IP" -> "X-Real-Ip: "; "" for what is no header or stays behind."""
    if not key.startswith("HTTP_") or key in _LEFT_OUT:
        found = ""
    else:
        found = key[5:].replace("_", "-").title()
        if found.startswith("Sec-Websocket"):
            found = "Sec-WebSocket" + found[13:]
        found = _SPELLED.get(found, found) + ": "
    if len(_names) < _MAX_CACHED and len(key) <= 64:
        _names[key] = found
    return found


class ResponseHead:
    """The head of a response.

    Args:
        data: its bytes, with the empty line at the end and nothing behind it.

    Attributes:
        code: the status code.
        status: with its reason: "200 OK".
        headers: without those that concern one connection only.
        upgrade: the protocol that a 101 changes to.
        length: what Content-Length says; -1 without one.
        chunked: the body has the chunked coding.
        keep_alive: the connection can be used again, if the body says where it ends.

    Raises:
        BadResponse: it is none.
    """

    __slots__ = ("_close", "_connection", "_problem", "chunked", "code", "headers", "keep_alive", "length", "status", "upgrade")

    def __init__(self, data: bytes) -> None:
        self.headers: list[tuple[str, str]] = []
        self.length = -1
        self.chunked = False
        self.upgrade = ""
        self._connection = ""
        self._problem = ""
        self.status = ""
        llhttp = httptools.HttpResponseParser(self)
        try:
            llhttp.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            raise BadResponse(f"not an HTTP response ({error})") from None
        self.code = code = llhttp.get_status_code()
        if self._problem or not 100 <= code <= 999:
            raise BadResponse(self._problem or f"status {code}")
        version = llhttp.get_http_version()
        if version not in ("1.1", "1.0"):
            raise BadResponse(f"HTTP/{version}")
        if not _REASON.fullmatch(self.status):
            raise BadResponse("control characters behind the status")
        self.status = f"{code} {self.status}"
        connection = self._connection.lower()
        # RFC 9112 section 6.1: what stands behind a chunked body of HTTP/1.0 is not to be trusted.
        self.keep_alive = "close" not in connection and (version == "1.1" or ("keep-alive" in connection and not self.chunked))
        if connection and connection not in ("close", "keep-alive", "upgrade"):
            named = options(connection)
            self.headers = [pair for pair in self.headers if pair[0].lower() not in named]

    # -- llhttp's callbacks

    def on_status(self, reason: bytes) -> None:
        self.status += reason.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        text = value.rstrip(b" \t").decode("latin-1")
        special = _SPECIAL.get(name)
        if special is None:
            special = _SPECIAL.get(name.lower(), 0)
        if special:
            if special == _LENGTH:
                # llhttp has seen to it that there is one, and that it is a number. The client is told the one that is counted with.
                self.length = decimal(text)
                text = str(self.length)
            elif special == _CODING:
                if self.chunked or text.lower() != "chunked":
                    self._problem = f"transfer coding {text!r}" + (" behind chunked" if self.chunked else "")
                self.chunked = True
                return
            elif special == _CONNECTION:
                self._connection += "," + text if self._connection else text
                return
            elif special == _UPGRADE:
                self.upgrade = text
                return
            else:
                return
        self.headers.append((name.decode("latin-1"), text))


_LENGTH, _CODING, _CONNECTION, _UPGRADE, _DROPPED = range(1, 6)
_SPECIAL = {
    b"content-length": _LENGTH,
    b"transfer-encoding": _CODING,
    b"connection": _CONNECTION,
    b"upgrade": _UPGRADE,
    b"keep-alive": _DROPPED,
    b"proxy-connection": _DROPPED,
    b"te": _DROPPED,
    b"trailer": _DROPPED,
    b"Content-Length": _LENGTH,
    b"Transfer-Encoding": _CODING,
    b"Connection": _CONNECTION,
}
