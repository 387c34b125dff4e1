"""How channel messages look between workers and hosts.

    kind (1 byte) | length of the name (2) | name | opcode (1) | payload

All numbers in network order. On a stream, a 32-bit length stands before each. The payload of a message begins with its
identity. No I/O here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ..errors import ChannelError
from .backend import IDENTITY_SIZE
from .channel import Message
from .names import decode_name, encode_name

MESSAGE = 1
#: A worker introduces itself: the name is its own, the payload is empty. Answered with WELCOME.
HELLO = 2
WELCOME = 3
#: How many members has this channel? The payload is a token that the ANSWER carries in front of the number.
COUNT = 4
ANSWER = 5
#: What have you kept? Answered with a PAST for each message, oldest first in each channel, and PAST_END.
RECALL = 6
PAST = 7
PAST_END = 8

_HEAD = struct.Struct("!BH")
_LENGTH = struct.Struct("!I")

#: Bytes of an item that are not the message itself, at most.
OVERHEAD = 65535 + 64

#: Of a message that a program outside of the servers sends.
NO_IDENTITY = bytes(IDENTITY_SIZE)


class Item(NamedTuple):
    """What goes between workers."""

    kind: int
    name: str
    opcode: int
    payload: bytes

    def message(self) -> Message:
        """The message in a MESSAGE or PAST.

        Raises:
            ChannelError: there is none.
        """
        if len(self.payload) < IDENTITY_SIZE or self.opcode not in (1, 2):
            raise ChannelError("malformed message from another worker")
        identity = self.payload[:IDENTITY_SIZE]
        return Message(self.opcode, self.payload[IDENTITY_SIZE:], b"" if identity == NO_IDENTITY else identity)


def pack(kind: int, name: str = "", opcode: int = 0, payload: bytes = b"") -> bytes:
    """One item, without the length that goes before it on a stream.

    Raises:
        ChannelError: the name is none.
    """
    encoded = encode_name(name)
    return b"%b%b%c%b" % (_HEAD.pack(kind, len(encoded)), encoded, opcode, payload)


def pack_message(kind: int, name: str, message: Message) -> bytes:
    """The same for a message, on a stream."""
    encoded = encode_name(name)
    size = _HEAD.size + len(encoded) + 1 + IDENTITY_SIZE + len(message.payload)
    head = _LENGTH.pack(size) + _HEAD.pack(kind, len(encoded))
    return b"%b%b%c%b%b" % (head, encoded, message.opcode, message.identity or NO_IDENTITY, message.payload)


def framed(item: bytes) -> bytes:
    """An item for a stream."""
    return _LENGTH.pack(len(item)) + item


def unpack(data: bytes, start: int = 0, stop: int = -1) -> Item:
    """One item, without its length.

    Raises:
        ChannelError: it is none.
    """
    if stop < 0:
        stop = len(data)
    try:
        kind, size = _HEAD.unpack_from(data, start)
        payload = start + _HEAD.size + size + 1
        if payload > stop:
            raise ChannelError("malformed item from another worker")
        return Item(kind, decode_name(data[start + _HEAD.size : payload - 1]), data[payload - 1], data[payload:stop])
    except struct.error:
        raise ChannelError("malformed item from another worker") from None


class Splitter:
    """Cuts a stream into items.

    Args:
        limit: bytes of the largest item; a longer one is left out.

    Attributes:
        refused: bytes of items that were left out since somebody has looked.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        #: Bytes to leave out.
        self._skip = 0
        self.refused: list[int] = []

    def feed(self, data: bytes) -> Iterator[Item]:
        """The items that are complete.

        Raises:
            ChannelError: what is in the stream is none.
        """
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < 4 or len(buffer) < 4 + min(_LENGTH.unpack_from(buffer)[0], self._limit):
                return
            data = bytes(buffer)
            buffer.clear()
        position, end = 0, len(data)
        while True:
            skipped = min(self._skip, end - position)
            position += skipped
            self._skip -= skipped
            if end - position < 4:
                break
            (size,) = _LENGTH.unpack_from(data, position)
            if size > self._limit:
                self.refused.append(size)
                self._skip = size + 4
                continue
            if end - position - 4 < size:
                break
            position += 4 + size
            yield unpack(data, position - size, position)
        buffer += data[position:]
