"""RFC 6455 sections 5.6 and 8.1: text is UTF-8 whatever way it is cut, and what is not fails as soon as the bad octet is there."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tests.conformance.case import Case, Chopped, Interleaved, Step, binary, fails, large, pong, text, valid
from tests.protocol.texts import BAD_TEXTS, GOOD_TEXTS
from tests.protocol.wire import BINARY, CONTINUATION, PING, TEXT, frame

LEAD = "\u03ba\u1f79\u03c3\u03bc\u03b5 ".encode()


def good() -> Iterator[Case]:
    for name, payload in GOOD_TEXTS.items():
        for lead in (b"", LEAD):
            whole = lead + payload
            behind = " behind text" if lead else ""
            yield valid(f"8.1 {name}{behind}", frame(TEXT, whole), text(whole))
            yield valid(f"8.1 {name}{behind}, octet by octet", Chopped(frame(TEXT, whole), 1), text(whole))
        for position in range(1, len(payload)):
            stream = frame(TEXT, payload[:position], fin=False) + frame(PING, b"\xff") + frame(CONTINUATION, payload[position:])
            yield valid(f"8.1 {name}, cut into fragments at {position}", stream, Interleaved((pong(b"\xff"), text(payload))))
        if payload:
            parts = [frame(CONTINUATION if i else TEXT, payload[i : i + 1], fin=i == len(payload) - 1) for i in range(len(payload))]
            yield valid(f"8.1 {name}, a fragment for each octet", b"".join(parts), text(payload))
    yield large("8.1 every character there is", _every_character)
    yield large("8.1 every character there is, in pieces of 1021", partial(_every_character, 1021))


def _every_character(chop: int = 0) -> tuple[Step, ...]:
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x110000)])).encode()
    data = frame(TEXT, every)
    return Chopped(data, chop) if chop else data, text(every)


def bad() -> Iterator[Case]:
    far = b"." * 200  # what the frame still announces when the bad octet is there
    for name, (payload, at) in BAD_TEXTS.items():
        for lead in (b"", LEAD):
            whole = lead + payload
            behind = " behind text" if lead else ""
            yield fails(f"8.1 {name}{behind}", frame(TEXT, whole), 1007)
            yield fails(
                f"8.1 {name}{behind}, with messages before",
                frame(TEXT, LEAD) + frame(BINARY, b"\xff") + frame(TEXT, whole),
                1007,
                text(LEAD),
                binary(b"\xff"),
            )
            if at <= len(payload):
                data = frame(TEXT, whole + far)
                stop = len(data) - len(far) - len(payload) + at
                yield fails(f"8.1 {name}{behind}, in the middle of a frame", data[:stop], 1007, rest=data[stop:])
                data = frame(TEXT, whole, fin=False)
                stop = len(data) - len(payload) + at
                yield fails(f"8.1 {name}{behind}, in a first fragment", data[:stop], 1007, rest=data[stop:] + frame(CONTINUATION, far))
            else:
                yield fails(f"8.1 {name}{behind}, before an empty last fragment", frame(TEXT, whole, fin=False) + frame(CONTINUATION), 1007)
        for position in range(1, min(len(payload), at)):
            start = frame(TEXT, payload[:position], fin=False)
            if at <= len(payload):
                data = frame(CONTINUATION, payload[position:] + far)
                stop = len(data) - len(far) - len(payload) + at
                yield fails(f"8.1 {name}, across fragments at {position}", start + data[:stop], 1007, rest=data[stop:])
            else:
                yield fails(f"8.1 {name}, across fragments at {position}", start + frame(CONTINUATION, payload[position:]), 1007)
        if at <= len(payload):
            data = frame(TEXT, payload + far)
            stop = len(data) - len(far) - len(payload) + at
            failure = fails("", b"", 1007, rest=data[stop:]).steps[1:]
            yield Case(f"8.1 {name}, octet by octet", (Chopped(data[:stop], 1), *failure))


def cases() -> Iterator[Case]:
    yield from good()
    yield from bad()
    yield valid("5.6 what is no UTF-8 is fine as binary", frame(BINARY, b"\xff\xc0\x80\xed\xa0\x80"), binary(b"\xff\xc0\x80\xed\xa0\x80"))
