"""Which rooms live in this worker, and the way to those that live in another.

A room's worker has joined the room's inbox channel, so `channel_count` tells whether a room lives somewhere. When two
workers open a room of one name at the same moment, each hears of the other in that inbox, and the younger room gives way.
"""

from __future__ import annotations

import json
import time
from typing import Any, Optional, Union

import gevent
import uwsgi

from .protocol import Commands, Message, Mistake, parse
from .room import Room

MAX_ROOMS = 200  #: in one worker
CLAIM_EVERY = 1.0  #: seconds
ALIVE_EVERY = 2.0  #: seconds; a room takes a page of another worker for lost after a few of them without a word

_SAID, _ALIVE, _GONE, _LEFT, _CLAIM = b"+", b"~", b"-", b"x", b"!"  # the first byte of what goes into an inbox

#: The rooms that live in this worker.
rooms: dict[str, Room] = {}


def inbox(name: str) -> str:
    """The channel by which other workers reach a room."""
    return f"bombertab inbox {name}"


class Here:
    """The way to a room of this worker."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.name = room.name

    def send(self, page: str, data: bytes, message: Union[Commands, Message]) -> None:
        self.room.receive(page, message)

    def gone(self, page: str) -> None:
        self.room.gone(page)

    def leave(self, page: str) -> None:
        self.room.leave(page)


class Elsewhere:
    """The way to a room of another worker: its inbox."""

    def __init__(self, name: str) -> None:
        self.name = name

    def send(self, page: str, data: bytes, message: Union[Commands, Message]) -> None:
        global _keeper
        _abroad[page] = self
        if _keeper is None or _keeper.dead:
            _keeper = gevent.spawn(_keep_alive)
        self.put(_SAID, page, data)

    def gone(self, page: str) -> None:
        _abroad.pop(page, None)
        self.put(_GONE, page)

    def leave(self, page: str) -> None:
        _abroad.pop(page, None)
        self.put(_LEFT, page)

    def put(self, kind: bytes, page: str, data: bytes = b"") -> None:
        uwsgi.channel_send_binary(inbox(self.name), kind + page.encode() + b" " + data)


Way = Union[Here, Elsewhere]

#: The pages of this worker that are in a room of another one.
_abroad: dict[str, Elsewhere] = {}

#: Says that they are still there; never more than one.
_keeper: Any = None


def pages_abroad() -> int:
    """How many pages of this worker are in a room of another."""
    return len(_abroad)


def at_home(page: str) -> None:
    """A page is in no room of another worker, or no longer."""
    _abroad.pop(page, None)


def _keep_alive() -> None:
    """Tell the other workers that these pages are still there, until none is: the news would end with this process."""
    while _abroad:
        gevent.sleep(ALIVE_EVERY)
        for page, way in list(_abroad.items()):
            way.put(_ALIVE, page)


def find(name: str) -> Optional[Way]:
    """The way to a room that exists."""
    room = rooms.get(name)
    if room is None and uwsgi.channel_count(inbox(name)):
        return Elsewhere(name)
    room = rooms.get(name)  # it may have been opened while the others were asked
    return None if room is None else Here(room)


def open_room(name: str, fill: int) -> Room:
    """Let a room live in this worker.

    The inbox is a channel of the caller's request, which therefore has to last until the room is closed.

    Raises:
        Mistake: there are too many.
    """
    if len(rooms) >= MAX_ROOMS:
        raise Mistake("there are too many rooms")
    host = uwsgi.request_context()
    room = Room(name, fill)
    rooms[name] = room
    uwsgi.channel_join(inbox(name), stay=True)  # whether or not its page does
    greenlets = [gevent.spawn(room.run), gevent.spawn(_read_inbox, room, host)]

    def forget() -> None:
        del rooms[name]
        uwsgi.channel_leave(inbox(name), request_context=host)
        gevent.spawn(gevent.killall, greenlets)  # not here: one of them may be calling

    room.at_close = forget
    return room


def _read_inbox(room: Room, host: Any) -> None:
    """Hear what the pages of other workers say, and who else claims to be this room."""
    claim = _CLAIM + json.dumps(room.born).encode()
    due = 0.0
    while not room.closed.is_set():
        if time.monotonic() >= due:
            uwsgi.channel_send_binary(inbox(room.name), claim)
            due = time.monotonic() + CLAIM_EVERY
        try:
            data = uwsgi.channel_recv(inbox(room.name), CLAIM_EVERY, request_context=host)
        except OSError:
            room.give_way()  # the server stops, or restarts; nothing is left to do when the room is closed
            return
        if data is not None:
            _receive(room, data)


def _receive(room: Room, data: bytes) -> None:
    kind, rest = data[:1], data[1:]
    if kind == _CLAIM:
        if tuple(json.loads(rest)) < room.born:
            room.give_way()
        return
    name, _, said = rest.partition(b" ")
    page = name.decode()
    if kind == _GONE:
        room.gone(page)
    elif kind == _LEFT:
        room.leave(page)
    elif kind == _ALIVE:
        room.heard(page)
    elif kind == _SAID:
        try:
            room.receive(page, parse(said), abroad=True)
        except Mistake:
            pass  # judged, and answered, where it came in
