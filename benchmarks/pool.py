"""Servers kept running between scenarios, so that rounds can go from one to the next without waiting for a start."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import native
from process import Process, StartError, free_port
from servers import Launch, Server


class Pool:
    """Starts servers when they are first asked for and again when they have died.

    Args:
        server_cores: cores for a server of one core, first; one that is given two gets the load generator's as well.
        load_core: the core of the load generator.
        python: the interpreter that has geuwsgi.
        native: the compiled C echo.
    """

    def __init__(self, server_cores: Sequence[int], load_core: int, python: str, native: str) -> None:
        self._cores = list(server_cores)
        self._load_core = load_core
        self._python = python
        self._native = native
        self._folder = Path(tempfile.mkdtemp(prefix="geuwsgi-bench-"))
        self._running: dict[tuple[str, str, bool], Process] = {}
        self._failed: dict[tuple[str, str, bool], StartError] = {}
        self._redis: Optional[Process] = None
        self._started = 0

    def get(self, server: Server, app: str, backlog: bool = True) -> Process:
        """The running server for an application.

        Raises:
            StartError: it does not start; the next question gets the same answer at once.
        """
        key = (server.name, app, backlog)
        if key in self._failed:
            raise self._failed[key]
        process = self._running.get(key)
        if process is not None and process.alive():
            return process
        if process is not None:
            process.stop()
            del self._running[key]
        try:
            self._running[key] = self.start(server, app, backlog)
        except StartError as error:
            self._failed[key] = error
            raise
        return self._running[key]

    def start(self, server: Server, app: str, backlog: bool = True) -> Process:
        """A server of one's own, to be stopped by the caller."""
        env = dict(server.env)
        if server.redis:
            env["REDIS_SOCKET"] = self._redis_socket()
        self._started += 1
        port = free_port()
        ready = self._folder / f"ready-{self._started}"
        cert, key = self._certificate() if server.certificate else ("", "")
        command = server.command(Launch(app, port, str(ready), self._python, self._native, backlog, cert, key))
        cores = [*self._cores, self._load_core] if server.cores > 1 else self._cores
        return Process(command, cores, env, port, ready if server.ready_file else None)

    def _certificate(self) -> tuple[str, str]:
        try:
            return native.certificate(self._folder)
        except (OSError, subprocess.CalledProcessError) as error:
            raise StartError(f"no certificate: {error}") from None

    def _redis_socket(self) -> str:
        """Redis works for the server, so it shares the server's core."""
        path = self._folder / "redis.sock"
        if self._redis is None:
            binary = shutil.which("redis-server")
            if binary is None:
                raise StartError("there is no redis-server on the PATH")
            port = free_port()
            command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--unixsocket", str(path), "--save", "", "--maxclients", "15000"]
            self._redis = Process([*command, "--dir", str(self._folder), "--appendonly", "no"], self._cores, {}, port)
        return str(path)

    def stop(self, app: Optional[str] = None) -> None:
        """End the servers of one application, or everything."""
        for key in [key for key in self._running if app in (None, key[1])]:
            self._running.pop(key).stop()
        if app is None:
            if self._redis is not None:
                self._redis.stop()
            shutil.rmtree(self._folder, ignore_errors=True)
