"""`uwsgi.connect`, `send`, `recv` and `close`: sockets by number."""

from __future__ import annotations

from operator import index
from typing import Any, Optional

from ..log import log
from ..server import fdio
from ..server.request import Request, find_request
from .context import serving
from .request import disconnect
from .state import state

__all__ = ["close", "connect", "recv", "send"]

#: What one `recv` returns at most, as in uWSGI.
_MAX_RECV = 4096


def connect(socket_name: str, /, timeout: float = 0) -> int:
    """A descriptor connected to a socket, or -1.

    Args:
        socket_name: "127.0.0.1:80", "[::1]:80", "/run/x.sock", "@abstract".
        timeout: seconds; 0 for the kernel's limit.
    """
    if not isinstance(socket_name, str):
        raise TypeError(f"connect() argument 1 must be str, not {type(socket_name).__name__}")
    try:
        return fdio.connect(socket_name, timeout if timeout > 0 else None)
    except (OSError, ValueError):
        return -1


def send(*arguments: Any) -> Optional[bool]:
    """`send(data)` to the client, as it is, in the place of a response; `send(fd, data)` to a descriptor.

    Returns:
        True; None when it failed, which is logged.

    Raises:
        OSError: the client has become a websocket, whose frames bare bytes would spoil.
    """
    if not 1 <= len(arguments) <= 2:
        raise TypeError(f"send() takes 1 or 2 arguments ({len(arguments)} given)")
    data = arguments[-1]
    if not isinstance(data, bytes):
        raise TypeError(f"a bytes-like object is required, not {type(data).__name__!r}")
    fd = index(arguments[0]) if len(arguments) == 2 else -1
    request = serving() if len(arguments) == 1 else _client(fd)
    try:
        if request is None:
            fdio.write(fd, data)
        else:
            response = request.connection.response
            if response is None:
                raise OSError("the response is over")
            response.write_raw(data)
    except OSError as error:
        log(f"uwsgi.send(): {error}")
        return None
    return True


def recv(fd: int, max_size: int = _MAX_RECV, /) -> Optional[bytes]:
    """At most `max_size` (and 4096) bytes from a descriptor as soon as there are any; None at its end, or on an error.

    Raises:
        OSError: it is the client's, and the client has become a websocket.
    """
    number, size = index(fd), min(index(max_size), _MAX_RECV)
    request = _client(number)
    if size <= 0:
        return None
    try:
        data = fdio.read(number, size) if request is None else request.connection.read_raw(size)
    except OSError:
        return None
    return data or None


def close(fd: int, /) -> None:
    """Close a descriptor; one that is not open is no error. The client's own is disconnected."""
    number = index(fd)
    request = _owner(number)
    if request is not None:
        disconnect(request_context=request)
        return
    try:
        fdio.close(number)
    except OSError:
        pass


def _client(fd: int) -> Optional[Request]:
    """The caller's request if `fd` is its connection."""
    request = _owner(fd)
    if request is not None and request.websocket is not None:
        raise OSError("this is a websocket: use uwsgi.websocket_send() and uwsgi.websocket_recv()")
    return request


def _owner(fd: int) -> Optional[Request]:
    request = find_request()
    if request is None or request.finished or fd < 0:
        return None
    if request.websocket is None:
        mine = request.connection.sock.fileno() == fd
    else:
        # Its number is a readiness descriptor, which it has only if the application asked for it.
        mine = state.numbers.get(fd) is request
    return request if mine else None
