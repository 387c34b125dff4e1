"""A real front in this process, and backends that do what a test says, byte by byte."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Callable

import gevent
from gevent.server import StreamServer

from geuwsgi.server.gateway.backend import parse_backend
from geuwsgi.server.gateway.exchange import forward
from geuwsgi.server.gateway.pool import Pool
from geuwsgi.server.gateway.settings import GatewaySettings
from geuwsgi.server.listener import open_listener
from geuwsgi.server.request import find_request
from geuwsgi.server.server import Server
from tests.harness.ports import free_ports
from tests.server.serving import Serving, settings, wait_for

Handler = Callable[["Peer"], Any]


class Peer:
    """The backend's end of a connection."""

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        self.buffer = b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def more(self) -> bytes:
        data: bytes = self.sock.recv(65536)
        self.buffer += data
        return data

    def take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            assert self.more(), f"ended after {self.buffer!r}"
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def head(self) -> bytes:
        """The head of an HTTP request."""
        while b"\r\n\r\n" not in self.buffer:
            assert self.more(), f"ended after {self.buffer!r}"
        return self.take(self.buffer.index(b"\r\n\r\n") + 4)

    def variables(self) -> tuple[int, dict[str, str], int]:
        """A uwsgi packet: modifier1, the variables, modifier2."""
        modifier1, low, high, modifier2 = self.take(4)
        data = self.take(low + (high << 8))
        found: list[str] = []
        while data:
            size = data[0] + (data[1] << 8)
            found.append(data[2 : 2 + size].decode("latin-1"))
            data = data[2 + size :]
        return modifier1, dict(zip(found[::2], found[1::2])), modifier2

    def rest(self) -> bytes:
        while self.more():
            pass
        found, self.buffer = self.buffer, b""
        return found


class ScriptedBackend:
    """Calls a function with each connection.

    Attributes:
        address: for `parse_backend`, without a scheme.
        connections: how many there were; `active` those that are not over.
        errors: what the function raised.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections = self.active = 0
        self.errors: list[BaseException] = []
        self.server = StreamServer(("127.0.0.1", 0), self._serve)
        self.server.start()
        self.address = f"127.0.0.1:{self.server.server_port}"

    def _serve(self, sock: Any, address: Any) -> None:
        self.connections += 1
        self.active += 1
        try:
            self.handler(Peer(sock))
        except BaseException as error:
            self.errors.append(error)
        finally:
            sock.close()
            self.active -= 1


class Backends:
    """Makes them, and ends them."""

    def __init__(self) -> None:
        self.made: list[ScriptedBackend] = []

    def __call__(self, handler: Handler) -> ScriptedBackend:
        self.made.append(ScriptedBackend(handler))
        return self.made[-1]

    def dead(self) -> str:
        """An address where nobody listens."""
        return f"127.0.0.1:{free_ports(1)[0]}"

    def finish(self) -> None:
        for backend in self.made:
            backend.server.stop(1)
        wait_for(lambda: not any(backend.active for backend in self.made), "the end of the handlers")
        errors = [repr(error) for backend in self.made for error in backend.errors]
        assert not errors, errors


@contextmanager
def fronting(*addresses: str, application: bool = False, http: Any = None, **options: Any) -> Iterator[Serving]:
    """Serve a front, or, with `application`, an application that forwards. `options` are GatewaySettings."""
    pool = Pool([parse_backend(address) for address in addresses], GatewaySettings(**options))
    listener = replace(open_listener("127.0.0.1:0"), forwards=not application)

    def forwarding(environ: dict[str, Any], start_response: Any) -> Any:
        request = find_request()
        assert request is not None
        return forward(request, pool)

    server = Server(forwarding, [listener], settings(http, log_requests=False))
    server.front = pool
    server.start()
    found = Serving(server, listener)
    try:
        yield found
    finally:
        for client in found.clients:
            client.close()
        server.stop(2)
        gevent.sleep(0)
