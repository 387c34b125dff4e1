"""Connecting, reading and writing on bare descriptors, as `uwsgi.connect`, `send`, `recv` and `close` do, without holding up the loop.

The numbers belong to the application, which may use them with `os` and `socket` too; so a descriptor's mode (blocking or not)
is left as it is, and a call waits in the hub before it touches the kernel.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
from typing import Any, Optional, Union

import gevent.socket
from gevent import get_hub
from gevent.monkey import get_original

from .descriptor import forget

#: Bytes that a descriptor in blocking mode takes without blocking once it says that it is writable: all that a pipe promises.
_SLICE = select.PIPE_BUF

#: Numbers that are closed as soon as the loop turns, with what closes them.
_closing: dict[int, Any] = {}

#: The kernel's own: gevent since 25.8 puts every close off until the loop turns, which only numbers that are waited for need.
_close = get_original("os", "close")
_poll = get_original("select", "poll")

Address = Union[str, bytes, tuple[str, int]]


def parse_address(name: str) -> tuple[int, Address]:
    """ "127.0.0.1:80", "localhost:80", "[::1]:80", "/run/x.sock", "@abstract" as (family, address).

    Raises:
        OSError: no such host.
        ValueError: the port is no number.
    """
    if name.startswith("@"):
        return _socket.AF_UNIX, b"\0" + os.fsencode(name[1:])
    host, colon, port = name.rpartition(":")
    if not colon or "/" in name:
        return _socket.AF_UNIX, name
    found: Any = gevent.socket.getaddrinfo(host.strip("[]") or "127.0.0.1", int(port), 0, _socket.SOCK_STREAM)
    return found[0][0], found[0][4]


def connect(name: str, timeout: Optional[float] = None) -> int:
    """A descriptor connected to `name`, in blocking mode.

    Args:
        name: as for `parse_address`.
        timeout: seconds; None for the kernel's own limit.

    Raises:
        OSError, ValueError: it cannot be done.
    """
    family, address = parse_address(name)
    sock = gevent.socket.socket(family, _socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    fd = sock.detach()
    os.set_blocking(fd, True)
    return fd


def connect_nowait(name: str) -> int:
    """A descriptor that is being connected to `name`, in non-blocking mode; it becomes writable when that has ended either way.

    Raises:
        OSError, ValueError: it cannot even be tried.
    """
    family, address = parse_address(name)
    sock = _socket.socket(family, _socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        sock.connect(address)
    except BlockingIOError:
        pass
    except BaseException:
        sock.close()
        raise
    return sock.detach()


def read(fd: int, size: int) -> bytes:
    """At most `size` bytes, as soon as there are any; b"" at the end.

    Raises:
        OSError: of the kernel.
    """
    while True:
        _check_open(fd)
        if _is_ready(fd, select.POLLIN):
            return os.read(fd, size)
        gevent.socket.wait_read(fd)


def _check_open(fd: int) -> None:
    """The loop would wait for a closed number for ever."""
    if fd in _closing:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    os.fstat(fd)


def write(fd: int, data: bytes) -> None:
    """Write all of it.

    Raises:
        OSError: of the kernel.
    """
    left = memoryview(data)
    while left:
        _check_open(fd)
        if _is_ready(fd, select.POLLOUT):
            left = left[os.write(fd, left[:_SLICE]) :]
        else:
            gevent.socket.wait_write(fd)


def _is_ready(fd: int, event: int) -> bool:
    """Whether a read or a write of a slice would not block, an error included. gevent's poll would go through the hub."""
    poller = _poll()
    poller.register(fd, event)
    return bool(poller.poll(0))


def close(fd: int) -> None:
    """Close a number, and wake the greenlets that wait for it.

    Raises:
        OSError: it is not open.
    """
    _check_open(fd)
    loop = get_hub().loop
    if hasattr(loop, "closing_fd") and loop.closing_fd(fd):
        # They find it closed, and not already taken by something else. A timer, because it also makes the loop turn: after
        # `closing_fd` alone it may sleep on callbacks that the woken greenlets leave.
        timer = _closing[fd] = loop.timer(0)
        timer.start(_close_now, fd)
    else:
        _close_now(fd)


def _close_now(fd: int) -> None:
    timer = _closing.pop(fd, None)
    if timer is not None:
        timer.close()
    forget(fd)
    _close(fd)


def is_connected(fd: int) -> bool:
    """Whether `fd` is a socket with no error and at least one direction open.

    Source: uWSGI's `is_connected`, which asks for SO_ERROR only. The kernel forgets that error when it has told it once; the
    hang-up stays, so a loop around this call sees the end for sure.
    """
    try:
        blocking = os.get_blocking(fd)
        sock = _socket.socket(fileno=fd)
    except (OSError, ValueError, OverflowError):
        return False
    try:
        if _socket.getdefaulttimeout() is not None:
            os.set_blocking(fd, blocking)  # the socket object has changed it
        if sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR):
            return False
        return not _is_ready(fd, 0)
    except OSError:
        return False
    finally:
        sock.detach()
