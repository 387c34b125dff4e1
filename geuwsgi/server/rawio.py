"""Two system calls of a non-blocking socket, with outcomes instead of exceptions: a full or empty kernel is no error.

Where the bytes do not travel on a socket as they are (see `stream`), the number is negative and the object is asked instead.
"""

from __future__ import annotations

from typing import Any, Optional, Union

from ..accel import use_compiled

#: Bytes asked of the kernel at once, and of a connection that has filled that.
READ_SIZE = 65536
LARGE_READ_SIZE = 262144


def receive(sock: Any, fd: int, size: int = READ_SIZE) -> Optional[bytes]:
    """What the kernel has.

    Args:
        sock: the plain, non-blocking socket object; or what has these three functions as methods.
        fd: its number; the compiled twin uses only this. Negative in the second case.
        size: bytes to ask for, at most LARGE_READ_SIZE.

    Returns:
        up to `size` bytes; b"" when the peer has ended or TCP is broken; None when nothing is there.
    """
    if fd < 0:
        return sock.receive(size)  # type: ignore[no-any-return]
    try:
        return sock.recv(size)  # type: ignore[no-any-return]
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""


def transmit(sock: Any, fd: int, data: Union[bytes, bytearray, memoryview]) -> int:
    """Give the kernel what it takes.

    Returns:
        bytes taken, 0 when there is no room, -1 when TCP is broken.
    """
    if fd < 0:
        return sock.transmit(data)  # type: ignore[no-any-return]
    try:
        return sock.send(data)  # type: ignore[no-any-return]
    except (BlockingIOError, InterruptedError):
        return 0
    except OSError:
        return -1


def transmit_two(sock: Any, fd: int, head: bytes, body: Union[bytes, memoryview]) -> int:
    """As `transmit` for two pieces, without joining them.

    Returns:
        bytes taken of both together, 0 or -1 as `transmit`.
    """
    if fd < 0:
        return sock.transmit_two(head, body)  # type: ignore[no-any-return]
    try:
        return sock.sendmsg((head, body))  # type: ignore[no-any-return]
    except (BlockingIOError, InterruptedError):
        return 0
    except OSError:
        return -1


use_compiled(globals(), "receive", "transmit", "transmit_two")
