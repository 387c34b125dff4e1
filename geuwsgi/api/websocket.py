"""`uwsgi.websocket_*`: what the application calls, with uWSGI's names, types and error texts.

Every function takes `request_context=`, which wins over the greenlet the call is made in; without it a greenlet that the
application spawned belongs to the request that spawned it.
"""

from __future__ import annotations

from typing import Any, Optional, Union

from ..accel import use_compiled
from ..errors import ConnectionClosed, HTTPError, WebSocketError
from ..protocol.frames import BINARY, NORMAL_CLOSURE, TEXT, close_code_allowed
from ..protocol.masking import is_ascii
from ..server.request import Request, find_request
from ..server.upgrade import accept
from ..server.websocket import WebSocketConnection

__all__ = [
    "websocket_close",
    "websocket_handshake",
    "websocket_opcode",
    "websocket_recv",
    "websocket_recv_nb",
    "websocket_send",
    "websocket_send_binary",
]

Message = Union[str, bytes]
Text = Union[str, bytes, None]


def _request(request_context: Any) -> Request:
    if request_context is None:
        request_context = find_request()
        if request_context is None:
            raise SystemError("you can call uwsgi api function only from the main callable")
    elif not isinstance(request_context, Request):
        raise TypeError("request_context must come from uwsgi.request_context()")
    return request_context  # type: ignore[no-any-return]


def _websocket(request_context: Any, error_text: str) -> WebSocketConnection:
    websocket = _request(request_context).websocket
    if websocket is None:
        raise _over(error_text, None)
    return websocket


def _over(text: str, cause: Optional[BaseException]) -> OSError:
    """The error that uWSGI raises, with the close code and reason that it does not have."""
    error = OSError(text)
    error.code = getattr(cause, "code", 1006)  # type: ignore[attr-defined]
    error.reason = getattr(cause, "reason", "")  # type: ignore[attr-defined]
    return error


def _text(value: Text) -> Optional[str]:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def websocket_handshake(key: Text = None, origin: Text = None, proto: Text = None, request_context: Any = None) -> None:
    """Answer 101 and turn this request into a websocket.

    Args:
        key: overrides the request's Sec-WebSocket-Key.
        origin: goes into Sec-WebSocket-Origin.
        proto: the subprotocol to agree on.
        request_context: the request; by default the caller's.

    Raises:
        OSError: "unable to complete websocket handshake": twice, after a response has begun, or without a key.
    """
    request = _request(request_context)
    try:
        accept(request, _text(key), _text(origin), _text(proto))
    except HTTPError as error:
        request.connection.refuse(request, error)
        raise _over("unable to complete websocket handshake", error) from error
    except (WebSocketError, OSError) as error:
        raise _over("unable to complete websocket handshake", error) from error


def websocket_recv(request_context: Any = None) -> bytes:
    """The next message; waits for it. Text and binary come as bytes alike (see `websocket_opcode`).

    Raises:
        OSError: "unable to receive websocket message": the websocket is over; `.code` and `.reason` say how.
    """
    websocket = _websocket(request_context, "unable to receive websocket message")
    try:
        return websocket.receive()
    except ConnectionClosed as error:
        raise _over("unable to receive websocket message", error) from error


def websocket_recv_nb(request_context: Any = None) -> bytes:
    """The next message, or b"" when none is there.

    Raises:
        OSError: as `websocket_recv`.
    """
    websocket = _websocket(request_context, "unable to receive websocket message")
    try:
        return websocket.receive_nowait()
    except ConnectionClosed as error:
        raise _over("unable to receive websocket message", error) from error


def websocket_send(message: Message, request_context: Any = None) -> None:
    """Send a text message. Waits while the peer reads too slowly.

    Args:
        message: str, or bytes of UTF-8. Bytes that are not UTF-8 would make a browser drop the connection, so they go out
            as a binary message (uWSGI sends an invalid text frame).

    Raises:
        OSError: "unable to send websocket message": the websocket is over; `.code` and `.reason` say how.
        TypeError: neither str nor bytes.
    """
    opcode = TEXT
    if isinstance(message, str):
        message = message.encode("utf-8")
    elif isinstance(message, bytes):
        if not is_ascii(message):
            try:
                message.decode("utf-8")
            except UnicodeDecodeError:
                opcode = BINARY
    else:
        raise TypeError(f"a bytes-like object or str is required, not {type(message).__name__!r}")
    websocket = _websocket(request_context, "unable to send websocket message")
    try:
        websocket.send(opcode, message)
    except ConnectionClosed as error:
        raise _over("unable to send websocket message", error) from error


def websocket_send_binary(message: Message, request_context: Any = None) -> None:
    """Send a binary message; as `websocket_send` otherwise."""
    if isinstance(message, str):
        message = message.encode("utf-8")
    elif not isinstance(message, bytes):
        raise TypeError(f"a bytes-like object or str is required, not {type(message).__name__!r}")
    websocket = _websocket(request_context, "unable to send websocket message")
    try:
        websocket.send(BINARY, message)
    except ConnectionClosed as error:
        raise _over("unable to send websocket message", error) from error


def websocket_opcode(request_context: Any = None) -> int:
    """Whether the message received last was text (1) or binary (2); 0 before the first. Not in uWSGI."""
    return _websocket(request_context, "not a websocket").opcode


def websocket_close(code: int = NORMAL_CLOSURE, reason: Text = "", request_context: Any = None) -> None:
    """Close the websocket with a code and a reason; returns at once. Not in uWSGI.

    Args:
        code: 1000 to 1003, 1007 to 1014, or 3000 to 4999.
        reason: cut to 123 bytes of UTF-8.

    Raises:
        TypeError: a code that is no int.
        ValueError: a code that may not stand in a close frame.
        OSError: not a websocket.
    """
    if not isinstance(code, int):
        raise TypeError(f"the close code must be an int, not {type(code).__name__}")
    if not close_code_allowed(code):
        raise ValueError(f"close code {code} may not be sent (RFC 6455 section 7.4)")
    if isinstance(reason, bytes):
        reason = reason.decode("utf-8", "replace")
    _websocket(request_context, "not a websocket").close(code, reason or "")


use_compiled(
    globals(),
    "websocket_handshake",
    "websocket_recv",
    "websocket_recv_nb",
    "websocket_send",
    "websocket_send_binary",
    "websocket_opcode",
    "websocket_close",
)
