"""The conversations that a client has with the application patterns of tests/apps, the same for every server.

Each is a function that takes `connect(path)` and returns a transcript: a list of what the clients saw, in an order
that does not depend on chance. What the transcript must be stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

from .clients import Client, Event

Connect = Callable[..., Client]
Transcript = list[Any]

BIG = "0123456789abcdef" * 8192  # 128 KiB: more than any buffer on the way takes at once


def until(client: Client, last: Event) -> list[Event]:
    """What a client hears up to and including the event `last`."""
    events = [client.receive()]
    while events[-1] != last:
        assert events[-1][0] not in ("close", "end"), f"waited for {last}, heard {events}"
        events.append(client.receive())
    return events


def echo(connect: Connect) -> Transcript:
    """Texts, bytes, empty messages, a large one, two clients at once."""
    first, second = connect(), connect()
    heard: Transcript = []
    for message in ("hello", "", "grüße", "x" * 125, "y" * 126, "z" * 65536):
        first.text(message)
        second.text(message[::-1])
        heard += [first.receive(), second.receive()]
    first.binary(b"\x00\x7fbytes come back as text")
    heard.append(first.receive())
    first.text(BIG)
    heard.append(first.receive() == ("text", BIG))
    return heard


ECHO: Transcript = [
    ("text", "hello"),
    ("text", "olleh"),
    ("text", ""),
    ("text", ""),
    ("text", "grüße"),
    ("text", "eßürg"),
    ("text", "x" * 125),
    ("text", "x" * 125),
    ("text", "y" * 126),
    ("text", "y" * 126),
    ("text", "z" * 65536),
    ("text", "z" * 65536),
    ("text", "\x00\x7fbytes come back as text"),
    True,
]


def arena(connect: Connect) -> Transcript:
    """Three players who join, get numbers of their own, speak, and leave, one with a close frame and one without."""
    players = []
    heard: Transcript = []
    for name in ("ann", "bob", "cid"):
        player = connect()
        heard.append(player.receive())
        player.text("name:" + name)
        players.append(player)
        heard += [each.receive() for each in players]  # the newest is among those who hear it
    ann, bob, cid = players
    numbers = []
    for player in players:
        player.text("number")
        _, answer = player.receive()
        numbers.append(answer)
    heard.append(len(set(numbers)))
    for turn in range(5):
        for player in (bob, ann):
            player.text(f"move {turn}")
            heard += [each.receive() for each in players]
    cid.close()
    heard += [ann.receive(), bob.receive()]
    bob.abort()
    heard.append(ann.receive())
    ann.text("still here?")
    heard.append(ann.receive())
    return heard


ARENA: Transcript = (
    [("text", "welcome"), ("text", "ann joined")]
    + [("text", "welcome"), *[("text", "bob joined")] * 2]
    + [("text", "welcome"), *[("text", "cid joined")] * 3]
    + [3]
    + [("text", f"{name}: move {turn}") for turn in range(5) for name in ("bob", "ann") for _ in range(3)]
    + [("text", "cid left"), ("text", "cid left"), ("text", "bob left"), ("text", "ann: still here?")]
)


def room(connect: Connect) -> Transcript:
    """Two in a room: what each says both hear."""
    first, second = connect(), connect()
    heard: Transcript = [first.receive(), second.receive()]
    for number in range(5):
        for speaker in (first, second):
            speaker.text(f"{number}")
            heard += [first.receive(), second.receive()]
    first.close()
    second.text("alone")
    heard.append(second.receive())
    return heard


ROOM: Transcript = [("text", "ready")] * 2 + [("text", f"[{number}]") for number in range(5) for _ in range(4)] + [("text", "[alone]")]


def two_greenlets(connect: Connect) -> Transcript:
    """A chat in which one greenlet of each client receives and another sends."""
    first = connect()
    heard: Transcript = [first.receive()]
    second = connect()
    heard.append(second.receive())
    for speaker in (first, second, second, first):
        speaker.text("hi")
        heard += [first.receive(), second.receive()]
    second.close()
    heard.append(first.receive())
    return heard


TWO_GREENLETS: Transcript = [("text", "1 here"), ("text", "2 here")] + [("text", "hi")] * 8 + [("text", "one left")]


def spawned(connect: Connect) -> Transcript:
    """Answers from greenlets that the application spawned, for two clients at once."""
    first, second = connect(), connect()
    first.text("count 5")
    second.text("count 3")
    heard: Transcript = until(first, ("text", "5")) + until(second, ("text", "3"))
    first.text("nest")
    heard += [first.receive(), first.receive()]
    second.text("so?")
    heard.append(second.receive())
    return heard


SPAWNED: Transcript = [
    *[("text", str(number)) for number in range(1, 6)],
    *[("text", str(number)) for number in range(1, 4)],
    ("text", "from a grandchild"),
    ("binary", b"and later"),
    ("text", "you said so?"),
]


def asyncio_reader(connect: Connect) -> Transcript:
    """Answers at once and answers from a task of the loop, for two clients at once."""
    first, second = connect(), connect()
    heard: Transcript = [first.receive(), second.receive()]
    for number in range(3):
        first.text(f"a{number}")
        second.text(f"b{number}")
        heard += [first.receive(), second.receive()]
    first.text("slow tea")
    second.text("quick")
    heard += [second.receive(), first.receive()]
    first.close()
    second.text("alone")
    heard.append(second.receive())
    return heard


ASYNCIO_READER: Transcript = (
    [("text", "ready")] * 2
    + [("text", f"{who}{number}") for number in range(3) for who in "ab"]
    + [("text", "quick"), ("text", "after a while: tea"), ("text", "alone")]
)


@dataclass(frozen=True)
class Pattern:
    """An application, how each server is told to run it, what a client does with it and what it must see.

    Attributes:
        app: the file in tests/apps.
        arguments: the options of both servers.
        uwsgi_arguments: those that only the real uWSGI needs.
        talk: the conversation.
        expected: its transcript.
        uwsgi_lacks: why the real uWSGI cannot do it; "" where it can.
        debian: take Debian's uWSGI (see `UWSGI`).
        lasting: descriptors that the application keeps when its clients have left.
    """

    app: str
    arguments: tuple[str, ...]
    talk: Callable[[Connect], Transcript]
    expected: Transcript
    uwsgi_arguments: tuple[str, ...] = ()
    uwsgi_lacks: str = ""
    debian: bool = False
    lasting: int = 0

    @property
    def name(self) -> str:
        return self.app.partition(".")[0]


_GEVENT = ("--gevent", "50", "--gevent-monkey-patch")

PATTERNS = [
    Pattern("blocking_echo.py", _GEVENT, echo, ECHO),
    Pattern("redis_select.py", _GEVENT, arena, ARENA),
    # uWSGI suspends a request only with a stack to switch to: its greenlet plugin.
    Pattern("async_suspend.py", ("--async", "20"), room, ROOM, uwsgi_arguments=("--greenlet",), debian=True),
    Pattern("async_yield.py", ("--async", "20"), room, ROOM),
    Pattern("two_greenlets.py", _GEVENT, two_greenlets, TWO_GREENLETS, uwsgi_lacks="request_context never reached a release of uWSGI 2.0"),
    Pattern("spawned_senders.py", _GEVENT, spawned, SPAWNED, uwsgi_lacks="a greenlet that uWSGI did not start belongs to no request there"),
    # Its loop has a pair of sockets, by which other greenlets wake it.
    Pattern("asyncio_reader.py", _GEVENT, asyncio_reader, ASYNCIO_READER, lasting=2),
]
