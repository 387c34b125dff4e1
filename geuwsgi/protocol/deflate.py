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

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER = re.compile(rf"\s*;\s*({_TOKEN})(?:\s*=\s*(?:({_TOKEN})|\"({_TOKEN})\"))?")
_NAME = re.compile(rf"\s*({_TOKEN})")
_SEPARATOR = re.compile(r"\s*(,|\Z)")


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
        match = _NAME.match(value, position)
        if match is None:
            separator = _SEPARATOR.match(value, position)
            if separator is None or not value[position:].strip():
                if not value[position:].strip():
                    break
                raise ValueError("malformed Sec-WebSocket-Extensions")
            position = separator.end()  # RFC 9110 section 5.6.1: empty list elements are ignored
            continue
        name, parameters, repeated = match.group(1), {}, False
        position = match.end()
        while True:
            parameter = _PARAMETER.match(value, position)
            if parameter is None:
                break
            key = parameter.group(1).lower()
            repeated = repeated or key in parameters
            parameters[key] = parameter.group(2) or parameter.group(3)
            position = parameter.end()
        separator = _SEPARATOR.match(value, position)
        if separator is None:
            raise ValueError("malformed Sec-WebSocket-Extensions")
        position = separator.end()
        if not repeated:
            offers.append((name.lower(), parameters))
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
        takeover: messages may refer to earlier ones. Without it, one Deflater serves any number of connections.
    """

    __slots__ = ("_compressor", "_flush", "bits", "takeover")

    def __init__(self, bits: int, takeover: bool) -> None:
        self.bits = bits
        self.takeover = takeover
        self._compressor = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -bits, _MEMORY_LEVEL)
        # A full flush makes zlib forget what it has seen, for less than a new compressor costs.
        self._flush = zlib.Z_SYNC_FLUSH if takeover else zlib.Z_FULL_FLUSH

    def deflate(self, payload: bytes) -> bytes:
        """The payload of one compressed frame that is a whole message (section 7.2.1)."""
        if not payload:
            return b"\x00"  # section 7.2.3.6
        data = self._compressor.compress(payload) + self._compressor.flush(self._flush)
        return data[: -len(_TAIL)]


class Inflater:
    """Inflates the messages of one peer, never beyond a limit.

    Args:
        bits: the peer's window, 8 to 15.
        takeover: the peer's messages may refer to earlier ones.
    """

    __slots__ = ("_bits", "_history", "_stream", "_takeover")

    def __init__(self, bits: int, takeover: bool) -> None:
        self._bits = bits
        self._takeover = takeover
        self._stream: Any = None
        #: The last window of output, kept only to go on behind a final block (section 7.2.3.4).
        self._history = b""

    def inflate(self, data: bytes, final: bool, room: int) -> bytes:
        """Inflate a part of a message.

        Args:
            data: what arrived of it.
            final: it is the last part.
            room: bytes that the message may still grow by.

        Raises:
            WebSocketError: 1009 beyond `room`, without inflating further; 1007 for what is no deflate stream.
        """
        if final:
            data += _TAIL
        parts: list[bytes] = []
        try:
            while True:
                if self._stream is None:
                    self._stream = self._new_stream()
                part = self._stream.decompress(data, room + 1)
                parts.append(part)
                room -= len(part)
                if room < 0 or self._stream.unconsumed_tail:
                    raise WebSocketError(MESSAGE_TOO_BIG, "message too big")
                self._remember(part)
                if not self._stream.eof:
                    break
                data = self._stream.unused_data
                self._stream = None
                if not data or (final and data == _TAIL):
                    break
        except zlib.error:
            raise WebSocketError(INVALID_PAYLOAD, "invalid compressed data") from None
        if final and not self._takeover:
            self._stream = None
            self._history = b""
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _new_stream(self) -> Any:
        bits = -max(self._bits, _MIN_BITS)
        return zlib.decompressobj(bits, self._history) if self._history else zlib.decompressobj(bits)

    def _remember(self, part: bytes) -> None:
        window = 1 << max(self._bits, _MIN_BITS)
        if len(part) >= window:
            self._history = part[-window:]
        elif part:
            self._history = (self._history + part)[-window:]
