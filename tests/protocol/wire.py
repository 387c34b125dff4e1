"""Frames as a client may write them, right or wrong, and ways to cut a stream of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Optional

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
KEY = b"\x37\xfa\x21\x3d"  # the key of the examples in RFC 6455 section 5.7


def mask(payload: bytes, key: bytes) -> bytes:
    """RFC 6455 section 5.3, octet by octet; long payloads by one XOR of two integers."""
    if len(payload) < 256:
        return bytes(octet ^ key[i % 4] for i, octet in enumerate(payload))
    stream = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(payload), "big")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    key: Optional[bytes] = KEY,
    width: Optional[int] = None,
    size: Optional[int] = None,
) -> bytes:
    """One frame.

    Args:
        rsv: the three reserved bits, RSV1 being 4.
        key: the masking key; None leaves the frame unmasked.
        width: octets of the extended length (0, 2 or 8); None takes the shortest that holds it.
        size: the length to claim; None tells the truth.
    """
    size = len(payload) if size is None else size
    if width is None:
        width = 0 if size < 126 else 2 if size < 65536 else 8
    head = bytes(((0x80 if fin else 0) | rsv << 4 | opcode, (0x80 if key is not None else 0) | {0: size, 2: 126, 8: 127}[width]))
    head += size.to_bytes(width, "big") if width else b""
    return head + payload if key is None else head + key + mask(payload, key)


def close_frame(code: Optional[int] = None, reason: bytes = b"", **options: object) -> bytes:
    """A close frame; without a code it is empty."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason, **options)  # type: ignore[arg-type]


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """The bytes in pieces of one size."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def cut(data: bytes, positions: Iterable[int]) -> Iterator[bytes]:
    """The bytes cut at these positions (in any order, taken modulo the length)."""
    marks = sorted({position % (len(data) + 1) for position in positions})
    start = 0
    for mark in [*marks, len(data)]:
        if mark > start:
            yield data[start:mark]
            start = mark
