"""A client of tests/apps/channels.py."""

from __future__ import annotations

import json
from typing import Any, Optional, Union

import websocket

from tests.harness.wait import wait_until

Message = Union[str, bytes]


class Member:
    """One websocket. `await_` methods stand aside: what channels forward is kept in order in `heard`.

    Attributes:
        heard: messages of channels not yet taken.
    """

    def __init__(self, url: str) -> None:
        self.socket = websocket.create_connection(url, timeout=20)
        self.heard: list[Message] = []

    def call(self, name: str, *arguments: Any) -> Any:
        """Run a function in the application; its result. Raises AssertionError for an error."""
        kind, result = self._command(name, *arguments)
        assert kind == "=", result
        return result

    def counts(self, name: str, number: int) -> None:
        """Wait until so many members are counted: a worker that does not answer in half a second is left out."""
        wait_until(lambda: self.call("count", name) == number, what=f"{number} members")

    def fails(self, name: str, *arguments: Any) -> str:
        """Run a function that raises; "Type: text"."""
        kind, result = self._command(name, *arguments)
        assert kind == "!", result
        return str(result)

    def _command(self, name: str, *arguments: Any) -> tuple[str, Any]:
        self.socket.send(json.dumps([name, *arguments]))
        while True:
            message = self._receive()
            if isinstance(message, str) and message.startswith(('["=", ', '["!", ')):
                kind, result = json.loads(message)
                return kind, result
            self.heard.append(message)

    def _receive(self) -> Message:
        opcode, data = self.socket.recv_data()
        assert opcode in (1, 2), (opcode, data)
        return data.decode() if opcode == 1 else data

    def hear(self, count: int = 1) -> list[Message]:
        """The next messages of channels, in order."""
        while len(self.heard) < count:
            self.heard.append(self._receive())
        taken, self.heard = self.heard[:count], self.heard[count:]
        return taken

    def nothing(self, mark: Optional[str] = None) -> None:
        """Assert that nothing was forwarded which has not been taken: an answer of the application overtakes nothing."""
        self.call("worker")
        assert self.heard == []

    def close(self) -> None:
        """Leave with a closing handshake."""
        self.socket.close()
        self.socket.shutdown()  # also when the server was first
