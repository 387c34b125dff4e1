"""Ports for programs that cannot choose one themselves."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

#: Below those that Linux gives to whoever asks for any port, or connects: such a one could be somebody else's before it is used, and who
#: tries again and again to connect to one where nobody listens would one day find himself there.
_FIRST, _LAST = 12000, 32000

#: Not hypothesis's, which begins each test alike.
_random = random.Random()


def free_ports(count: int) -> list[int]:
    """Different ports that were free a moment ago: another test may take one before it is used, so try again then."""
    ports: list[int] = []
    with ExitStack() as stack:
        while len(ports) < count:
            probe = stack.enter_context(socket.socket())
            port = _random.randint(_FIRST, _LAST)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
    return ports


def accepts(port: int) -> bool:
    """Whether somebody accepts there."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
