"""RFC 6455 sections 5.1, 5.2, 5.3 and 5.6: frames of all sizes in any chopping, masks, lengths, reserved bits and opcodes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.conformance.case import END, Case, Chopped, Step, binary, closed, fails, large, pong, text, valid, variants
from tests.protocol.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, frame

#: The server under test takes messages up to this size.
LARGEST = 16 << 20
NAMES = {CONTINUATION: "continuation", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}


def content(opcode: int, size: int) -> bytes:
    """Octets that differ along the way, so that nothing lost, doubled or swapped goes unseen."""
    if opcode == TEXT:
        line = "".join(f"{number:07d} \u03ba\u1f79\u03c3\u03bc\u03b5 \U0001f600\n" for number in range(min(size // 20 + 1, 4000))).encode()
        return ((line * (size // len(line) + 1))[:size].decode("utf-8", "ignore").encode()).ljust(size, b".")
    block = b"".join(number.to_bytes(3, "big") for number in range(min(size // 3 + 1, 30000)))
    return (block * (size // len(block) + 1))[:size]


def echo(opcode: int, payload: bytes) -> Step:
    return text(payload) if opcode == TEXT else binary(payload)


def _message(opcode: int, size: int, chop: int = 0) -> tuple[Step, ...]:
    payload = content(opcode, size)
    data = frame(opcode, payload)
    return Chopped(data, chop) if chop else data, echo(opcode, payload)


def sizes() -> Iterator[Case]:
    small = (0, 1, 2, 3, 4, 5, 7, 16, 64, 124, 125, 126, 127, 128, 129, 255, 256, 1023, 4096, 65534, 65535, 65536, 65537)
    for opcode in (TEXT, BINARY):
        name = f"5.6 {NAMES[opcode]} of"
        for size in (*small, 1 << 18, 1 << 20, 4 << 20, 8 << 20, LARGEST):
            yield large(f"{name} {size}", partial(_message, opcode, size))
        for size in (*small[:19], 65535, 65536):
            yield large(f"{name} {size}, octet by octet", partial(_message, opcode, size, 1))
        for size, chop in (
            (1 << 16, 64),
            (1 << 16, 997),
            (1 << 20, 512),
            (1 << 20, 4096),
            (1 << 20, 65536),
            (4 << 20, 16384),
            (LARGEST, 100003),
        ):
            yield large(f"{name} {size} in pieces of {chop}", partial(_message, opcode, size, chop))
        for size in (2, 125, 126, 65535, 65536):
            payloads = [content(opcode, size)[: size - number] for number in range(3)] if opcode == BINARY else [content(opcode, size)] * 3
            stream = b"".join(frame(opcode, one, key=bytes((number, 255 - number, 7, 0))) for number, one in enumerate(payloads))
            yield valid(f"5.6 three {NAMES[opcode]} of {size} in one packet", stream, *(echo(opcode, one) for one in payloads))


def many() -> Iterator[Case]:
    payloads = [content(TEXT, number) for number in range(300)]
    stream = b"".join(frame(TEXT, payload) for payload in payloads)
    yield valid("5.6 300 texts of 0 to 299 in one packet", stream, *map(text, payloads))
    yield valid("5.6 300 texts of 0 to 299 in pieces of 7", Chopped(stream, 7), *map(text, payloads))
    yield valid("5.6 1000 empty messages", frame(BINARY) * 1000, *[binary(b"")] * 1000)
    half = frame(TEXT, b"0123456789")
    for position in range(1, len(half)):
        yield valid(
            f"5.2 two frames, cut {position} octets into the second",
            half + half[:position],
            text("0123456789"),
            half[position:],
            text("0123456789"),
        )
    yield Case(
        "4.2.2 a frame in the packet of the handshake",
        (text("early"), close_frame(1000), closed(1000, b""), END),
        early=frame(TEXT, b"early"),
    )
    yield Case(
        "4.2.2 half a frame in the packet of the handshake",
        (half[5:], text("0123456789"), close_frame(1000), closed(1000, b""), END),
        early=half[:5],
    )
    yield Case(
        "4.2.2 a ping in the packet of the handshake", (pong(b"x"), close_frame(1000), closed(1000, b""), END), early=frame(PING, b"x")
    )
    yield Case("4.2.2 a close frame in the packet of the handshake", (closed(1001, b""), END), early=close_frame(1001))
    yield Case("4.2.2 an error in the packet of the handshake", (text("a"), closed(1002), END), early=frame(TEXT, b"a") + b"\xff")


def masks() -> Iterator[Case]:
    payload = bytes(range(256))
    for key in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x01", b"\x80\0\0\0", b"\x01\x02\x03\x04"):
        yield valid(f"5.3 key {key.hex()}", frame(BINARY, payload, key=key), binary(payload))
        yield valid(f"5.3 key {key.hex()}, in pieces of 3", Chopped(frame(BINARY, payload, key=key), 3), binary(payload))
    for opcode in (TEXT, BINARY, PING, PONG, CLOSE):
        for payload in (b"", b"\x03\xe8"):
            yield from variants(f"5.1 unmasked {NAMES[opcode]} of {len(payload)}", frame(opcode, payload, key=None), 1002)
    start = frame(TEXT, b"a", fin=False)
    yield from variants("5.1 unmasked continuation", frame(CONTINUATION, b"b", key=None), 1002, start=start)


def lengths() -> Iterator[Case]:
    for size, width in ((0, 2), (1, 2), (125, 2), (0, 8), (1, 8), (125, 8), (126, 8), (65535, 8)):
        data = frame(BINARY, bytes(size), width=width)
        yield from variants(f"5.2 length {size} in {width} octets", data[: 2 + width], 1002, rest=data[2 + width :])
    for size in (1 << 63, (1 << 64) - 1):
        data = frame(BINARY, size=size, width=8)
        yield from variants(f"5.2 length {size:#x}", data[:3], 1002, rest=data[3:])


def reserved() -> Iterator[Case]:
    for rsv in range(1, 8):
        for opcode in (TEXT, BINARY, PING, PONG, CLOSE):
            for payload in (b"", b"\x03\xe8abc"):
                data = frame(opcode, payload, rsv=rsv)
                yield from variants(f"5.2 reserved bits {rsv:03b} on {NAMES[opcode]} of {len(payload)}", data[:1], 1002, rest=data[1:])
        data = frame(CONTINUATION, b"b", rsv=rsv)
        start = frame(TEXT, b"a", fin=False)
        yield from variants(f"5.2 reserved bits {rsv:03b} on continuation", data[:1], 1002, rest=data[1:], start=start)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        for payload in (b"", b"payload"):
            for fin in (True, False):
                data = frame(opcode, payload, fin=fin)
                name = f"5.2 reserved opcode {opcode} of {len(payload)}{'' if fin else ' without FIN'}"
                yield from variants(name, data[:1], 1002, rest=data[1:])
        data = frame(opcode, b"x")
        yield fails(f"5.2 reserved opcode {opcode} inside a message", frame(TEXT, b"a", fin=False) + data[:1], 1002, rest=data[1:])


def limits() -> Iterator[Case]:
    over = frame(BINARY, size=LARGEST + 1)
    yield from variants("7.4.1 one over the largest message", over[:10], 1009, rest=over[10:])
    yield from variants("7.4.1 the longest length there is", frame(BINARY, size=(1 << 63) - 1)[:10], 1009)
    yield fails("7.4.1 one over by the last fragment", frame(BINARY, b"x", fin=False) + frame(CONTINUATION, size=LARGEST)[:10], 1009)
    yield large("7.4.1 the largest message in two fragments", _largest_in_two)


def _largest_in_two() -> tuple[Step, ...]:
    payload = content(BINARY, LARGEST)
    return frame(BINARY, payload[:-1], fin=False) + frame(CONTINUATION, payload[-1:]), binary(payload)


def cases() -> Iterator[Case]:
    for group in (sizes, many, masks, lengths, reserved, limits):
        yield from group()
