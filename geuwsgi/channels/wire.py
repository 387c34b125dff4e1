"""How a channel message looks between workers and hosts.

    kind (1 byte) | length of the name (2) | name | opcode (1) | payload

All numbers in network order. On a stream, a 32-bit length stands before each. No I/O here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..errors import ChannelError

MESSAGE = 1
#: A worker introduces itself: the name is its own, the payload is empty. Answered with WELCOME.
HELLO = 2
WELCOME = 3
#: How many members has this channel? The payload is a token that the ANSWER carries in front of the number.
COUNT = 4
ANSWER = 5

MAX_NAME = 1024

_HEAD = struct.Struct("!BH")
_LENGTH = struct.Struct("!I")


def pack(kind: int, name: str, opcode: int = 0, payload: bytes = b"") -> bytes:
    """One item, without the length that goes before it on a stream."""
    encoded = name.encode("utf-8", "surrogateescape")
    return b"%b%b%c%b" % (_HEAD.pack(kind, len(encoded)), encoded, opcode, payload)


def framed(item: bytes) -> bytes:
    """An item for a stream."""
    return _LENGTH.pack(len(item)) + item


def unpack(item: bytes) -> tuple[int, str, int, bytes]:
    """kind, name, opcode, payload.

    Raises:
        ChannelError: the item is not one.
    """
    try:
        kind, size = _HEAD.unpack_from(item)
        name = item[3 : 3 + size].decode("utf-8", "surrogateescape")
        return kind, name, item[3 + size], item[4 + size :]
    except (struct.error, IndexError):
        raise ChannelError("malformed item from another worker") from None


class Splitter:
    """Cuts a stream into items.

    Args:
        limit: the largest item; a longer one means that the stream is not ours.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The items that are complete.

        Raises:
            ChannelError: an item over the limit.
        """
        buffer = self._buffer
        buffer += data
        position = 0
        try:
            while len(buffer) - position >= 4:
                (size,) = _LENGTH.unpack_from(buffer, position)
                if size > self._limit:
                    raise ChannelError(f"item of {size} bytes from another worker")
                if len(buffer) - position - 4 < size:
                    break
                yield bytes(buffer[position + 4 : position + 4 + size])
                position += 4 + size
        finally:
            del buffer[:position]
