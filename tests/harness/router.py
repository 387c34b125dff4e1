"""The HTTP router of a real uWSGI in front of what is tested."""

from __future__ import annotations

from pathlib import Path

from .ports import accepts, free_ports
from .process import Program, ProgramDied
from .programs import find_uwsgi
from .wait import wait_until


class UWSGIRouter(Program):
    """`uwsgi --http ... --http-to ...` on 127.0.0.1, without an application of its own.

    Args:
        address: where it forwards to, over the uwsgi protocol.
        arguments: further options.

    Attributes:
        port: its port.
    """

    def __init__(self, folder: Path, address: str, *arguments: str) -> None:
        program = find_uwsgi()
        for attempt in range(5):
            (self.port,) = free_ports(1)
            argv = [program, "--master", "--http", f"127.0.0.1:{self.port}", "--http-to", address, "--http-websockets", *arguments]
            super().__init__(argv, folder / "router.log", folder)
            try:
                wait_until(self._is_ready, 20, "uWSGI's router")
                return
            except ProgramDied:
                if attempt == 4:
                    raise

    def _is_ready(self) -> bool:
        self.check_alive()
        return accepts(self.port)
