"""Signals between servers: `uwsgi.signal(num, node)`, and what other servers raise here.

One is a packet of the uwsgi protocol without a block: modifier1 110, and the signal as modifier2. The answer has modifier1 255, and
modifier2 1 if the signal was taken, else 0.

Source: what a running uWSGI 2.0.31 sends and answers.
"""

from __future__ import annotations

import gevent

from ..protocol.uwsgi import SIGNAL, packet
from ..server import fdio
from .state import state

#: Seconds for all of it. Source: uWSGI's default for `--socket-timeout`.
TIMEOUT = 4.0

_TAKEN = packet(255, modifier2=1)
_REFUSED = packet(255)


def raise_at(node: str, number: int) -> None:
    """Raise a signal at another server.

    Args:
        node: the address of its uwsgi socket.
        number: 0 to 255.

    Raises:
        OSError: it does not answer.
        ValueError: it does not take the signal.
    """
    try:
        with gevent.Timeout(TIMEOUT, TimeoutError()):
            answer = _ask(node, packet(SIGNAL, modifier2=number))
    except (OSError, ValueError):
        answer = b""
    if answer == _REFUSED:
        raise ValueError(f"node {node} rejected signal {number}")
    if answer != _TAKEN:
        raise OSError(f"unable to deliver signal {number} to node {node}")


def _ask(node: str, question: bytes) -> bytes:
    fd = fdio.connect(node, TIMEOUT)
    try:
        fdio.write(fd, question)
        answer = b""
        while len(answer) < len(_TAKEN):
            data = fdio.read(fd, len(_TAKEN) - len(answer))
            if not data:
                break
            answer += data
        return answer
    finally:
        fdio.close(fd)


def take(modifier2: int, block: bytes) -> bytes:
    """Raise a signal that has come in a packet; the answer."""
    link = state.signals
    return _TAKEN if link is not None and link.pipes.raise_signal(modifier2) else _REFUSED
