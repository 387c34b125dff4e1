"""uWSGI's native asynchronous API. It works in every mode here; uWSGI wants `--async` and a suspend engine."""

from __future__ import annotations

from operator import index
from typing import Any, Callable, Optional

from ..server import fdio
from ..server import suspend as waiting
from .context import current

__all__ = ["async_connect", "async_sleep", "green_schedule", "ready_fd", "suspend", "wait_fd_read", "wait_fd_write"]


def wait_fd_read(fd: int, timeout: Optional[float] = 0, /, *, request_context: Any = None) -> bytes:
    """Make the next suspend end when `fd` is readable. Returns b"", to be yielded.

    Args:
        timeout: seconds after which it ends all the same; 0 or None for no limit.

    Raises:
        OSError: "unable to fd N to the event queue": it is not open.
    """
    return _register(fd, waiting.READ, timeout, request_context)


def wait_fd_write(fd: int, timeout: Optional[float] = 0, /, *, request_context: Any = None) -> bytes:
    """As `wait_fd_read`, for writing."""
    return _register(fd, waiting.WRITE, timeout, request_context)


def _register(fd: int, event: int, timeout: Optional[float], request_context: Any) -> bytes:
    number, seconds = index(fd), _seconds(timeout)
    request = current(request_context)
    try:
        waiting.register(request, number, event, seconds)
    except OSError as error:
        raise OSError(f"unable to fd {number} to the event queue") from error
    return b""


def _seconds(value: Optional[float]) -> float:
    if value is None:
        return 0.0
    if not isinstance(value, (int, float)):
        raise TypeError(f"a number of seconds expected, not {type(value).__name__}")
    return float(value)


def suspend(*, request_context: Any = None) -> bool:
    """Wait for the first of the registered descriptors, or the shortest time-out; `ready_fd()` tells which. True.

    With nothing registered the other greenlets run, and it returns.
    """
    waiting.suspend(current(request_context))
    return True


#: Another name of the same call.
green_schedule = suspend


def ready_fd(*, request_context: Any = None) -> int:
    """The descriptor that ended the last suspend; -1 after a time-out."""
    return current(request_context).ready_fd


def async_sleep(timeout: float, /, *, request_context: Any = None) -> bytes:
    """Make the next suspend end after so many seconds (fractions count, which uWSGI cuts off). Returns b"", to be yielded."""
    waiting.sleep(current(request_context), _seconds(timeout))
    return b""


def async_connect(socket_name: str, /) -> int:
    """Begin to connect; the descriptor is writable when that has ended. -1 if it cannot be tried.

    Args:
        socket_name: "127.0.0.1:80", "[::1]:80", "/run/x.sock", "@abstract".
    """
    if not isinstance(socket_name, str):
        raise TypeError(f"async_connect() argument 1 must be str, not {type(socket_name).__name__}")
    try:
        return fdio.connect_nowait(socket_name)
    except (OSError, ValueError):
        return -1


def environ_extra() -> dict[str, Optional[Callable[..., bytes]]]:
    """The `x-wsgiorg.fdevent` extension of the environ. Source: wsgi.org's "Specification of async extension"."""
    return {
        "x-wsgiorg.fdevent.readable": wait_fd_read,
        "x-wsgiorg.fdevent.writable": wait_fd_write,
        "x-wsgiorg.fdevent.timeout": None,
    }
