"""A page of the game without a browser: it says hello, plays, and keeps what the server tells it."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from typing import Any, Callable, Optional

import pytest
import websocket

from tests.harness.programs import ROOT
from tests.harness.servers import Server

INI = ROOT / "bombertab_demo" / "bombertab.ini"
ARGUMENTS = ("--ini", f"{INI}:game", "--http-socket", "127.0.0.1:0")

Message = dict[str, Any]


class Page:
    """One page.

    Attributes:
        told: all JSON messages, in their order.
        players: slot -> the last that was told of it: x, y, facing, alive, speed, acknowledged.
        seats: slot -> [slot, name, hue, bot, score, away].
        slot, token: from the last welcome.
        closed: (code, reason) once the server has closed.
    """

    def __init__(self, server: Server, room: str = "", name: str = "Ada", **hello: Any) -> None:
        self.socket = websocket.create_connection(server.ws_url + "/game", timeout=20)
        self.told: list[Message] = []
        self.players: dict[int, dict[str, int]] = {}
        self.seats: dict[int, list[Any]] = {}
        self.phase = ""
        self.slot: Optional[int] = None
        self.token = ""
        self.number = 0
        self.events: list[list[Any]] = []
        self.moves = 0
        self.said_hello: dict[str, Any] = {}
        self.closed: Optional[tuple[int, str]] = None
        if room:
            self.hello(room, name, **hello)
            self.expect("welcome")
            self.expect("snap")

    def send(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def hello(self, room: str, name: str = "Ada", *, hue: int = 200, token: str = "", watch: bool = False, fill: int = 0) -> None:
        self.said_hello = {"room": room, "name": name, "hue": hue, "token": token, "watch": watch, "fill": fill}
        self.send(t="hello", **self.said_hello)

    def play(self, *commands: int) -> None:
        """Send commands, one message for each."""
        for command in commands:
            self.number += 1
            self.socket.send_binary(struct.pack("!BHB", 1, self.number & 0xFFFF, command))

    def receive(self) -> Optional[Message]:
        """Take in one message; the JSON ones are returned."""
        opcode, data = self.socket.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            self.closed = (int.from_bytes(data[:2], "big"), data[2:].decode())
            return None
        if opcode == websocket.ABNF.OPCODE_BINARY:
            assert data[0] == 2
            self.moves += 1
            for at in range(5, len(data), 8):
                slot, x, y, flags, acknowledged = struct.unpack_from("!BHHBH", data, at)
                self._player(slot, x, y, flags & 7, flags >> 3 & 1, flags >> 4, acknowledged)
            return None
        message: Message = json.loads(data)
        self.told.append(message)
        if message["t"] == "welcome":
            self.slot, self.token = message["slot"], message["token"]
        elif message["t"] == "moved":
            self.hello(**{**self.said_hello, "token": self.token})
        elif message["t"] == "seat":
            self.slot = message["slot"]
        elif message["t"] == "snap":
            self.phase = message["phase"]
            self.seats = {seat[0]: seat for seat in message["seats"]}
            self.players = {}
            for slot, x, y, facing, alive, _, _, speed, _, acknowledged in message["players"]:
                self._player(slot, x, y, facing, alive, speed, acknowledged)
            if self.slot in self.players:
                self.number = self.players[self.slot]["acknowledged"]
        elif message["t"] == "ev":
            for event in message["e"]:
                self.events.append(event)
                if event[0] == "phase":
                    self.phase = event[1]
                elif event[0] == "seats":
                    self.seats = {seat[0]: seat for seat in event[1]}
        return message

    def _player(self, slot: int, x: int, y: int, facing: int, alive: int, speed: int, acknowledged: int) -> None:
        self.players[slot] = {"x": x, "y": y, "facing": facing, "alive": alive, "speed": speed, "acknowledged": acknowledged}

    def until(self, condition: Callable[[], Any], deadline: float = 20.0, what: str = "") -> Any:
        """Take in messages until the condition holds."""
        end = time.monotonic() + deadline
        while not (result := condition()):
            left = end - time.monotonic()
            assert left > 0, f"not within {deadline} s: {what}; the last messages: {self.told[-5:]}"
            assert self.closed is None, f"closed: {self.closed}"
            # Not for all that is left: the client answers pings by itself, and each begins its waiting anew.
            self.socket.settimeout(min(left, 1.0))
            try:
                self.receive()
            except websocket.WebSocketTimeoutException:
                continue
        return result

    def expect(self, kind: str, deadline: float = 20.0) -> Message:
        """The next message of that type."""
        seen = len(self.told)
        found: list[Message] = []

        def arrived() -> bool:
            found[:] = [message for message in self.told[seen:] if message["t"] == kind]
            return bool(found)

        self.until(arrived, deadline, kind)
        return found[0]

    def until_event(self, name: str, *values: Any, deadline: float = 20.0) -> list[Any]:
        """An event that begins so, from now on or already told."""
        wanted = [name, *values]

        def found() -> list[Any]:
            return next((event for event in self.events if event[: len(wanted)] == wanted), [])

        return list(self.until(found, deadline, f"the event {wanted}"))

    def until_closed(self, deadline: float = 20.0) -> tuple[int, str]:
        end = time.monotonic() + deadline
        while self.closed is None and time.monotonic() < end:
            self.receive()
        assert self.closed is not None
        return self.closed

    def lost(self, patience: float = 0.5) -> bool:
        """Whether the connection has ended; takes in what has come until nothing more does."""
        self.socket.settimeout(patience)
        try:
            while self.closed is None:
                self.receive()
        except websocket.WebSocketTimeoutException:
            return False
        except (websocket.WebSocketConnectionClosedException, ConnectionError):
            pass
        return True

    def settle(self) -> None:
        """Wait until everything sent before has been answered."""
        self.send(t="ping", n=77)
        self.until(lambda: self.told and self.told[-1]["t"] == "pong", what="pong")

    def away(self, slot: int) -> bool:
        return bool(self.seats[slot][5])


@pytest.fixture
def open_page() -> Iterator[Callable[..., Page]]:
    """Open pages that are closed at the end: `open_page(server, "room", "Ada", fill=4)`."""
    pages: list[Page] = []

    def make(server: Server, *arguments: Any, **options: Any) -> Page:
        pages.append(Page(server, *arguments, **options))
        return pages[-1]

    yield make
    for page in pages:
        page.socket.shutdown()
