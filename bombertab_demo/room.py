"""A room: one match, the pages that see it, and the greenlet that ticks.

A room lives in one worker. Whatever it tells goes into named channels: one channel that every page of the room has joined,
whichever worker serves it, and one for each page. So a tick is one message, however many look on.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from dataclasses import dataclass
from typing import Callable, Optional, Union

import gevent.event
import uwsgi

from .game.match import Match
from .pacing import Pace
from .protocol import Commands, Message, encode, moves, player_record
from .settings import BACK_WITHIN, RATE
from .snapshot import seats, snapshot

SILENT = 6.0  #: seconds without a word of the worker that has a page, after which the page is taken for lost
KEYFRAME = RATE  #: ticks after which all players are told, moved or not: a lost message is made good by then
EMPTY_FOR = 1.0  #: seconds without anybody after which a room is closed
LOBBY_EVERY = 2.0  #: seconds between the lines for the lobby when nothing changes
CHAT_KEPT = 20
MAX_MEMBERS = 64

LOBBY = "bombertab lobby"  #: lines about the rooms; every page in the lobby has joined it
QUESTIONS = "bombertab questions"  #: every room answers on it with its line for the lobby


def room_channel(name: str) -> str:
    """What everybody in the room is told."""
    return f"bombertab room {name}"


def page_channel(page: str) -> str:
    """What one page is told."""
    return f"bombertab page {page}"


@dataclass
class Member:
    """A page in the room.

    Attributes:
        page: the number of its connection.
        token: the secret by which it is known again.
        slot: of its player; None for a spectator.
        watch: whether it only wants to look on.
        heard: when its worker spoke of it last; None when that is this one, which knows when a page is gone.
        lost: since when its connection is.
    """

    page: str
    token: str
    name: str
    hue: int
    watch: bool
    slot: Optional[int] = None
    heard: Optional[float] = None
    lost: Optional[float] = None


class Room:
    """One room.

    Attributes:
        closed: set when it is over: nobody has been here for a while, or another room of this name is older.
        born: (time, random number), by which two rooms of one name agree on which is the real one.
    """

    def __init__(self, name: str, fill: int) -> None:
        self.name = name
        self.born = (time.time(), secrets.token_hex(4))
        self.match = Match(secrets.randbits(32), fill)
        self.members: dict[str, Member] = {}
        self.closed = gevent.event.Event()
        self.pace = Pace(RATE)
        self._number = 0
        self._told: dict[int, bytes] = {}
        self._chat: deque[Message] = deque(maxlen=CHAT_KEPT)
        self._empty_since = time.monotonic()
        #: Called when it closes.
        self.at_close: Callable[[], None] = lambda: None
        self._line: Message = {}
        self._line_at = 0.0

    # -- what pages say

    def receive(self, page: str, message: Union[Commands, Message], abroad: bool = False) -> None:
        """Do what a page asks for. What is not its to ask is left undone.

        Args:
            page: the number of its connection.
            abroad: whether another worker has it.
        """
        if self.closed.is_set():
            return
        if isinstance(message, dict) and message["t"] == "hello":
            self._hello(page, message, abroad)
            return
        self.heard(page)
        member = self.members.get(page)
        if member is None:
            # Its room was another one of this name, whose worker was killed; this one was opened before it missed anything.
            if isinstance(message, dict) and message["t"] == "ping" and len(self.members) < MAX_MEMBERS:
                self._tell(page, {"t": "moved"})
            return
        if isinstance(message, Commands):
            self._command(member, message)
            return
        kind = message["t"]
        if kind == "ping":
            self._tell(page, {"t": "pong", "n": message["n"], "clock": self.match.clock})
        elif kind == "sync":
            self._tell(page, self._snapshot())
        elif kind == "chat":
            said = {"t": "said", "slot": member.slot, "name": self._name_of(member), "text": message["text"]}
            self._chat.append(said)
            self._publish(encode(said))
        elif kind == "fill":
            self.match.set_fill(message["fill"] if message["fill"] != 1 else 0)
        elif kind == "me":
            member.name, member.hue = message["name"], message["hue"]
            if member.slot is not None:
                self.match.rename(member.slot, member.name, member.hue)

    def heard(self, page: str) -> None:
        """A page, or its worker for it, has spoken."""
        member = self.members.get(page)
        if member is not None:
            if member.heard is not None:
                member.heard = time.monotonic()
            if member.lost is not None:
                member.lost = None
                self._tell_seats()

    def gone(self, page: str) -> None:
        """A connection has ended. Its player waits for a moment: the page may come back."""
        member = self.members.get(page)
        if member is not None and member.lost is None:
            member.lost = time.monotonic()
            self._tell_seats()

    def leave(self, page: str) -> None:
        """A page goes, and does not come back."""
        member = self.members.pop(page, None)
        if member is not None and member.slot is not None:
            self.match.leave(member.slot)
            self._seat_waiting()
        self._count_watchers()

    def _hello(self, page: str, message: Message, abroad: bool) -> None:
        member = self._returning(page, message["token"])
        if member is None:
            if len(self.members) >= MAX_MEMBERS:
                self._tell(page, {"t": "bye", "text": "This room is full."})
                return
            member = Member(page, secrets.token_hex(16), message["name"], message["hue"], message["watch"])
        member.watch = message["watch"]
        member.heard, member.lost = time.monotonic() if abroad else None, None
        self.members[page] = member
        if member.watch and member.slot is not None:
            self.match.leave(member.slot)
            member.slot = None
        self._seat_waiting()
        self._count_watchers()
        self._welcome(member)
        self._tell_seats()

    def _welcome(self, member: Member) -> None:
        seat = self.match.seats.get(member.slot) if member.slot is not None else None
        you = {"name": seat.name, "hue": seat.hue} if seat is not None else {}
        welcome = {"t": "welcome", "room": self.name, "token": member.token, "slot": member.slot, "chat": list(self._chat), **you}
        self._tell(member.page, welcome)
        self._tell(member.page, self._snapshot())

    def _returning(self, page: str, token: str) -> Optional[Member]:
        """The member that this token belongs to, taken away from its old connection."""
        for old, member in self.members.items():
            if old == page or (token and secrets.compare_digest(member.token.encode(), token.encode())):
                del self.members[old]
                if old != page:
                    self._tell(old, {"t": "replaced"})
                    if member.slot in self.match.world.players:
                        self.match.world.players[member.slot].waiting.clear()
                member.page = page
                return member
        return None

    def _command(self, member: Member, message: Commands) -> None:
        player = self.match.world.players.get(member.slot) if member.slot is not None else None
        if player is not None and player.alive:
            for offset, command in enumerate(message.commands):
                player.order((message.number + offset) & 0xFFFF, command)

    def _seat_waiting(self) -> None:
        """Seats for those who want one, in the order in which they came."""
        for member in self.members.values():
            if member.slot is None and not member.watch:
                member.slot = self.match.join(member.name, member.hue)
                if member.slot is None:
                    return
                self._tell(member.page, {"t": "seat", "slot": member.slot})
                self._tell(member.page, self._snapshot())

    def _count_watchers(self) -> None:
        self.match.watched = any(member.slot is None for member in self.members.values())

    def _name_of(self, member: Member) -> str:
        return self.match.seats[member.slot].name if member.slot is not None else member.name

    # -- the tick

    def run(self) -> None:
        """Tick until the room is closed."""
        for _ in self.pace:
            if self.closed.is_set():
                return
            self.tick()
            if self.pace.ticks % RATE == 0:
                self._each_second()

    def tick(self) -> None:
        """One tick of the match, and what the pages are told of it."""
        events = self.match.step()
        if events:
            self._tell_events(events)
        records = []
        for slot, player in self.match.world.players.items():
            record = player_record(player)
            if self._told.get(slot) != record or self.match.clock % KEYFRAME == 0:
                self._told[slot] = record
                records.append(record)
        if records or self.match.clock % KEYFRAME == 0:
            uwsgi.channel_send_binary(room_channel(self.name), moves(self.match.clock, records))

    def _tell_events(self, events: list[tuple]) -> None:  # type: ignore[type-arg]
        told: list[object] = []
        for event in events:
            if event[0] == "arena":
                # A new field is told whole; what came before it in this tick is part of it.
                self._number += 1
                self._told.clear()
                told = []
                self._publish(encode(self._snapshot()))
            elif event[0] == "seats":
                told.append(("seats", seats(self.match, self._away()), self.match.fill))
            else:
                told.append(event)
        if told:
            self._number += 1
            self._publish(encode({"t": "ev", "n": self._number, "clock": self.match.clock, "e": told}))

    def _each_second(self) -> None:
        now = time.monotonic()
        for page, member in list(self.members.items()):
            if member.lost is None and member.heard is not None and now - member.heard > SILENT:
                self.gone(page)
            if member.lost is not None and now - member.lost > BACK_WITHIN:
                self.leave(page)
        if self.members:
            self._empty_since = now
        elif now - self._empty_since > EMPTY_FOR:
            self.close()
        self.tell_lobby()

    def close(self) -> None:
        """End the room."""
        if not self.closed.is_set():
            self.closed.set()
            self.at_close()
            uwsgi.channel_send(LOBBY, encode({"t": "room", "name": self.name, "gone": True}))

    def give_way(self) -> None:
        """End it because an older one of its name exists, or the server stops: its pages are asked to say hello again."""
        if self.closed.is_set():
            return
        self.close()
        for page in self.members:
            self._tell(page, {"t": "moved"})

    def tell_lobby(self, asked: bool = False) -> None:
        """The room's line in the lobby, when it has changed, is old, or was asked for."""
        people = len(self.match.people)
        line = {
            "t": "room",
            "name": self.name,
            "people": people,
            "bots": len(self.match.seats) - people,
            "watching": sum(member.slot is None and member.lost is None for member in self.members.values()),
            "names": [seat.name for seat in self.match.people],
            "phase": self.match.phase,
            "round": self.match.round,
        }
        now = time.monotonic()
        if asked or line != self._line or now - self._line_at > LOBBY_EVERY:
            self._line, self._line_at = line, now
            uwsgi.channel_send(LOBBY, encode(line))

    # -- telling

    def _snapshot(self) -> Message:
        return snapshot(self.match, RATE, self._number, self._away())

    def _away(self) -> set[int]:
        return {member.slot for member in self.members.values() if member.lost is not None and member.slot is not None}

    def _tell_seats(self) -> None:
        self._tell_events([("seats",)])

    def _publish(self, data: bytes) -> None:
        uwsgi.channel_send(room_channel(self.name), data)

    def _tell(self, page: str, message: Message) -> None:
        uwsgi.channel_send(page_channel(page), encode(message))
