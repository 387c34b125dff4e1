"""A real HAProxy in front of what is tested."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .ports import accepts, free_ports
from .process import Program, ProgramDied
from .programs import find_program
from .wait import wait_until

_DEFAULTS = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout tunnel 1h
"""

_PROXY = """
listen {name}
    bind 127.0.0.1:{port}{bind}
    {lines}
    server app {address}
"""


class HAProxy(Program):
    """HAProxy on 127.0.0.1, with a port for each server.

    Args:
        servers: name -> (the address and options of its `server` line, further lines, what stands behind its `bind`).
        whole: the whole configuration, in the place of servers; its `bind :80` becomes the port called "whole".

    Attributes:
        ports: name -> port.
    """

    def __init__(self, folder: Path, servers: Mapping[str, tuple[str, str, str]], whole: str = "") -> None:
        program = find_program("haproxy")
        configuration = folder / "haproxy.cfg"
        for attempt in range(5):
            names = list(servers) or ["whole"]
            self.ports = dict(zip(names, free_ports(len(names))))
            listens = "".join(
                _PROXY.format(name=name, port=self.ports[name], address=address, lines=lines, bind=bind)
                for name, (address, lines, bind) in servers.items()
            )
            if whole:
                configuration.write_text(whole.replace("bind :80", f"bind 127.0.0.1:{self.ports['whole']}"))
            else:
                configuration.write_text(_DEFAULTS + listens)
            super().__init__([program, "-db", "-f", str(configuration)], folder / "haproxy.log", folder)
            try:
                wait_until(self._is_ready, 20, "HAProxy")
                return
            except ProgramDied:
                if attempt == 4:
                    raise

    def _is_ready(self) -> bool:
        self.check_alive()
        return all(map(accepts, self.ports.values()))
