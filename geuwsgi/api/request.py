"""`uwsgi.connection_fd` and the rest that is about one request and its connection."""

from __future__ import annotations

from typing import Any, Optional, Union

from ..server import fdio
from ..server.transport import ClientError
from .context import current, serving
from .state import state

__all__ = [
    "add_var",
    "chunked_read",
    "chunked_read_nb",
    "connection_fd",
    "disconnect",
    "is_connected",
    "request_id",
    "total_requests",
]

Text = Union[str, bytes]


def connection_fd(*, request_context: Any = None) -> int:
    """The number to wait on for the client; see `Request.connection_fd`. -1 when the request is over."""
    request = current(request_context)
    if request.finished:
        return -1
    fd = request.connection_fd()
    state.numbers[fd] = request
    return fd


def is_connected(fd: int, /) -> bool:
    """Whether the client behind a number that `connection_fd` gave, or the peer of any other socket, is still there.

    A client that has only ended its own direction is there: it may be waiting for the answer.
    """
    request = state.numbers.get(fd)
    if request is not None and not request.finished and request.websocket is not None:
        return request.websocket.open
    return fdio.is_connected(fd)


def disconnect(*, request_context: Any = None) -> None:
    """End the connection with the client at once; the application goes on. A websocket is closed with 1000."""
    request = current(request_context)
    if request.finished:
        return
    if request.websocket is not None:
        request.websocket.close()
    else:
        request.connection.disconnect()


def request_id(*, request_context: Any = None) -> int:
    """Requests that this worker began before this one.

    uWSGI counts those that the request's core has ended: the same number while requests come one by one, but not unique
    once they overlap.
    """
    return current(request_context).id - 1


def total_requests() -> int:
    """Requests served since the start, the running ones not counted."""
    return state.server.total_requests if state.server is not None else 0


def add_var(key: Text, val: Text, /, *, request_context: Any = None) -> bool:
    """Add a variable to the request. It goes into the environ, which is where a request's variables are here.

    Raises:
        ValueError: it is larger than the buffer of a request.
        TypeError: neither str nor bytes.
    """
    request = current(request_context)
    name, value = _environ_text(key), _environ_text(val)
    if len(name) + len(value) + 4 > state.settings.buffer_size:
        raise ValueError("unable to add request var, check your buffer size")
    request.environ[name] = value
    return True


def _environ_text(value: Text) -> str:
    """As PEP 3333 wants it: the bytes, each as the character of that number."""
    if isinstance(value, str):
        value = value.encode("utf-8")
    elif not isinstance(value, bytes):
        raise TypeError(f"str or bytes expected, not {type(value).__name__}")
    return value.decode("latin-1")


def chunked_read(timeout: float = 0, /, *, request_context: Any = None) -> bytes:
    """The next chunk of the request's body; b"" at the end.

    Args:
        timeout: seconds; 0 for the server's limit (`--socket-timeout`).

    Raises:
        OSError: "unable to receive chunked part": the body is not chunked, or the chunk did not come in time.
    """
    if not isinstance(timeout, (int, float)):
        raise TypeError(f"a number expected, not {type(timeout).__name__}")
    try:
        return serving(request_context).connection.body.read_chunk(timeout if timeout > 0 else None)
    except OSError as error:
        raise OSError("unable to receive chunked part") from error


def chunked_read_nb(*, request_context: Any = None) -> Optional[bytes]:
    """The next chunk of the request's body if it is there; None if not, b"" at the end.

    Raises:
        OSError: "unable to receive chunked part": the body is not chunked, or broke off.
    """
    try:
        return serving(request_context).connection.body.read_chunk_nowait()
    except (OSError, ClientError) as error:
        raise OSError("unable to receive chunked part") from error
