"""One page's websocket: what it says is judged here, in the worker that has it, and goes on to its room."""

from __future__ import annotations

import secrets
from typing import Any, Optional

import gevent
import uwsgi

from .limits import Allowance
from .protocol import Commands, Message, Mistake, encode, parse
from .room import LOBBY, QUESTIONS, Room, page_channel, room_channel
from .rooms import Here, Way, at_home, find, open_room
from .settings import RATE

POLICY = 1008  # RFC 6455 section 7.4.1


class Goodbye(Exception):
    """The connection has to end; the text says why."""


class Connection:
    """A page.

    Attributes:
        page: its number, unlike that of any other on any worker.
    """

    def __init__(self) -> None:
        self.page = secrets.token_hex(8)
        self._way: Optional[Way] = None
        self._hosted: list[Room] = []
        self._answerer: Any = None
        self._in_lobby = False
        # A page sends a command in each tick in which it moves, and a ping a second; a bad network delivers late and together.
        self._messages = Allowance(rate=2 * RATE, burst=8 * RATE)
        self._commands = Allowance(rate=1.2 * RATE, burst=8 * RATE)
        self._entrances = Allowance(rate=0.5, burst=12)
        self._sayings = Allowance(rate=1, burst=6)
        self._mistakes = Allowance(rate=0.1, burst=6)

    def serve(self) -> None:
        """Listen until the page is gone, and then for as long as a room needs the request that opened it."""
        uwsgi.websocket_channel_join(page_channel(self.page))
        try:
            while True:
                self._receive(uwsgi.websocket_recv())
        except Goodbye as goodbye:
            self._send({"t": "bye", "text": str(goodbye)})
            uwsgi.websocket_close(POLICY, str(goodbye))
        except OSError:
            pass  # the page is gone; perhaps it comes back
        finally:
            if self._way is not None:
                self._way.gone(self.page)
        try:
            for room in list(self._hosted):
                room.closed.wait()
        finally:
            if self._answerer is not None:
                self._answerer.kill()

    def _receive(self, data: bytes) -> None:
        if not self._messages.spend():
            raise Goodbye("too many messages")
        try:
            message = parse(data)
            if isinstance(message, Commands):
                if not self._commands.spend(len(message.commands)):
                    raise Goodbye("faster than time")
                if self._way is not None:
                    self._way.send(self.page, data, message)
            else:
                self._act(data, message)
        except Mistake as mistake:
            if not self._mistakes.spend():
                raise Goodbye("too many messages that make no sense") from None
            self._send({"t": "error", "text": str(mistake)})

    def _act(self, data: bytes, message: Message) -> None:
        kind = message["t"]
        if kind in ("hello", "lobby", "me", "sync", "fill") and not self._entrances.spend():
            raise Mistake("not so fast")
        if kind == "chat" and not self._sayings.spend():
            raise Mistake("too fast for the others to read")
        if kind == "hello":
            self._enter(data, message)
        elif kind in ("lobby", "leave"):
            self._leave()
            if kind == "lobby":
                self._show_lobby()
        elif self._way is None:
            if kind != "ping":
                raise Mistake("enter a room first")
            self._send({"t": "pong", "n": message["n"]})
        else:
            self._way.send(self.page, data, message)

    def _enter(self, data: bytes, message: Message) -> None:
        """Go to a room, wherever it lives; open it here when it lives nowhere."""
        name = message["room"]
        if self._way is not None and self._way.name != name:
            self._leave()
        self._leave_lobby()
        at_home(self.page)  # the room may have moved to this worker since
        self._way = find(name) or self._host(name, message["fill"])
        # Before the room answers, so that nothing that it tells afterwards is missed.
        uwsgi.websocket_channel_join(room_channel(name))
        self._way.send(self.page, data, message)

    def _host(self, name: str, fill: int) -> Here:
        """Open a room in this worker, with this request as its host."""
        room = open_room(name, fill)
        if not self._hosted:
            uwsgi.channel_join(QUESTIONS, stay=True)
            self._answerer = gevent.spawn(self._answer, uwsgi.request_context())
        self._hosted.append(room)
        return Here(room)

    def _answer(self, context: Any) -> None:
        """Whenever somebody asks in the lobby, tell it about the rooms that this request hosts."""
        while True:
            try:
                uwsgi.channel_recv(QUESTIONS, request_context=context)
            except OSError:
                return  # the request is over: the server stops
            self._hosted = [room for room in self._hosted if not room.closed.is_set()]
            for room in self._hosted:
                room.tell_lobby(asked=True)

    def _leave(self) -> None:
        self._leave_lobby()
        if self._way is not None:
            self._way.leave(self.page)
            uwsgi.websocket_channel_leave(room_channel(self._way.name))
            self._way = None

    def _show_lobby(self) -> None:
        self._in_lobby = True
        uwsgi.websocket_channel_join(LOBBY)
        uwsgi.channel_send(QUESTIONS, b"?")

    def _leave_lobby(self) -> None:
        if self._in_lobby:
            self._in_lobby = False
            uwsgi.websocket_channel_leave(LOBBY)

    def _send(self, message: Message) -> None:
        try:
            uwsgi.websocket_send(encode(message))
        except OSError:
            pass  # found out by the next recv
