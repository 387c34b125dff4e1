"""Streams of frames from a seeded generator: mostly valid, then spoilt."""

from __future__ import annotations

import zlib
from random import Random

from tests.protocol.texts import BAD_TEXTS, GOOD_TEXTS
from tests.protocol.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

_GOOD = [text for text in GOOD_TEXTS.values() if text]
_BAD = [text for text, _ in BAD_TEXTS.values()]
_SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 31, 124, 125, 126, 127, 300)
_CODES = (0, 999, 1000, 1001, 1003, 1004, 1005, 1006, 1007, 1011, 1014, 1015, 1016, 2999, 3000, 4999, 5000, 65535)


def _payload(random: Random, text: bool, large: bool) -> bytes:
    size = random.choice((65535, 65536, 65537, 70000)) if large else random.choice(_SIZES)
    if not text:
        return random.randbytes(size)
    parts = [random.choice(_GOOD) if random.random() < 0.5 else b"ascii" for _ in range(random.randrange(4))]
    if random.random() < 0.05:
        parts.insert(random.randrange(len(parts) + 1), random.choice(_BAD))
    return b"".join(parts) + b"." * (size if large else 0)


def _compressed(payload: bytes, random: Random) -> bytes:
    compressor = zlib.compressobj(random.choice((0, 1, 6)), zlib.DEFLATED, -15)
    mode = zlib.Z_FINISH if random.random() < 0.05 else zlib.Z_SYNC_FLUSH
    data = compressor.compress(payload) + compressor.flush(mode)
    return data[:-4] if data.endswith(b"\0\0\xff\xff") else data


def _control(random: Random) -> bytes:
    return frame(random.choice((PING, PONG)), random.randbytes(random.choice((0, 1, 5, 124, 125))), key=random.randbytes(4))


def _message(random: Random, deflate: bool, large: bool) -> list[bytes]:
    text = random.random() < 0.6
    payload = _payload(random, text, large)
    compress = deflate and random.random() < 0.6
    if compress:
        payload = _compressed(payload, random)
    marks = sorted(random.randint(0, len(payload)) for _ in range(random.choice((0, 0, 0, 1, 2, 4))))
    starts, ends = [0, *marks], [*marks, len(payload)]
    frames = []
    for number, (start, end) in enumerate(zip(starts, ends)):
        opcode = CONTINUATION if number else TEXT if text else BINARY
        rsv = 4 if compress and not number else 0
        frames.append(frame(opcode, payload[start:end], fin=number == len(marks), rsv=rsv, key=random.randbytes(4)))
        if random.random() < 0.2:
            frames.append(_control(random))
    return frames


def _close(random: Random) -> bytes:
    kind = random.random()
    if kind < 0.2:
        payload = b""
    elif kind < 0.3:
        payload = random.randbytes(1)
    else:
        reason = random.choice(_GOOD) if random.random() < 0.8 else random.choice(_BAD)
        payload = random.choice(_CODES).to_bytes(2, "big") + reason
    return frame(CLOSE, payload[:125], key=random.randbytes(4))


def _wrong(random: Random) -> bytes:
    """A frame of any kind."""
    return frame(
        random.randrange(16),
        random.randbytes(random.choice((0, 1, 2, 125))),
        fin=random.random() < 0.7,
        rsv=random.choice((0, 0, 0, 4, random.randrange(8))),
        key=random.randbytes(4) if random.random() < 0.8 else None,
        width=random.choice((None, None, 2, 8)),
        size=random.choice((None, None, None, random.randrange(126), random.getrandbits(64))) if random.random() < 0.3 else None,
    )


def _spoil(random: Random, data: bytearray) -> None:
    position = random.randrange(len(data))
    kind = random.randrange(5)
    if kind == 0:
        data[position] ^= 1 << random.randrange(8)
    elif kind == 1:
        data[position] = random.randrange(256)
    elif kind == 2:
        del data[position : position + random.randint(1, 5)]
    elif kind == 3:
        data[position:position] = random.randbytes(random.randint(1, 6))
    else:
        data[position:position] = data[position : position + random.randint(1, 20)]


def stream(random: Random, deflate: bool = False) -> bytes:
    """One input.

    Args:
        deflate: messages may be compressed, with RSV1.
    """
    frames: list[bytes] = []
    large = random.random() < 0.002
    for _ in range(random.randint(1, 4)):
        frames += _message(random, deflate, large)
    if random.random() < 0.3:
        frames.append(_close(random))
    if random.random() < 0.3:
        try:
            frames.insert(random.randint(0, len(frames)), _wrong(random))
        except (OverflowError, KeyError, ValueError):
            pass  # a length that does not fit the width asked for
    if random.random() < 0.1:
        random.shuffle(frames)
    data = bytearray(b"".join(frames))
    if random.random() < 0.4:
        for _ in range(random.randint(1, 3)):
            if data:
                _spoil(random, data)
    return bytes(data)


def cuts(random: Random, size: int) -> list[int]:
    """Where to cut an input of this size."""
    kind = random.random()
    if kind < 0.3 or not size:
        return []
    if kind < 0.4 and size < 400:
        return list(range(size))
    return [random.randrange(size) for _ in range(random.randint(1, 6))]
