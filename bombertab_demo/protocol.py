"""What goes over the wire: reading what a stranger sent, and writing what a page is told.

From the page
    binary: 1, number (16 bits), one byte for each command from that number on: what the player does in one tick, see
            game/player.py. The page carries them out at once, too; the server says how far it has got.
    JSON:   {"t": "hello", "room", "name", "hue", "token", "watch", "fill"}   come in, or come back with the token
            "lobby", "leave", "sync" (all of it again, please), "me" (name, hue), "fill", "chat" (text), "ping" (n)

To the page
    binary: 2, clock (32 bits), then 8 bytes for each player who moved: slot, x, y, flags, number of the last command
    JSON:   "welcome", "snap" (everything), "ev" (numbered by "n": what happened in one tick), "said", "pong",
            "room" (a line of the lobby), "error", "bye", "moved" (say hello again), "replaced"
"""

from __future__ import annotations

import json
import struct
import unicodedata
from collections.abc import Iterable
from typing import Any, Callable, Union

from .game.player import Player, command_allowed

COMMANDS, MOVES = 1, 2  #: the first byte of a binary message
MAX_FRAME = 2048  #: bytes of one message from a page
MAX_COMMANDS = 16  #: in one message
MAX_NAME, MAX_ROOM, MAX_TEXT, MAX_TOKEN = 16, 24, 200, 40  #: characters

_HEAD = struct.Struct("!BH")
_MOVES = struct.Struct("!BI")
_PLAYER = struct.Struct("!BHHBH")

_BIDI_CONTROLS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # they would turn the text of others around

Message = dict[str, Any]


class Mistake(Exception):
    """A page sent something that cannot be; the text is for its console."""


class Commands:
    """Commands of a player, the first of them with this number."""

    def __init__(self, number: int, commands: bytes) -> None:
        self.number, self.commands = number, commands


# Reading.


def parse(data: bytes) -> Union[Commands, Message]:
    """One message of a page, its fields checked, those that are not known left out.

    Raises:
        Mistake: it is none.
    """
    if len(data) > MAX_FRAME:
        raise Mistake("too long")
    if data[:1] == bytes((COMMANDS,)):
        return _parse_commands(data)
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        raise Mistake("neither commands nor JSON") from None
    if not isinstance(message, dict) or not isinstance(message.get("t"), str):
        raise Mistake('a message is an object with a type in "t"')
    fields = _FIELDS.get(message["t"])
    if fields is None:
        raise Mistake(f"no message has the type {message['t'][:20]!r}")
    return {"t": message["t"], **{name: read(message.get(name), name) for name, read in fields.items()}}


def _parse_commands(data: bytes) -> Commands:
    commands = data[_HEAD.size :]
    if not 0 < len(commands) <= MAX_COMMANDS:
        raise Mistake(f"1 to {MAX_COMMANDS} commands in a message")
    if not all(map(command_allowed, commands)):
        raise Mistake("a move that the rules do not know")
    return Commands(_HEAD.unpack_from(data)[1], commands)


def _text(limit: int) -> Callable[[Any, str], str]:
    """A reader of one line of text: no control characters, no half ones, nothing that turns the text of others around."""

    def read(value: Any, name: str) -> str:
        if not isinstance(value, str) or len(value) > limit:
            raise Mistake(f'"{name}" is text of at most {limit} characters')
        shown = "".join(" " if c in "\n\t" else c for c in value if c in "\n\t" or not _invisible(c))
        return " ".join(shown.split())

    return read


def _invisible(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs") or character in _BIDI_CONTROLS


def _words(limit: int) -> Callable[[Any, str], str]:
    """A reader of text that shows something."""
    text = _text(limit)

    def read(value: Any, name: str) -> str:
        words = text(value, name)
        if not any(unicodedata.category(c)[0] in "LNPS" for c in words):
            raise Mistake(f'"{name}" is empty')
        return words

    return read


def _number(low: int, high: int) -> Callable[[Any, str], int]:
    def read(value: Any, name: str) -> int:
        if type(value) is not int or not low <= value <= high:
            raise Mistake(f'"{name}" is a whole number from {low} to {high}')
        return value

    return read


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise Mistake(f'"{name}" is true or false')
    return value


_HUE, _FILL = _number(0, 359), _number(0, 8)
_FIELDS: dict[str, dict[str, Callable[[Any, str], Any]]] = {
    "hello": {"room": _words(MAX_ROOM), "name": _words(MAX_NAME), "hue": _HUE, "token": _text(MAX_TOKEN), "watch": _flag, "fill": _FILL},
    "lobby": {},
    "leave": {},
    "sync": {},
    "me": {"name": _words(MAX_NAME), "hue": _HUE},
    "fill": {"fill": _FILL},
    "chat": {"text": _words(MAX_TEXT)},
    "ping": {"n": _number(0, 2**31)},
}


# Writing.


def encode(message: Message) -> bytes:
    """A JSON message."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def player_record(player: Player) -> bytes:
    """One player in 8 bytes. The flags are the facing in the lowest 3 bits, whether it lives, and its speed in the highest 4."""
    flags = player.facing | player.alive << 3 | player.speed << 4
    return _PLAYER.pack(player.slot, player.x, player.y, flags, player.acknowledged)


def moves(clock: int, records: Iterable[bytes]) -> bytes:
    """The players who moved, as of that tick."""
    return _MOVES.pack(MOVES, clock & 0xFFFFFFFF) + b"".join(records)
