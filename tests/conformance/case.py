"""A case: what is sent, what must come back, in order. And how it is played."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Callable, Optional, Union

from tests.conformance.client import Event, RawClient, Silence, Violation
from tests.protocol.wire import BINARY, PING, TEXT, close_frame, frame, pieces

Connect = Callable[[], socket.socket]

END = Event("end")
#: Seconds that a server may take to fail on an octet that is already there. It takes none; this is for a busy machine.
AT_ONCE = 4.5


@dataclass(frozen=True)
class Chopped:
    """Octets sent in pieces of one size, each in a packet of its own as far as the kernel goes along."""

    data: bytes
    size: int


@dataclass(frozen=True)
class Late:
    """A failure that must come now, without waiting for the rest; who needs the rest to see it is not strict.

    Attributes:
        event: what must come.
        rest: what a server that waits for more is given.
    """

    event: Event
    rest: bytes


@dataclass(frozen=True)
class Interleaved:
    """Messages and pongs, each kind in its order, in any mixture.

    Pings are answered when they come, messages when the application reads.
    """

    events: tuple[Event, ...]


Step = Union[bytes, Chopped, Event, Late, Interleaved]


@dataclass(frozen=True)
class Case:
    """One conversation.

    Attributes:
        id: unique, section and subject, such as "5.2 rsv1 on text, alone".
        steps: octets are sent, events must come, in this order. A function that makes them, where they are large.
        early: sent in the packet of the handshake.
        path: of the application.
    """

    id: str
    steps: Union[tuple[Step, ...], Callable[[], tuple[Step, ...]]]
    early: bytes = b""
    path: str = "/"


@dataclass(frozen=True)
class Result:
    """How it went: "passed", "non-strict" (right, but late) or "failed", and why."""

    grade: str
    detail: str = ""


def text(payload: Union[str, bytes]) -> Event:
    return Event("text", payload.encode() if isinstance(payload, str) else payload)


def binary(payload: bytes) -> Event:
    return Event("binary", payload)


def pong(payload: bytes = b"") -> Event:
    return Event("pong", payload)


def closed(code: int, reason: Optional[bytes] = None) -> Event:
    """A close frame; without `reason` any will do."""
    return Event("close", reason, code)


#: What ends a case in which nobody is wrong: the closing handshake, which also shows that nothing more was on its way.
GOODBYE: tuple[Step, ...] = (close_frame(1000), closed(1000, b""), END)


def valid(name: str, *steps: Step) -> Case:
    """Nobody is wrong."""
    return Case(name, (*steps, *GOODBYE))


def large(name: str, make: Callable[[], tuple[Step, ...]]) -> Case:
    """Nobody is wrong, and the octets are made when they are needed."""
    return Case(name, lambda: (*make(), *GOODBYE))


def fails(name: str, data: bytes, code: int, *before: Event, rest: bytes = b"") -> Case:
    """What came before is answered, then the server fails the connection with this code and closes TCP.

    Args:
        rest: octets that `data` lacks; the failure must come without them.
    """
    failure: Step = Late(closed(code), rest) if rest else closed(code)
    return Case(name, (data, *before, failure, END))


def variants(name: str, data: bytes, code: int, *, rest: bytes = b"", start: bytes = b"") -> Iterator[Case]:
    """A failure alone, behind valid frames in the same packet, behind answered ones, and octet by octet.

    Args:
        start: frames that must come before `data` (the first fragment).
    """
    failure: Step = Late(closed(code), rest) if rest else closed(code)
    hello = frame(TEXT, b"hello") + frame(PING, b"?") + frame(BINARY, b"\x00\xff")
    answers = Interleaved((text("hello"), pong(b"?"), binary(b"\x00\xff")))
    yield Case(f"{name}, alone", (start + data, failure, END))
    yield Case(f"{name}, behind valid frames in one packet", (hello + start + data, answers, failure, END))
    yield Case(f"{name}, behind frames answered", (frame(TEXT, b"hello"), text("hello"), start + data, failure, END))
    yield Case(f"{name}, octet by octet", (Chopped(start + data, 1), failure, END))


def play(case: Case, connect: Connect, deadline: float = 20.0, orderly: bool = True) -> Result:
    """Run a case against a server.

    Args:
        orderly: TCP must end in order. A front server that has heard the end closes at once, and if the client sends on, that is a reset.
    """
    said: list[str] = []
    strict = True
    try:
        with RawClient(connect(), deadline) as client:

            def come(seconds: Optional[float] = None) -> Event:
                event = client.event(seconds)
                said.append(str(event))
                if event == Event("reset") and not orderly:
                    event = END
                return event

            client.handshake(case.path, case.early)
            for step in case.steps() if callable(case.steps) else case.steps:
                if isinstance(step, bytes):
                    client.send(step)
                    continue
                if isinstance(step, Chopped):
                    for piece in pieces(step.data, step.size):
                        client.send(piece)
                    continue
                if isinstance(step, Interleaved):
                    expected, came = list(step.events), [come() for _ in step.events]
                    expected.sort(key=_is_pong)
                    came.sort(key=_is_pong)
                else:
                    expected = [step.event if isinstance(step, Late) else step]
                    try:
                        came = [come(AT_ONCE if isinstance(step, Late) or step == END else None)]
                    except Silence:
                        strict = False
                        if isinstance(step, Late):
                            client.send(step.rest)
                        came = [come()]
                if not all(one.matches(other) for one, other in zip(expected, came)):
                    return Result("failed", f"expected {', '.join(map(str, expected))}; all that came: {said}")
    except (Violation, Silence, OSError) as error:
        return Result("failed", f"{type(error).__name__}: {error}; all that came before: {said}")
    return Result("passed") if strict else Result("non-strict", f"right, but late: {said}")


def _is_pong(event: Event) -> bool:
    return event.kind == "pong"
