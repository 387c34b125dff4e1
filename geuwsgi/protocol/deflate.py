"""permessage-deflate, RFC 7692: its negotiation, and compressing and inflating within bounds.

By default this side keeps no context: each message is compressed on its own by one compressor for all connections, so a
broadcast is compressed once and an idle connection costs nothing. With context takeover small messages shrink further, at
some 300 KiB a connection.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Any, Optional

from ..errors import WebSocketError
from .frames import INVALID_PAYLOAD, MESSAGE_TOO_BIG

EXTENSION = "permessage-deflate"

#: What a sync flush ends with, and what is left off on the wire (section 7.2.1).
_TAIL = b"\x00\x00\xff\xff"

#: zlib cannot write raw deflate with a window of 2**8.
_MIN_BITS = 9
_MAX_BITS = 15

#: zlib's memory level: 8 is its default. Together with 15 bits a compressor takes 256 KiB.
_MEMORY_LEVEL = 8

#: Behind the tail, a whole stream: an empty last block.
_LAST_BLOCK = b"\x03\x00"

#: Deflate shrinks no more than this.
MAX_RATIO = 1032

#: A message that is sent to many is kept with its compressed form, up to this size.
_KEPT_SIZE = 1 << 20

_SPACE = r"[ \t]*"
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER = re.compile(rf"{_SPACE};{_SPACE}({_TOKEN})(?:{_SPACE}={_SPACE}(?:({_TOKEN})|\"((?:[^\"\\]|\\.)*)\"))?")
_NAME = re.compile(rf"{_SPACE}({_TOKEN})")
_SEPARATOR = re.compile(rf"{_SPACE}(?:,|\Z)")
_WHOLE_TOKEN = re.compile(rf"{_TOKEN}\Z")


@dataclass(frozen=True)
class DeflateParameters:
    """What both sides have agreed on.

    Attributes:
        server_no_context_takeover: this side starts every message anew.
        client_no_context_takeover: the peer does.
        server_max_window_bits: this side's window, 9 to 15.
        client_max_window_bits: the peer's window, 8 to 15.
    """

    server_no_context_takeover: bool = True
    client_no_context_takeover: bool = True
    server_max_window_bits: int = _MAX_BITS
    client_max_window_bits: int = _MAX_BITS


def parse_extensions(value: str) -> list[tuple[str, dict[str, Optional[str]]]]:
    """A Sec-WebSocket-Extensions header taken apart.

    Returns:
        (name, parameters) in the client's order; a parameter without a value has None. An offer that names a parameter
        twice is left out, as section 7.1 wants it declined.

    Raises:
        ValueError: not the grammar of RFC 6455 section 9.1.
    """
    offers: list[tuple[str, dict[str, Optional[str]]]] = []
    position = 0
    while position < len(value):
        name = _NAME.match(value, position)
        if name is not None:
            parameters: dict[str, Optional[str]] = {}
            repeated = False
            position = name.end()
            while True:
                parameter = _PARAMETER.match(value, position)
                if parameter is None:
                    break
                key, token, quoted = parameter.groups()
                key = key.lower()
                if quoted is not None:
                    # What is left of a quoted string has to be a token as well (RFC 6455 section 9.1).
                    token = re.sub(r"\\(.)", r"\1", quoted)
                    if not _WHOLE_TOKEN.match(token):
                        raise ValueError("malformed Sec-WebSocket-Extensions")
                repeated = repeated or key in parameters
                parameters[key] = token
                position = parameter.end()
            if not repeated:
                offers.append((name.group(1).lower(), parameters))
        separator = _SEPARATOR.match(value, position)  # empty elements are ignored: RFC 9110 section 5.6.1
        if separator is None:
            raise ValueError("malformed Sec-WebSocket-Extensions")
        position = separator.end()
    return offers


def negotiate(header: str, takeover: bool) -> Optional[tuple[DeflateParameters, str]]:
    """Choose the first offer that can be honoured.

    Args:
        header: the client's Sec-WebSocket-Extensions.
        takeover: keep contexts between messages where the client allows it.

    Returns:
        the parameters and the response header's value; None to do without compression.

    Raises:
        ValueError: the header is malformed.

    Source: RFC 7692 sections 5.1 and 7.1.
    """
    for name, offer in parse_extensions(header):
        if name == EXTENSION:
            agreed = _accept(offer, takeover)
            if agreed is not None:
                return agreed
    return None


def _accept(offer: dict[str, Optional[str]], takeover: bool) -> Optional[tuple[DeflateParameters, str]]:
    server_bits, client_bits = _MAX_BITS, _MAX_BITS
    answer = [EXTENSION]
    for key, value in offer.items():
        if key in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                return None
        elif key == "server_max_window_bits":
            bits = _window_bits(value)
            if bits is None or bits < _MIN_BITS:
                return None
            server_bits = bits
        elif key == "client_max_window_bits":
            if value is not None:
                bits = _window_bits(value)
                if bits is None:
                    return None
                client_bits = bits
        else:
            return None
    server_fresh = not takeover or "server_no_context_takeover" in offer
    client_fresh = not takeover or "client_no_context_takeover" in offer
    if server_fresh:
        answer.append("server_no_context_takeover")
    if client_fresh:
        answer.append("client_no_context_takeover")
    if "server_max_window_bits" in offer:
        answer.append(f"server_max_window_bits={server_bits}")
    if offer.get("client_max_window_bits") is not None:
        answer.append(f"client_max_window_bits={client_bits}")
    return DeflateParameters(server_fresh, client_fresh, server_bits, client_bits), "; ".join(answer)


def _window_bits(value: Optional[str]) -> Optional[int]:
    """8 to 15 without leading zeros (section 7.1.2), else None."""
    if value is not None and re.fullmatch(r"[89]|1[0-5]", value):
        return int(value)
    return None


class Deflater:
    """Compresses messages.

    Args:
        bits: the window, 9 to 15.
        takeover: messages may refer to earlier ones. Without it, one Deflater serves any number of connections, and a message
            that is sent to many of them in a row is compressed once.
    """

    __slots__ = ("_compressor", "_deflated", "_flush", "_payload", "bits", "takeover")

    def __init__(self, bits: int, takeover: bool) -> None:
        self.bits = bits
        self.takeover = takeover
        self._compressor = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -bits, _MEMORY_LEVEL)
        # A full flush makes zlib forget what it has seen, for less than a new compressor costs.
        self._flush = zlib.Z_SYNC_FLUSH if takeover else zlib.Z_FULL_FLUSH
        self._payload = self._deflated = b""

    def deflate(self, payload: bytes) -> bytes:
        """The payload of one compressed frame that is a whole message (section 7.2.1)."""
        if not payload:
            return b"\x00"  # section 7.2.3.6
        if payload is self._payload:
            return self._deflated
        data = (self._compressor.compress(payload) + self._compressor.flush(self._flush))[: -len(_TAIL)]
        if not self.takeover and len(payload) <= _KEPT_SIZE:
            self._payload, self._deflated = payload, data
        return data


class Inflater:
    """Inflates the messages of one peer, never beyond a limit.

    A message has to end where the peer's compressor flushed; one that was cut short is refused, not delivered in part.

    Args:
        bits: the peer's window, 8 to 15. A reference that goes further back is refused where zlib no longer has the bytes.
        takeover: the peer's messages may refer to earlier ones. A block with BFINAL ends what can be referred to.
    """

    __slots__ = ("_bits", "_stream", "_takeover")

    def __init__(self, bits: int, takeover: bool) -> None:
        self._bits = -max(bits, _MIN_BITS)
        self._takeover = takeover
        self._stream: Any = None

    def inflate(self, data: bytes, final: bool, room: int) -> bytes:
        """Inflate a part of a message.

        Args:
            data: what arrived of it.
            final: it is the last part.
            room: bytes that the message may still grow by.

        Raises:
            WebSocketError: 1009 beyond `room`, without inflating further; 1007 for what is no deflate stream.
        """
        parts: list[bytes] = []
        try:
            while True:
                if self._stream is None:
                    self._stream = zlib.decompressobj(self._bits)
                part = self._stream.decompress(data, room + 1)
                room -= len(part)
                if room < 0:
                    raise WebSocketError(MESSAGE_TOO_BIG, "message too big")
                parts.append(part)
                if not self._stream.eof:
                    break
                # A block with BFINAL; what follows it is a new stream (section 7.2.3.4).
                data = self._stream.unused_data
                self._stream = None
                if not data:
                    break
            if final and not self._flushed():
                raise WebSocketError(INVALID_PAYLOAD, "compressed data cut short")
        except zlib.error:
            raise WebSocketError(INVALID_PAYLOAD, "invalid compressed data") from None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _flushed(self) -> bool:
        """Put back the tail that the peer has left off; whether it was the end of an empty block, as it should.

        If it was, another block can follow, here an empty last one.
        """
        stream = self._stream
        if stream is None or stream.decompress(_TAIL, 1):
            return False
        if self._takeover:
            stream = stream.copy()
        else:
            self._stream = None
        return not stream.decompress(_LAST_BLOCK, 1) and stream.eof and not stream.unused_data
