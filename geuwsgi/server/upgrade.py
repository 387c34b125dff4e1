"""From an HTTP request to a websocket: `uwsgi.websocket_handshake()`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

from ..errors import HTTPError
from ..protocol.deflate import negotiate
from ..protocol.handshake import HandshakeError, check_request, response_head
from .websocket import WebSocketConnection

if TYPE_CHECKING:
    from .request import Request


def accept(
    request: Request,
    key: Optional[str] = None,
    origin: Optional[str] = None,
    subprotocol: Optional[str] = None,
) -> WebSocketConnection:
    """Turn a request into a websocket: send the 101 and take the socket over from HTTP.

    Raises:
        HandshakeError: no key, a response has begun, or it is a websocket already.
        HTTPError: the request is refused with this status, which the caller has to send.
    """
    if request.websocket is not None:
        raise HandshakeError("already a websocket")
    if request.header_bytes or request.finished:
        raise HandshakeError("a response has begun")
    if "HTTP_SEC_WEBSOCKET_KEY" in request.environ:
        check_request(request.environ)
    connection = request.connection
    server = connection.server
    settings = server.settings.websocket
    agreed = None
    extensions = request.environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS")
    if extensions and settings.deflate:
        try:
            # Frames that came with the request cannot be compressed, since nothing is agreed on yet: whoever is in such a hurry
            # goes without. (All of them will be decoded at once, which bounds nothing if they may be bombs.)
            if not connection.parser.has_unread:
                agreed = negotiate(extensions, settings.deflate_takeover)
        except ValueError as error:
            raise HTTPError("400 Bad Request", str(error)) from None
    head = response_head(request.environ, key, origin, subprotocol, agreed[1] if agreed else None)
    ruled = getattr(connection.response, "ruled", None)
    if ruled is not None:
        head = ruled.greet(head)
    request.status = "101 Web Socket Protocol Handshake"
    stream, first, early = connection.upgrade(head)
    peer = request.environ.get("REMOTE_ADDR", "")
    websocket = WebSocketConnection(stream, peer, settings, server.keepalive, agreed[0] if agreed else None)
    request.websocket = websocket
    request.header_count = head.count(b"\r\n") - 2
    request.header_bytes = len(head)
    if first:
        websocket.writer.send_frame(first)
    websocket.writer.bytes_sent = 0
    if request.descriptor_asked:
        websocket.connection_fd()
    if early:
        websocket.feed(early)
    return websocket
