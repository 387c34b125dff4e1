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

#: Bytes that a write to something that says it is writable takes without blocking, where MSG_DONTWAIT is not known. Source: pipe(7).
_PIPE_BUF = select.PIPE_BUF

#: The kernel's own: gevent since 25.8 puts a close off until the loop turns, which `closing_fd` and `forget` make needless.
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
    os.fstat(fd)  # the loop would wait for a closed number for ever
    while True:
        gevent.socket.wait_read(fd)
        try:
            return os.read(fd, size)
        except BlockingIOError:
            continue  # another greenlet was faster


def write(fd: int, data: bytes) -> None:
    """Write all of it.

    Raises:
        OSError: of the kernel.
    """
    os.fstat(fd)
    left = memoryview(data)
    while left:
        try:
            left = left[_write_some(fd, left) :]
        except BlockingIOError:
            gevent.socket.wait_write(fd)


def _write_some(fd: int, data: memoryview) -> int:
    try:
        sock = _socket.socket(fileno=fd)
    except OSError as error:
        if error.errno != errno.ENOTSOCK:
            raise
        gevent.socket.wait_write(fd)
        return os.write(fd, data[:_PIPE_BUF])
    try:
        return sock.send(data, _socket.MSG_DONTWAIT | getattr(_socket, "MSG_NOSIGNAL", 0))
    finally:
        sock.detach()


def close(fd: int) -> None:
    """Close a number, and wake the greenlets that wait for it.

    Raises:
        OSError: it is not open.
    """
    os.fstat(fd)
    loop = get_hub().loop
    if hasattr(loop, "closing_fd"):
        loop.closing_fd(fd)
    forget(fd)
    _close(fd)


def is_connected(fd: int) -> bool:
    """Whether `fd` is a socket with no error and at least one direction open.

    Source: uWSGI's `is_connected`, which asks for SO_ERROR only. The kernel forgets that error when it has told it once; the
    hang-up stays, so a loop around this call sees the end for sure.
    """
    try:
        sock = _socket.socket(fileno=fd)
    except (OSError, ValueError):
        return False
    try:
        if sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR):
            return False
        poller = _poll()  # gevent's would go through the hub, and this one never waits
        poller.register(fd, 0)
        return not poller.poll(0)
    except OSError:
        return False
    finally:
        sock.detach()
