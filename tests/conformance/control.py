"""RFC 6455 sections 5.4 and 5.5: fragments in every order, and control frames between them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product

from tests.conformance.case import END, Case, Chopped, Interleaved, Step, binary, closed, fails, large, pong, text, valid, variants
from tests.conformance.framing import NAMES, content, echo
from tests.protocol.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, frame


def pings() -> Iterator[Case]:
    for size in (0, 1, 2, 124, 125):
        payload = content(BINARY, size)
        yield valid(f"5.5.2 ping of {size}", frame(PING, payload), pong(payload))
        yield valid(f"5.5.2 ping of {size}, octet by octet", Chopped(frame(PING, payload), 1), pong(payload))
        yield valid(f"5.5.3 unsolicited pong of {size}", frame(PONG, payload) + frame(TEXT, b"a"), text("a"))
    yield valid(
        "5.5.2 ping of octets that are not UTF-8",
        frame(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),
        pong(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),
    )
    ten = [str(number).encode() * number for number in range(10)]
    stream = b"".join(frame(PING, payload) for payload in ten)
    yield valid("5.5.2 ten pings in a row", stream, *map(pong, ten))
    yield valid("5.5.2 ten pings in a row, octet by octet", Chopped(stream, 1), *map(pong, ten))
    yield valid("5.5.3 ten unsolicited pongs", b"".join(frame(PONG, payload) for payload in ten) + frame(PING, b"x"), pong(b"x"))
    mixed = b"".join(frame(TEXT, payload) + frame(PING, payload) for payload in ten)
    yield valid(
        "5.5.2 messages and pings in turn", mixed, Interleaved(tuple(event for payload in ten for event in (text(payload), pong(payload))))
    )
    yield valid(
        "5.5.2 a ping while the message before it is only half there",
        frame(TEXT, b"ab", fin=False) + frame(PING, b"x"),
        pong(b"x"),
        frame(CONTINUATION),
        text("ab"),
    )
    for opcode in (PING, PONG, CLOSE):
        for size in (126, 127, 65535, 65536):
            data = frame(opcode, bytes(size))
            yield from variants(f"5.5 {NAMES[opcode]} of {size}", data[:2], 1002, rest=data[2:])
        for size, width in ((5, 2), (5, 8)):
            data = frame(opcode, bytes(size), width=width)
            yield from variants(f"5.5 {NAMES[opcode]} with a length of {width} octets", data[:2], 1002, rest=data[2:])
        data = frame(opcode, b"", fin=False)
        yield from variants(f"5.5 fragmented {NAMES[opcode]}", data[:1], 1002, rest=data[1:] + frame(CONTINUATION, b""))
        data = frame(opcode, b"\x03\xe8", fin=False)
        yield fails(f"5.5 fragmented {NAMES[opcode]} inside a message", frame(TEXT, b"a", fin=False) + data[:1], 1002, rest=data[1:])


def fragments() -> Iterator[Case]:
    for opcode in (TEXT, BINARY):
        for count in (2, 3, 10, 100):
            payload = content(opcode, count * 5)
            parts = [payload[i * 5 : i * 5 + 5] for i in range(count)]
            frames = [frame(CONTINUATION if i else opcode, part, fin=i == count - 1) for i, part in enumerate(parts)]
            stream = b"".join(frames)
            yield valid(f"5.4 {NAMES[opcode]} in {count} fragments", stream, echo(opcode, payload))
            yield valid(f"5.4 {NAMES[opcode]} in {count} fragments, octet by octet", Chopped(stream, 1), echo(opcode, payload))
            yield valid(f"5.4 {NAMES[opcode]} in {count} fragments, each a packet", *frames, echo(opcode, payload))
            pings = [str(i).encode() for i in range(count)]
            stream = b"".join(one + frame(PING, ping) + frame(PONG, ping) for one, ping in zip(frames, pings))
            yield valid(
                f"5.4 {NAMES[opcode]} in {count} fragments with pings and pongs between",
                stream,
                Interleaved((*map(pong, pings), echo(opcode, payload))),  # type: ignore[arg-type]
            )
        for sizes in product((0, 1, 126), repeat=3):
            parts = [content(opcode, size) for size in sizes]
            stream = frame(opcode, parts[0], fin=False) + frame(CONTINUATION, parts[1], fin=False) + frame(CONTINUATION, parts[2])
            yield valid(f"5.4 {NAMES[opcode]} in fragments of {sizes}", stream, echo(opcode, b"".join(parts)))
        for total, size in ((1 << 16, 1), (1 << 18, 64), (1 << 20, 1000), (4 << 20, 65536), (16 << 20, 131072)):
            yield large(f"5.4 {NAMES[opcode]} of {total} in fragments of {size}", partial(_fragmented, opcode, total, size))
    stream = frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b") + frame(BINARY, b"c", fin=False) + frame(CONTINUATION, b"d")
    yield valid("5.4 two messages in fragments, one behind the other", stream + frame(TEXT, b"e"), text("ab"), binary(b"cd"), text("e"))


def _fragmented(opcode: int, total: int, size: int) -> tuple[Step, ...]:
    payload = content(opcode, total)
    starts = range(0, total, size)
    stream = b"".join(frame(CONTINUATION if at else opcode, payload[at : at + size], fin=at + size >= total) for at in starts)
    return stream, echo(opcode, payload)


def orders() -> Iterator[Case]:
    """Every order of three data frames: valid or not, and after which frame that shows."""
    kinds = {
        "T": (TEXT, True),
        "t": (TEXT, False),
        "b": (BINARY, False),
        "C": (CONTINUATION, True),
        "c": (CONTINUATION, False),
    }
    for order in product(kinds, repeat=3):
        sent, events, joined, kind, bad = b"", [], b"", 0, False
        for number, letter in enumerate(order):
            opcode, fin = kinds[letter]
            payload = str(number).encode()
            data = frame(opcode, payload, fin=fin)
            if (opcode == CONTINUATION) != bool(kind):
                sent, bad = sent + data[:1], True
                break
            sent, joined, kind = sent + data, joined + payload, kind or opcode
            if fin:
                events.append(text(joined) if kind == TEXT else binary(joined))
                joined, kind = b"", 0
        name = f"5.4 the order {''.join(order)}"
        if bad:
            yield fails(name, sent, 1002, *events, rest=frame(TEXT, b"rest")[1:])
        else:
            rest, last = (
                (frame(CONTINUATION, b"!"), [text(joined + b"!") if kind == TEXT else binary(joined + b"!")]) if kind else (b"", [])
            )
            yield valid(name, sent, *events, rest, *last)
    for fin in (True, False):
        suffix = "" if fin else " without FIN"
        data = frame(CONTINUATION, b"x", fin=fin)
        yield from variants(f"5.4 continuation{suffix} without a start", data[:1], 1002, rest=data[1:])
        for opcode in (TEXT, BINARY):
            data = frame(opcode, b"x", fin=fin)
            for start_opcode in (TEXT, BINARY):
                start = frame(start_opcode, b"a", fin=False)
                name = f"5.4 {NAMES[opcode]}{suffix} inside a fragmented {NAMES[start_opcode]}"
                yield from variants(name, data[:1], 1002, rest=data[1:], start=start)
    start = frame(TEXT, b"a", fin=False)
    yield Case("5.4 a ping before the failure is answered", (start + frame(PING, b"p") + frame(TEXT, b"b"), pong(b"p"), closed(1002), END))
    yield Case("5.5.1 close inside a fragmented message", (start + close_frame(1001, b"bye"), closed(1001, b"bye"), END))
    yield Case(
        "5.5.1 close inside a fragmented message, the last fragment behind it",
        (start + close_frame(1001) + frame(CONTINUATION, b"b"), closed(1001, b""), END),
    )


def cases() -> Iterator[Case]:
    for group in (pings, fragments, orders):
        yield from group()
