"""The queues of the signal framework: socket pairs on which a signal is a single byte.

There is one between the master and all workers together, and one between the master and each number of a worker. A worker raises a signal
by writing into the common one; what the master writes there is for whoever reads first. They belong to the numbers and not to the
processes: a signal waits there for the successor of a worker that has died, and a reload keeps them.
"""

from __future__ import annotations

import _socket
import os
import socket
from collections.abc import Sequence

from gevent import monkey

from ..log import log

_close_now = monkey.get_original("os", "close")

#: What is logged when a queue is full, with the size of its buffer.
_FULL = "*** SIGNAL QUEUE IS FULL: buffer size {} bytes (you can tune it with --signal-bufsize) ***"


class SignalPipes:
    """All queues of one master.

    Args:
        workers: how many there are.
        kept: descriptors that the image before this one had, as `descriptors` gave them.
        size: bytes of a queue's buffer, a signal takes some hundred of them; 0 leaves it as the system makes it.
    Attributes:
        ours: the master's end of the common queue.
    """

    def __init__(self, workers: int, kept: Sequence[int] = (), size: int = 0) -> None:
        pairs = list(zip(kept[::2], kept[1::2]))
        while len(pairs) < workers + 1:
            pairs.append(_pair())
        for surplus in pairs[workers + 1 :]:
            _close(surplus)
        #: (the master's end, the workers' end): the common one, then by the worker's number.
        self._pairs = pairs[: workers + 1]
        for pair in self._pairs if size else ():
            for fd in pair:
                _set_buffer(fd, size)
        self.ours = self._pairs[0][0]

    def descriptors(self) -> list[int]:
        """Both ends of each, for the next image."""
        return [fd for pair in self._pairs for fd in pair]

    def masters(self) -> list[int]:
        """The ends that no worker has."""
        return [ours for ours, _ in self._pairs]

    def become_worker(self, worker_id: int) -> tuple[int, int]:
        """In a worker: close what is others', and tell the ends to read from: the common one, its own."""
        for number, (_, theirs) in enumerate(self._pairs):
            if number not in (0, worker_id):
                _close_now(theirs)
        return self._pairs[0][1], self._pairs[worker_id][1]

    def raise_signal(self, signal: int) -> bool:
        """Tell the master of a signal; False when its queue is full, which the log says. From any process and thread."""
        return _send(self._pairs[0][1], signal)

    def deliver(self, signal: int, worker_id: int = 0) -> bool:
        """Give a signal to a worker, 0 for any; False when that queue is full, which the log says."""
        return _send(self._pairs[worker_id][0], signal)


def receive(fd: int, most: int = 1) -> bytes:
    """What has come on an end, b"" for nothing: a byte for each signal."""
    try:
        return os.read(fd, most)
    except (BlockingIOError, ConnectionError):
        return b""


def _pair() -> tuple[int, int]:
    # Streams: a queue of datagrams holds ten of them, whatever its buffer. And the patched ones would make gevent sockets.
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    fds = ours.detach(), theirs.detach()
    for fd in fds:
        os.set_blocking(fd, False)
    return fds


def _close(pair: tuple[int, int]) -> None:
    for fd in pair:
        _close_now(fd)


def _set_buffer(fd: int, size: int) -> None:
    end = _socket.socket(fileno=fd)
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)
    finally:
        end.detach()


def _buffer(fd: int) -> int:
    end = _socket.socket(fileno=fd)
    try:
        return end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    finally:
        end.detach()


def _send(fd: int, signal: int) -> bool:
    try:
        return os.write(fd, bytes((signal,))) == 1
    except BlockingIOError:
        log(_FULL.format(_buffer(fd)))
    except OSError as error:
        log(f"uwsgi_signal_send(): {error.strerror}")
    return False
