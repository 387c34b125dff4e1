"""Two websocket clients from PyPI behind one small face, so that a scenario can be played with either.

What is received is a tuple: ("text", str), ("binary", bytes), ("close", code, reason); ("end",) when the
connection ended without a close frame.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Protocol, Union

import websocket
import websockets.exceptions
import websockets.sync.client

Event = tuple[Any, ...]


class Client(Protocol):
    """A connected websocket."""

    def text(self, message: str) -> None: ...
    def binary(self, message: bytes) -> None: ...
    def receive(self) -> Event: ...
    def close(self, code: int = 1000, reason: str = "") -> Event: ...
    def abort(self) -> None: ...


class WebsocketClientClient:
    """`websocket-client`: plain blocking sockets, which see exactly what is sent."""

    def __init__(self, url: str, timeout: float = 20.0, **options: Any) -> None:
        self.socket = websocket.create_connection(url, timeout=timeout, **options)

    def text(self, message: str) -> None:
        self.socket.send(message)

    def binary(self, message: bytes) -> None:
        self.socket.send_binary(message)

    def receive(self) -> Event:
        try:
            opcode, data = self.socket.recv_data()
        except (websocket.WebSocketConnectionClosedException, ConnectionError):
            return ("end",)
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            code = int.from_bytes(data[:2], "big") if data else 1005
            return ("close", code, data[2:].decode())
        return ("text", data.decode()) if opcode == websocket.ABNF.OPCODE_TEXT else ("binary", data)

    def close(self, code: int = 1000, reason: str = "") -> Event:
        """Start the closing handshake; the first event after it that is no message."""
        self.socket.send(code.to_bytes(2, "big") + reason.encode(), websocket.ABNF.OPCODE_CLOSE)
        while True:
            event = self.receive()
            if event[0] in ("close", "end"):
                self.abort()
                return event

    def abort(self) -> None:
        self.socket.shutdown()


class WebsocketsClient:
    """`websockets`, its threaded client: strict about everything that the server sends."""

    def __init__(self, url: str, timeout: float = 20.0, **options: Any) -> None:
        self.timeout = timeout
        self._stack = ExitStack()
        connection = websockets.sync.client.connect(url, open_timeout=timeout, close_timeout=2, compression=None, **options)
        self.socket = self._stack.enter_context(connection)

    def text(self, message: str) -> None:
        self.socket.send(message)

    def binary(self, message: bytes) -> None:
        self.socket.send(message)

    def receive(self) -> Event:
        try:
            message: Union[str, bytes] = self.socket.recv(timeout=self.timeout)
        except websockets.exceptions.ConnectionClosed as closed:
            return ("end",) if closed.rcvd is None else ("close", closed.rcvd.code, closed.rcvd.reason)
        return ("text", message) if isinstance(message, str) else ("binary", message)

    def close(self, code: int = 1000, reason: str = "") -> Event:
        self.socket.close(code, reason)
        event = self.receive()
        while event[0] not in ("close", "end"):
            event = self.receive()
        return event

    def abort(self) -> None:
        try:
            self.socket.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # closed already
        self._stack.close()


#: By name, for parametrized tests.
CLIENTS: dict[str, Callable[..., Client]] = {"websocket-client": WebsocketClientClient, "websockets": WebsocketsClient}


@contextmanager
def client_factory(name: str, base_url: str, timeout: float = 20.0) -> Iterator[Callable[..., Client]]:
    """A function that connects to one server; all that it opened is closed at the end.

    Without a path it takes one that nobody else uses: the applications make a room of it.
    """
    opened: list[Client] = []
    room = "/" + uuid.uuid4().hex

    def connect(path: str = room, **options: Any) -> Client:
        opened.append(CLIENTS[name](base_url + path, timeout, **options))
        return opened[-1]

    try:
        yield connect
    finally:
        for client in opened:
            client.abort()
