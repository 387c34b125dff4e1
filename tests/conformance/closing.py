"""RFC 6455 sections 5.5.1, 7.1 to 7.4: codes and reasons, data behind the close frame, who closes TCP."""

from __future__ import annotations

from collections.abc import Iterator

from tests.conformance.case import END, Case, Chopped, Interleaved, closed, fails, pong, text
from tests.protocol.texts import BAD_TEXTS, GOOD_TEXTS
from tests.protocol.wire import CLOSE, PING, TEXT, close_frame, frame

ALLOWED = (*range(1000, 1004), *range(1007, 1015), 3000, 3001, 3999, 4000, 4001, 4998, 4999)
FORBIDDEN = (
    0,
    1,
    2,
    125,
    256,
    500,
    999,
    1004,
    1005,
    1006,
    1015,
    1016,
    1017,
    1099,
    1100,
    1999,
    2000,
    2500,
    2998,
    2999,
    5000,
    5001,
    9999,
    32768,
    65534,
    65535,
)


def codes() -> Iterator[Case]:
    for code in ALLOWED:
        yield Case(f"7.4 code {code}", (close_frame(code), closed(code, b""), END))
        yield Case(f"7.4 code {code} with a reason", (close_frame(code, b"because"), closed(code, b"because"), END))
    for code in FORBIDDEN:
        for reason in (b"", b"because"):
            yield fails(f"7.4 code {code}, reason of {len(reason)}", close_frame(code, reason), 1002)
        yield fails(f"7.4 code {code} behind a message", frame(TEXT, b"a") + close_frame(code), 1002, text("a"))


def payloads() -> Iterator[Case]:
    yield Case("5.5.1 close of 0 octets", (close_frame(), closed(1005, b""), END))
    yield Case("5.5.1 close of 0 octets, octet by octet", (Chopped(close_frame(), 1), closed(1005, b""), END))
    for octet in (b"\0", b"\x03", b"\xff"):
        yield fails(f"5.5.1 close of 1 octet {octet.hex()}", frame(CLOSE, octet), 1002)
        yield fails(f"5.5.1 close of 1 octet {octet.hex()} behind a message", frame(TEXT, b"a") + frame(CLOSE, octet), 1002, text("a"))
    yield Case("5.5.1 close of 2 octets, octet by octet", (Chopped(close_frame(1000), 1), closed(1000, b""), END))
    for size in (1, 2, 122, 123):
        yield Case(f"5.5.1 reason of {size}", (close_frame(1000, b"x" * size), closed(1000, b"x" * size), END))
    reason = "\u20ac".encode() * 41
    yield Case("5.5.1 reason of 123 octets in 41 characters", (close_frame(1000, reason), closed(1000, reason), END))
    yield fails("5.5.1 close of 126 octets", close_frame(1000, bytes(124)), 1002)
    for name, reason in GOOD_TEXTS.items():
        yield Case(f"7.1.6 reason {name}", (close_frame(1000, reason), closed(1000, reason), END))
    for name, (reason, _) in BAD_TEXTS.items():
        yield fails(f"7.1.6 reason {name}", close_frame(1000, reason), 1007)
        yield fails(f"7.1.6 reason {name} behind a message", frame(TEXT, b"a") + close_frame(1000, b"ok " + reason), 1007, text("a"))


def behind() -> Iterator[Case]:
    """What comes behind a close frame counts for nothing, and makes no reset that could destroy the server's own close frame."""
    for name, data in {
        "a message": frame(TEXT, b"late"),
        "a ping": frame(PING, b"late"),
        "a second close frame": close_frame(1001, b"second"),
        "an error": b"\xff\xff\xff\xff",
        "half a frame": frame(TEXT, b"late")[:4],
        "1 MiB": frame(TEXT, b"x" * 1000) * 1024,
        "much noise": bytes(range(256)) * 1024,
    }.items():
        yield Case(f"5.5.1 {name} behind the close frame", (close_frame(1000) + data, closed(1000, b""), END))
        yield Case(f"5.5.1 {name} in packets behind the close frame", (close_frame(1000), Chopped(data, 1000), closed(1000, b""), END))
        yield Case(f"5.5.1 {name} behind an error", (b"\xff" + data, closed(1002), END))
        yield Case(f"5.5.1 {name} in packets behind an error", (b"\xff", Chopped(data, 1000), closed(1002), END))
    many = [str(number) for number in range(100)]
    stream = b"".join(frame(TEXT, one.encode()) for one in many)
    yield Case(
        "7.1.2 all that came before the close frame is answered", (stream + close_frame(1001), *map(text, many), closed(1001, b""), END)
    )
    yield Case(
        "7.1.2 pings before the close frame are answered",
        (frame(TEXT, b"a") + frame(PING, b"p") + close_frame(), Interleaved((text("a"), pong(b"p"))), closed(1005, b""), END),
    )
    yield fails("7.1.7 all that came before an error is answered", stream + b"\x83", 1002, *map(text, many))


def by_the_server() -> Iterator[Case]:
    go = frame(TEXT, b"go")
    for code in ALLOWED:
        if code in (1007, 1009, 1010):
            continue
        yield Case(
            f"7.1.1 the application closes with {code}",
            (go, closed(code, b"see you"), close_frame(code), END),
            path=f"/close/{code}/see%20you",
        )
    yield Case("7.1.1 the application closes without a reason", (go, closed(1000, b""), close_frame(1000), END), path="/close/1000/")
    yield Case("7.1.1 the application returns", (go, text("go"), closed(1000), close_frame(1000), END), path="/return")
    yield Case("7.1.1 the application raises", (go, text("go"), closed(1011), close_frame(1011), END), path="/raise")
    yield Case("7.1.1 the application returns at once", (closed(1000), close_frame(1000), END), path="/at-once")
    yield Case(
        "7.1.1 both close at the same time", (go + close_frame(4000, b"me"), closed(4001, b"see you"), END), path="/close/4001/see%20you"
    )
    yield Case(
        "7.1.1 the server has closed, the client answers late",
        (go, closed(4001, b"see you"), frame(TEXT, b"late") + frame(PING, b"late") + close_frame(4001), END),
        path="/close/4001/see%20you",
    )
    yield Case(
        "7.1.1 the server has closed, the client answers with another code",
        (go, closed(4001, b"see you"), close_frame(1000, b"bye"), END),
        path="/close/4001/see%20you",
    )
    yield Case(
        "7.1.1 the server has closed, the client answers with an error",
        (go, closed(4001, b"see you"), b"\xff\xff", END),
        path="/close/4001/see%20you",
    )
    yield Case(
        "7.1.1 a message and a close frame for an application that returns",
        (go + close_frame(1001), text("go"), closed(1000), END),
        path="/return",
    )


def cases() -> Iterator[Case]:
    for group in (codes, payloads, behind, by_the_server):
        yield from group()
