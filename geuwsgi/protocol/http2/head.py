"""Request heads of HTTP/2, from the fields that h2 has decoded to the environ that HTTP/1.1 would have made. No I/O.

h2 can check the fields too. It is told not to: its checks end the connection where RFC 9113 wants one stream to end, and take longer
than all of this.

Source: RFC 9113 sections 8.1.1 to 8.3, RFC 8441 section 4 (extended CONNECT), and `protocol.http` for what an environ looks like.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable
from typing import Any

from ...errors import HTTPError, ProtocolError
from ..head import path_info
from ..http import (
    BAD_REQUEST,
    EXPECTATION_FAILED,
    HEADERS_TOO_LARGE,
    HOST,
    METHODS,
    NOT_IMPLEMENTED,
    URI_TOO_LONG,
    environ_key,
)

#: What belongs to one connection, and makes a request of HTTP/2 malformed (section 8.2.2).
_CONNECTION_FIELDS = frozenset([b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"])
_PSEUDO_FIELDS = frozenset([b":method", b":scheme", b":authority", b":path", b":protocol"])

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
#: As llhttp has it for HTTP/1.1; section 8.2.1 forbids less, but what surrounds a value too.
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]|^[ \t]|[ \t]\Z")
_BAD_PATH = re.compile(rb"[\x00-\x20\x7f]")

#: Names come from clients: neither their number nor their length may grow this without bound.
_MAX_CACHED_KEYS = 2048
_MAX_CACHED_NAME = 64
_keys: dict[bytes, str] = {}


class MalformedRequest(ProtocolError):
    """The stream has to be reset with PROTOCOL_ERROR (section 8.1.1)."""


class RequestHead:
    """One request head; the attributes are those of `protocol.head.HeadParser`.

    Attributes:
        environ: as HTTP/1.1 would have made it, but for SERVER_PROTOCOL.
        content_length: bytes of the body; -1 when they are not known.
        expect_continue: the client waits for a 100 before it sends the body.
        head_size: bytes that it would take in HTTP/1.1.
        header_count: header fields in it.
        websocket: it is an extended CONNECT for a websocket. The environ then is that of a handshake in HTTP/1.1.
    """

    __slots__ = ("content_length", "environ", "expect_continue", "head_size", "header_count", "websocket")

    http11 = True
    keep_alive = True
    has_unread = False

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self.content_length = 0
        self.expect_continue = False
        self.head_size = 0
        self.header_count = 0
        self.websocket = False


def read_head(fields: Iterable[tuple[bytes, bytes]], ended: bool, template: dict[str, Any], limit: int) -> RequestHead:
    """Make an environ of decoded fields.

    Args:
        fields: in their order, pseudo-header fields included.
        ended: no body follows.
        template: what every environ of this connection holds. No HTTP_ or CONTENT_ keys.
        limit: the largest head in bytes, as HTTP/1.1 counts them.

    Raises:
        MalformedRequest: the stream has to be reset.
        HTTPError: the request is refused with this status.
    """
    environ = template.copy()
    head = RequestHead(environ)
    pseudo: dict[bytes, bytes] = {}
    size = count = 0
    for name, value in fields:
        if name.startswith(b":"):
            if count or name in pseudo or name not in _PSEUDO_FIELDS:
                raise MalformedRequest(f"unexpected pseudo-header field {name[:40]!r}")
            pseudo[name] = value
            continue
        count += 1
        size += len(name) + len(value) + 4
        key = _keys.get(name)
        if key is None:
            key = _key(name)
        if _BAD_VALUE.search(value):
            raise MalformedRequest(f"invalid value of field {name[:40]!r}")
        if not key:
            continue
        text = value.decode("latin-1")
        if key in environ:
            if key == "HTTP_HOST":
                raise HTTPError(BAD_REQUEST, "more than one Host")
            text = environ[key] + ("; " if key == "HTTP_COOKIE" else ", ") + text
        environ[key] = text
    head.header_count = count
    if environ.get("HTTP_TE", "trailers").lower() != "trailers":
        raise MalformedRequest("TE is not trailers")
    method = _method(pseudo)
    path = pseudo[b":path"]
    if _BAD_PATH.search(path):
        raise MalformedRequest("invalid character in :path")
    environ["REQUEST_METHOD"] = method
    environ["SERVER_PROTOCOL"] = "HTTP/2.0"
    _set_target(environ, path.decode("latin-1"))
    authority = pseudo.get(b":authority")
    if authority is not None and "HTTP_HOST" not in environ:
        head.header_count += 1
        size += len(authority) + 8
    _set_host(environ, authority)
    # "METHOD path HTTP/2.0" and two line ends, as the access log takes a head apart again.
    head.head_size = size + len(method) + len(path) + 14
    if head.head_size > limit:
        if len(path) * 2 > limit:
            raise HTTPError(URI_TOO_LONG, f"request line of more than {limit} bytes (buffer-size)")
        raise HTTPError(HEADERS_TOO_LARGE, f"request head of more than {limit} bytes (buffer-size)")
    if b":protocol" in pseudo:
        _set_websocket(environ, pseudo[b":protocol"], ended)
        head.websocket = True
        return head
    head.content_length = _content_length(environ.get("CONTENT_LENGTH"), ended)
    expect = environ.get("HTTP_EXPECT")
    if expect is not None:
        if expect.lower() != "100-continue":
            raise HTTPError(EXPECTATION_FAILED, f"Expect: {expect}")
        head.expect_continue = head.content_length != 0
    return head


def _key(name: bytes) -> str:
    if not _NAME.fullmatch(name):
        raise MalformedRequest(f"invalid field name {name[:40]!r}")
    if name in _CONNECTION_FIELDS:
        raise MalformedRequest(f"field {name.decode()} belongs to a connection of HTTP/1.1")
    key = environ_key(name)
    if len(name) <= _MAX_CACHED_NAME and len(_keys) < _MAX_CACHED_KEYS:
        _keys[name] = key
    return key


def _method(pseudo: dict[bytes, bytes]) -> str:
    """The method; an extended CONNECT is a GET to the application."""
    method = pseudo.get(b":method")
    if method is None:
        raise MalformedRequest("no :method")
    if method == b"CONNECT":
        if b":protocol" not in pseudo:
            raise HTTPError(NOT_IMPLEMENTED, "method CONNECT")
        method = b"GET"
    elif b":protocol" in pseudo:
        raise MalformedRequest(":protocol without CONNECT")
    if not pseudo.get(b":path") or not pseudo.get(b":scheme"):
        raise MalformedRequest("no :path or :scheme")
    known = METHODS.get(method)
    if known is None:
        if not _NAME.fullmatch(method.lower()):
            raise MalformedRequest("invalid :method")
        raise HTTPError(NOT_IMPLEMENTED, f"method {method[:32].decode('latin-1')}")
    return known


def _set_target(environ: dict[str, Any], target: str) -> None:
    environ["REQUEST_URI"] = target
    path, _, environ["QUERY_STRING"] = target.partition("?")
    if "#" in target:
        raise HTTPError(BAD_REQUEST, "fragment in the request target")
    if path[:1] != "/" and (target != "*" or environ["REQUEST_METHOD"] != "OPTIONS"):
        raise MalformedRequest(":path is not a path")
    environ["PATH_INFO"] = path_info(path)


def _set_host(environ: dict[str, Any], authority: Any) -> None:
    host = environ.get("HTTP_HOST")
    if authority is not None:
        text = authority.decode("latin-1")
        # Section 8.3.1: they must not differ, and a server should treat such a request as malformed.
        if host is not None and host != text:
            raise MalformedRequest(":authority and Host differ")
        host = environ["HTTP_HOST"] = text
    if host is None:
        raise HTTPError(BAD_REQUEST, "no Host")
    if not HOST.fullmatch(host):
        raise HTTPError(BAD_REQUEST, f"invalid Host {host!r}")


def _content_length(text: Any, ended: bool) -> int:
    if text is None:
        return 0 if ended else -1
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise MalformedRequest("invalid Content-Length")
    length = int(text)
    if ended and length:
        raise MalformedRequest("Content-Length without a body")
    return length


def _set_websocket(environ: dict[str, Any], protocol: bytes, ended: bool) -> None:
    """What applications look for in a websocket's request, and what RFC 8441 section 5 has left out of it."""
    if protocol.lower() != b"websocket":
        raise HTTPError(NOT_IMPLEMENTED, f":protocol {protocol[:32].decode('latin-1')}")
    if ended:
        raise MalformedRequest("extended CONNECT without a stream")
    environ["HTTP_CONNECTION"] = "Upgrade"
    environ["HTTP_UPGRADE"] = "websocket"
    # Any key will do: nobody looks at what it is answered with.
    environ["HTTP_SEC_WEBSOCKET_KEY"] = base64.b64encode(os.urandom(16)).decode("ascii")
    environ.pop("CONTENT_LENGTH", None)
