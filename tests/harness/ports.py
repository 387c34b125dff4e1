"""Ports for programs that cannot choose one themselves."""

from __future__ import annotations

import socket
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """Different ports that were free a moment ago: another process may take one before it is used, so try again then."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def accepts(port: int) -> bool:
    """Whether somebody accepts there."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
