"""The opening handshake: an environ in, a response head out.

Source: RFC 6455 section 4.2, and uWSGI 2.0.31 for the reply's reason phrase and Sec-WebSocket-Origin header.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Any, Optional

from ..errors import HTTPError, WebSocketError

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")


class HandshakeError(WebSocketError):
    """The request cannot become a websocket; nothing has been sent.

    Attributes:
        status: what to answer where it is the client's doing and the application has nothing to say about it; else "".
    """

    def __init__(self, reason: str, status: str = "") -> None:
        super().__init__(1002, reason)
        self.status = status


def accept_value(key: str) -> str:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key (section 4.2.2, item 5.4)."""
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID).digest()).decode("ascii")


def key_valid(key: str) -> bool:
    """Whether a key is the base64 of 16 bytes (section 4.1, item 7)."""
    try:
        return len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def offered_subprotocols(environ: Mapping[str, Any]) -> list[str]:
    """The subprotocols a client offers, in its order of preference."""
    value = environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")
    return [token for token in (part.strip() for part in value.split(",")) if token]


def check_request(environ: Mapping[str, Any]) -> None:
    """Refuse a websocket request before the application sees it.

    Only what makes a handshake impossible is refused here. The Upgrade and Connection headers may be missing: they are
    hop-by-hop, proxies take them away, and uWSGI looks at the key alone.

    Raises:
        HTTPError: 426 for another version than 13, 400 for a malformed key or subprotocol, or a method other than GET.
    """
    version = environ.get("HTTP_SEC_WEBSOCKET_VERSION", "13")
    if version != "13":
        raise HTTPError("426 Upgrade Required", f"websocket version {version[:40]!r}, only 13 is spoken")
    if environ["REQUEST_METHOD"] != "GET":
        raise HTTPError("400 Bad Request", "websocket handshake with a method other than GET")
    if not key_valid(environ["HTTP_SEC_WEBSOCKET_KEY"].strip()):
        raise HTTPError("400 Bad Request", "Sec-WebSocket-Key is not the base64 of 16 bytes")
    if not all(map(_TOKEN.match, offered_subprotocols(environ))):
        raise HTTPError("400 Bad Request", "Sec-WebSocket-Protocol is not a list of tokens")


def response_head(
    environ: Mapping[str, Any],
    key: Optional[str] = None,
    origin: Optional[str] = None,
    subprotocol: Optional[str] = None,
    extensions: Optional[str] = None,
) -> bytes:
    """The 101 response.

    Args:
        environ: the request.
        key: overrides the request's Sec-WebSocket-Key.
        origin: overrides the request's Origin in Sec-WebSocket-Origin ("*" when there is neither).
        subprotocol: the one to agree on; without it, the client's own if it offers exactly one.
        extensions: Sec-WebSocket-Extensions to agree on.

    Raises:
        HandshakeError: no key, or an argument that cannot stand in a header.

    Source: uWSGI echoes the client's whole list of subprotocols back, which browsers refuse (RFC 6455 section 4.1: the
        value must be one that was offered); here the only one offered is agreed on, and of several none is chosen.
    """
    key = key or environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip()
    if not key:
        raise HandshakeError("no Sec-WebSocket-Key", "426 Upgrade Required")
    if not _FIELD_VALUE.match(key):
        raise HandshakeError("the key has characters that cannot stand in a header")
    origin = origin or environ.get("HTTP_ORIGIN") or "*"
    if not subprotocol:
        offered = offered_subprotocols(environ)
        subprotocol = offered[0] if len(offered) == 1 else None
    if subprotocol and not _TOKEN.match(subprotocol):
        raise HandshakeError(f"subprotocol {subprotocol!r} is not a token")
    if not _FIELD_VALUE.match(origin):
        raise HandshakeError("origin has characters that cannot stand in a header")
    lines = [
        "HTTP/1.1 101 Web Socket Protocol Handshake",
        "Upgrade: WebSocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Origin: {origin}",
        f"Sec-WebSocket-Accept: {accept_value(key)}",
    ]
    if subprotocol:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    if extensions:
        lines.append(f"Sec-WebSocket-Extensions: {extensions}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
