"""Fuzz permessage-deflate: streams of many compressors, spoilt, cut anywhere, against an inflater of the tests' own.

    python -m tests.fuzz.deflate [--inputs N] [--seconds S] [--seed X]

Three things are held against each other: `Inflater` must deliver and refuse what tests/protocol/inflate.py does, whole and cut;
what `Deflater` writes must come back, without references beyond the window; and no header makes the negotiation raise
anything but ValueError or agree to what was not offered.
"""

from __future__ import annotations

import sys
import zlib
from copy import copy
from random import Random
from typing import Any, Callable, Optional

from geuwsgi.errors import WebSocketError
from geuwsgi.protocol.deflate import EXTENSION, Deflater, Inflater, negotiate, parse_extensions
from tests.fuzz.running import Finding, main
from tests.protocol.inflate import ReferenceInflater, Refused
from tests.protocol.wire import cut

TAIL = b"\x00\x00\xff\xff"
_STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED)
_PARTIAL_FLUSH, _BLOCK = 1, 5
_LIMITS = (0, 1, 10, 100, 1000, 1 << 20, 1 << 20, 1 << 20)
_WORDS = (EXTENSION, "server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits", "client_max_window_bits", "x")
_VALUES = ("", "8", "9", "10", "15", "16", "08", '"9"', '"1\\5"', '""', "a", '"a b"', '"')
_BITS = ("8", "9", "10", "11", "12", "13", "14", "15")
_GLUE = (";", "; ", " ;\t", ",", ", ", "=", " = ", " ", '"', "\\", "\xe9", "\x00", "")


# -- inputs


def plain(random: Random) -> bytes:
    """Something to compress."""
    kind = random.randrange(5)
    if kind == 0:
        return random.randbytes(random.choice((0, 1, 5, 60)))
    if kind == 1:
        return bytes(random.choices(b"abcdef ", k=random.choice((1, 10, 100, 300))))
    if kind == 2:
        return random.randbytes(random.choice((1, 2, 3, 10))) * random.choice((1, 30, 90))
    if kind == 3:
        return b"the same words " * random.randrange(4)
    return bytes(random.choice((1, 258, 259, 600)))


def squeezed(random: Random, compressor: Any) -> bytes:
    """One message, flushed in any way inside."""
    data = b""
    for _ in range(random.choice((1, 1, 2, 3))):
        data += compressor.compress(plain(random))
        flush = random.choice((None, None, _PARTIAL_FLUSH, _BLOCK, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH))
        if flush is not None:
            data += compressor.flush(flush)
    data += compressor.flush(zlib.Z_SYNC_FLUSH)
    return data[:-4]


def finished(random: Random) -> bytes:
    """A stream with BFINAL."""
    compressor = zlib.compressobj(random.randrange(10), zlib.DEFLATED, -15, 8, random.choice(_STRATEGIES))
    return compressor.compress(plain(random)) + compressor.flush(zlib.Z_FINISH)


def conversation(random: Random) -> list[bytes]:
    """Compressed messages of one peer."""
    compressor = zlib.compressobj(
        random.randrange(10), zlib.DEFLATED, -random.randint(9, 15), random.randint(1, 9), random.choice(_STRATEGIES)
    )
    messages = []
    for _ in range(random.choice((1, 1, 2, 3))):
        kind = random.random()
        if kind < 0.05:
            message = random.randbytes(random.randrange(12))
        elif kind < 0.15:
            message = finished(random) + random.choice((b"\x00", b"", squeezed(random, zlib.compressobj(1, zlib.DEFLATED, -15))))
        else:
            message = squeezed(random, compressor)
        if random.random() < 0.35:
            message = spoilt(random, message)
        messages.append(message)
    return messages


def spoilt(random: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2))):
        position = random.randrange(len(changed) + 1)
        kind = random.randrange(5)
        if kind == 0 and position < len(changed):
            changed[position] ^= 1 << random.randrange(8)
        elif kind == 1:
            del changed[position:]
        elif kind == 2:
            del changed[position : position + 1]
        elif kind == 3:
            changed[position:position] = random.choice((random.randbytes(1), TAIL, b"\x00", b"\x03\x00"))
        else:
            changed += random.choice((b"\x00", TAIL, b"\x03\x00", random.randbytes(2)))
    return bytes(changed)


def header(random: Random) -> str:
    """A Sec-WebSocket-Extensions, well formed more often than not."""
    if random.random() < 0.3:
        return "".join(random.choice(random.choice((_WORDS, _VALUES, _GLUE))) for _ in range(random.randrange(9)))
    offers = []
    for _ in range(random.choice((1, 1, 2, 3))):
        offer = random.choice((EXTENSION, EXTENSION, EXTENSION, "x-other"))
        for _ in range(random.randrange(4)):
            value = random.choice(_VALUES) if random.random() < 0.5 else ""
            offer += random.choice(("; ", ";", " ; ")) + random.choice(_WORDS[1:]) + (random.choice(("=", " = ")) + value if value else "")
        offers.append(offer)
    return random.choice((",", ", ")).join(offers)


# -- checks


def _outcome(inflate: Callable[..., bytes], *arguments: Any) -> tuple[Optional[bytes], int]:
    try:
        return inflate(*arguments), 0
    except (Refused, WebSocketError) as error:
        return None, error.code


def _in_parts(inflater: Inflater, message: bytes, positions: list[int], limit: int) -> bytes:
    parts = list(cut(message, positions)) or [b""]
    out = b""
    for number, part in enumerate(parts):
        out += inflater.inflate(part, number == len(parts) - 1, limit - len(out))
    return out


def check_inflater(messages: list[bytes], positions: list[int], limit: int, takeover: bool) -> None:
    """Hold `Inflater` against the reference, up to the first message that is refused.

    Raises:
        Finding: they disagree.
    """
    reference, whole, parts = ReferenceInflater(takeover), Inflater(15, takeover), Inflater(15, takeover)
    for number, message in enumerate(messages):
        before = copy(reference)
        expected = _outcome(reference.message, message, limit)
        for name, found in (
            ("whole", _outcome(whole.inflate, message, True, limit)),
            ("in parts", _outcome(_in_parts, parts, message, positions, limit)),
        ):
            if found == expected:
                continue
            # zlib looks at what comes behind the first octet too many, and may dislike that more.
            if (found[1], expected[1]) == (1007, 1009) and _outcome(copy(before).message, message, limit + 1)[1] == 1007:
                continue
            raise Finding(f"message {number}, {name}: {found}; the reference: {expected}")
        if expected[1]:
            return


def check_deflater(payloads: list[bytes], bits: int, takeover: bool) -> None:
    """What `Deflater` writes comes back, without references beyond the window."""
    deflater, reference = Deflater(bits, takeover), ReferenceInflater(takeover)
    for payload in payloads:
        if reference.message(deflater.deflate(payload), len(payload)) != payload:
            raise Finding(f"{payload!r} does not come back")
        if reference.farthest > 1 << bits:
            raise Finding(f"a reference {reference.farthest} octets back with a window of {bits} bits")


def _allowed(answer: dict[str, Optional[str]], offer: dict[str, Optional[str]]) -> bool:
    server_bits, client_bits = answer.get("server_max_window_bits"), answer.get("client_max_window_bits")
    if set(offer) - set(_WORDS[1:5]) or any(bits not in _BITS for bits in (server_bits, client_bits) if bits is not None):
        return False
    if "server_no_context_takeover" in offer and "server_no_context_takeover" not in answer:
        return False
    if "server_max_window_bits" in offer:
        asked = offer["server_max_window_bits"]
        if asked not in _BITS or server_bits is None or int(server_bits) > int(asked):
            return False
    if client_bits is None:
        return True
    asked = offer.get("client_max_window_bits", "absent")
    return asked is None or (asked in _BITS and int(client_bits) <= int(asked))


def check_negotiation(text: str, takeover: bool) -> None:
    """Nothing but ValueError, and an answer that one of the offers allows (RFC 7692 section 7.1)."""
    try:
        agreed = negotiate(text, takeover)
    except ValueError:
        return
    if agreed is None:
        return
    [(name, answer)] = parse_extensions(agreed[1])
    if name != EXTENSION:
        raise Finding(f"answered {name}")
    for name, offer in parse_extensions(text):
        if name == EXTENSION and _allowed(answer, offer):
            return
    raise Finding(f"answered {agreed[1]!r}, which no offer allows")


def one(random: Random) -> tuple[str, tuple[Any, ...]]:
    """An input: (which check, its arguments)."""
    kind = random.random()
    takeover = random.random() < 0.5
    if kind < 0.7:
        messages = conversation(random)
        positions = [random.randrange(200) for _ in range(random.choice((0, 1, 3)))] if random.random() < 0.8 else list(range(400))
        return "inflater", (messages, positions, random.choice(_LIMITS), takeover)
    if kind < 0.8:
        return "deflater", ([plain(random) for _ in range(random.randint(1, 3))], random.randint(9, 15), takeover)
    return "negotiation", (header(random), takeover)


CHECKS: dict[str, Callable[..., None]] = {"inflater": check_inflater, "deflater": check_deflater, "negotiation": check_negotiation}


if __name__ == "__main__":
    sys.exit(main("tests.fuzz.deflate", one, CHECKS))
