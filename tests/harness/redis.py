"""A real redis-server without persistence, on a port of its own."""

from __future__ import annotations

from pathlib import Path

from .ports import free_ports
from .process import Program, ProgramDied
from .programs import find_program
from .wait import wait_until


class RedisServer(Program):
    """Redis on 127.0.0.1.

    Attributes:
        port: its TCP port.
        url: as `redis.from_url` takes it.
    """

    def __init__(self, folder: Path) -> None:
        program = find_program("redis-server")
        for attempt in range(5):
            # Redis cannot pick a port itself, so another process may take this one in between: try again.
            (self.port,) = free_ports(1)
            argv = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
            super().__init__(argv, folder / "redis.log", folder)
            try:
                wait_until(self._is_ready, 20, "redis-server")
                break
            except ProgramDied:
                if attempt == 4:
                    raise
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def _is_ready(self) -> bool:
        self.check_alive()
        return "eady to accept connections" in self.log
