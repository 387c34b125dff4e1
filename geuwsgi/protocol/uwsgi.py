"""The uwsgi protocol, from bytes to an environ. No I/O.

    modifier1 (1 byte)  size of the block (2 bytes, little endian)  modifier2 (1 byte)
    the block: for a request, variables: size of the key (2 bytes), key, size of the value (2 bytes), value
    the body of the request, as it is

The answer to a request is an HTTP/1 response whose end is the end of the connection.

Source: uWSGI's documentation ("The uwsgi Protocol") and answers of a running uWSGI 2.0.31; nginx and uWSGI's HTTP router as senders.
"""

from __future__ import annotations

import re
import struct
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from ..errors import HTTPError
from .head import HeadParser
from .http import BAD_REQUEST, HEADERS_TOO_LARGE, NOT_IMPLEMENTED

#: A request for a WSGI application.
WSGI = 0
#: To the spooler.
SPOOL = 17
#: A request whose PATH_INFO begins with SCRIPT_NAME, which is to be taken off.
WSGI_WITH_SCRIPT_NAME = 30
PING = 100
#: A signal of the signal framework.
SIGNAL = 110
#: A remote procedure call.
RPC = 173

_HEAD = struct.Struct("<BHB")
HEAD_SIZE = _HEAD.size

#: What comes from clients that speak something else. Each would be a head, whose block never comes.
_STRANGERS = {
    **dict.fromkeys((b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC", b"PRI ", b"CONN", b"TRAC"), "an HTTP request"),
    b"PROX": "a PROXY protocol header",
    b"\r\n\r\n": "a PROXY protocol header",
}
_ADVICE = "this address speaks the uwsgi protocol (--socket), for browsers and HTTP proxies there is --http-socket"

_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEMES = ("http", "https")


def packet(modifier1: int, block: bytes = b"", modifier2: int = 0) -> bytes:
    """A packet.

    Raises:
        ValueError: the block has more than 65,535 bytes.
    """
    try:
        return _HEAD.pack(modifier1, len(block), modifier2) + block
    except struct.error as error:
        raise ValueError(f"no packet: {error}") from None


def decode_vars(block: bytes) -> dict[str, str]:
    """The variables in a block, in order; bytes become characters of latin-1, as PEP 3333 wants them.

    Of a name that comes twice the last value counts, as in uWSGI, but fields of the request (HTTP_...) are joined, as for HTTP.

    Raises:
        HTTPError: the sizes do not add up, a name is empty, or there are two different lengths.
    """
    text = block.decode("latin-1")
    size = len(block)
    found: dict[str, str] = {}
    at = 0
    try:
        while at < size:
            end = at + 2 + block[at] + (block[at + 1] << 8)
            key = text[at + 2 : end]
            start = end + 2
            at = start + block[end] + (block[end + 1] << 8)
            if key in found:
                found[key] = _joined(key, found[key], text[start:at])
            else:
                found[key] = text[start:at]
    except IndexError:
        at = size + 1
    if at > size:
        raise HTTPError(BAD_REQUEST, "a variable that goes beyond the end of its uwsgi packet")
    if "" in found:
        raise HTTPError(BAD_REQUEST, "a variable without a name in a uwsgi packet")
    return found


def _joined(key: str, before: str, value: str) -> str:
    """The value of a variable that comes once more."""
    if key.startswith("HTTP_"):
        return before + ("; " if key == "HTTP_COOKIE" else ", ") + value
    if key == "CONTENT_LENGTH" and before != value:
        raise HTTPError(BAD_REQUEST, "two different CONTENT_LENGTH in a uwsgi packet")
    return value


class PacketParser(HeadParser):
    """Parses the packet at the beginning of a connection; what comes behind it is the body of the request, or websocket frames.

    A connection carries one request, so `keep_alive` stays False; so does `expect_continue`, which the front server has answered.

    Args:
        template: as `HeadParser` has it. Variables replace it, but nothing that belongs to the server ("wsgi.input").
        limit: of the block (`--buffer-size`).

    Attributes:
        modifier1: of the packet: WSGI or another constant of this module. `modifier2` alike.
        block: the bytes of a packet that is no request, b"" of one that is.
    """

    __slots__ = ("_buffer", "block", "modifier1", "modifier2")

    def __init__(self, template: dict[str, Any], limit: int) -> None:
        super().__init__(template, limit)
        self._buffer = bytearray()
        self.block = b""
        self.modifier1 = self.modifier2 = 0

    def feed(self, data: bytes) -> bool:
        """Take bytes of the connection; True when the packet is complete. Raises HTTPError when they are none that can be served."""
        buffer = self._buffer
        buffer += data
        self.started = True
        if len(buffer) < HEAD_SIZE:
            return False
        start = bytes(buffer[:HEAD_SIZE])
        if start in _STRANGERS:
            raise HTTPError(BAD_REQUEST, f"{_STRANGERS[start]}: {_ADVICE}")
        if start.startswith(b"\x16\x03"):
            raise HTTPError(BAD_REQUEST, f"a TLS handshake: {_ADVICE}")
        self.modifier1, size, self.modifier2 = _HEAD.unpack(start)
        if size > self._limit:
            raise HTTPError(HEADERS_TOO_LARGE, f"uwsgi packet of {size} bytes, more than {self._limit} (buffer-size)")
        end = HEAD_SIZE + size
        if len(buffer) < end:
            return False
        block = bytes(buffer[HEAD_SIZE:end])
        self._unread = bytes(buffer[end:])
        self._buffer = bytearray()
        self.started = False
        self.head_size = size
        if self.modifier1 == WSGI or self.modifier1 == WSGI_WITH_SCRIPT_NAME:
            self._request(block)
        else:
            self.block = block
        return True

    def feed_unread(self) -> bool:
        """False: there is no second packet."""
        return False

    # -- a request

    def _request(self, block: bytes) -> None:
        variables = decode_vars(block)
        self.header_count = len(variables)
        if not variables:
            raise HTTPError(BAD_REQUEST, "a uwsgi packet without variables")
        template = self._template
        environ = self.environ = template.copy()
        if "REMOTE_ADDR" in variables:
            environ.pop("REMOTE_PORT", None)  # which is the front server's
        environ.update(variables)
        for key in [key for key in variables if "." in key and key in template]:
            environ[key] = template[key]
        # Front servers send empty values for what there is none of, such as nginx for CONTENT_LENGTH. PEP 3333 wants a name and a port.
        if not environ["SERVER_NAME"]:
            environ["SERVER_NAME"] = template["SERVER_NAME"]
        if not environ["SERVER_PORT"]:
            environ["SERVER_PORT"] = template["SERVER_PORT"]
        if not environ.get("CONTENT_LENGTH", "."):
            del environ["CONTENT_LENGTH"]
        if not environ.get("CONTENT_TYPE", "."):
            del environ["CONTENT_TYPE"]
        self._locate(environ)
        self._check(environ)
        self._measure(environ)
        if "UWSGI_SCHEME" in environ and environ["UWSGI_SCHEME"] in _SCHEMES:
            environ["wsgi.url_scheme"] = environ["UWSGI_SCHEME"]
        elif environ.get("HTTPS", "").lower() in ("on", "1"):
            environ["wsgi.url_scheme"] = "https"

    def _check(self, environ: dict[str, Any]) -> None:
        get = environ.get
        method = get("REQUEST_METHOD", "")
        if not _METHOD.fullmatch(method):
            raise HTTPError(BAD_REQUEST, f"REQUEST_METHOD {method[:40]!r} in a uwsgi packet")
        protocol = environ["SERVER_PROTOCOL"] = get("SERVER_PROTOCOL") or "HTTP/1.0"
        self.http11 = protocol != "HTTP/1.0"
        # What is written to the log.
        logged = environ["REQUEST_URI"] + protocol + environ["REMOTE_ADDR"] + get("REMOTE_USER", "") + get("HTTP_X_FORWARDED_FOR", "")
        if _CONTROL.search(logged):
            raise HTTPError(BAD_REQUEST, "control characters in a uwsgi packet")

    def _locate(self, environ: dict[str, Any]) -> None:
        """Where the request goes: each of REQUEST_URI and PATH_INFO can be had from the other one."""
        script_name = environ["SCRIPT_NAME"]
        target = environ.get("REQUEST_URI")
        if target is None:
            environ.setdefault("QUERY_STRING", "")
            path = (script_name + environ.get("PATH_INFO", "")).encode("latin-1")
            environ["REQUEST_URI"] = quote(path) + ("?" + environ["QUERY_STRING"] if environ["QUERY_STRING"] else "")
            environ.setdefault("PATH_INFO", "")
        else:
            path, _, query = target.partition("?")
            environ.setdefault("QUERY_STRING", query)
            if "PATH_INFO" not in environ:
                environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1")
                self._take_off(environ, script_name)
        if self.modifier1 == WSGI_WITH_SCRIPT_NAME:
            self._take_off(environ, script_name)

    @staticmethod
    def _take_off(environ: dict[str, Any], script_name: str) -> None:
        path = environ["PATH_INFO"]
        if script_name and (path == script_name or path.startswith(script_name.rstrip("/") + "/")):
            environ["PATH_INFO"] = path[len(script_name) :]

    def _measure(self, environ: dict[str, Any]) -> None:
        length = environ.get("CONTENT_LENGTH")
        if length is not None:
            # It counts also beside a Transfer-Encoding: what the front server has joined has lost its chunks.
            if not (length.isascii() and length.isdigit() and len(length) < 20):
                raise HTTPError(BAD_REQUEST, f"CONTENT_LENGTH {length[:40]!r} in a uwsgi packet")
            self.content_length = int(length)
        elif "HTTP_TRANSFER_ENCODING" in environ:
            if environ["HTTP_TRANSFER_ENCODING"].lower() != "chunked":
                raise HTTPError(NOT_IMPLEMENTED, f"transfer coding {environ['HTTP_TRANSFER_ENCODING'][:40]!r}")
            self.content_length = -1
