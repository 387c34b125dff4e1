"""What is measured, one row per scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class Scenario:
    """One scenario.

    Attributes:
        name: for `--only` and the JSON.
        title: for tables.
        load: the load generator's scenario.
        connections: how many.
        options: further options of the load generator.
        ability: what a server must be able to do ("echo", "workers", "room", "channels", "get", "h2").
        unit: what the rate counts.
        memory: measure memory per idle websocket instead of a rate.
        fixed_work: the server is not driven to its limit, so read the latency and the CPU, not the rate.
        backlog: all servers get the same listen backlog; otherwise each has its own default.
        quick: the servers of a `--quick` run; None leaves the scenario out of it.
        tls: the load generator speaks TLS.
    """

    name: str
    title: str
    load: str
    connections: int
    options: tuple[tuple[str, str], ...] = ()
    ability: str = "echo"
    unit: str = "messages/s"
    memory: bool = False
    fixed_work: bool = False
    backlog: bool = True
    quick: Optional[tuple[str, ...]] = ()
    tls: bool = False

    @property
    def app(self) -> str:
        """The application that serves it: "echo" or "room"."""
        return "room" if self.ability in ("room", "channels") else "echo"


def sized(size: int, depth: int = 1) -> tuple[tuple[str, str], ...]:
    return (("--size", str(size)), ("--depth", str(depth)))


# two messages under way, so that the server is never idle; more lets servers that are behind take several in one go
ROOM = (("--path", "/room"), ("--window", "2"))
DEEP = (("--path", "/room"), ("--window", "16"))
HELLO = (("--path", "/hello"),)
FAST = ("geuwsgi", "c-epoll", "picows", "uwsgi-http-socket")
ROOMS = ("geuwsgi", "c-epoll", "uwsgi-redis", "uvicorn")
CHANNELS = ("geuwsgi",)

SCENARIOS = (
    Scenario("echo-1", "echo, 64 B, 1 connection", "echo", 1, quick=FAST),
    Scenario(
        "echo-100",
        "echo, 64 B, 100 connections",
        "echo",
        100,
        quick=(*FAST, "geuwsgi-pure", "uwsgi-http", "uvicorn", "gevent-websocket"),
    ),
    Scenario("echo-1000", "echo, 64 B, 1,000 connections", "echo", 1000, quick=FAST),
    Scenario("echo-16k", "echo, 16 KiB, 100 connections", "echo", 100, sized(16384), quick=FAST),
    Scenario("echo-64k", "echo, 64 KiB, 100 connections", "echo", 100, sized(65536), quick=FAST),
    Scenario("echo-pipelined", "echo, 64 B, 100 connections, 8 messages under way on each", "echo", 100, sized(64, 8), quick=FAST),
    Scenario("echo-tls", "echo over TLS 1.3, 64 B, 100 connections", "echo", 100, ability="tls", quick=None, tls=True),
    Scenario("echo-tls-16k", "echo over TLS 1.3, 16 KiB, 100 connections", "echo", 100, sized(16384), ability="tls", quick=None, tls=True),
    Scenario(
        "echo-workers",
        "echo, 64 B, 100 connections, one worker and two (the load shares the second core)",
        "echo",
        100,
        ability="workers",
        quick=None,
    ),
    Scenario("fanout-100", "fan-out, 64 B, 100 in the room", "room", 100, ROOM, "room", "deliveries/s", quick=ROOMS),
    Scenario("fanout-1000", "fan-out, 64 B, 1,000 in the room", "room", 1000, ROOM, "room", "deliveries/s", quick=ROOMS),
    Scenario(
        "fanout-deep", "fan-out, 64 B, 1,000 in the room, 16 messages under way", "room", 1000, DEEP, "room", "deliveries/s", quick=None
    ),
    Scenario(
        "fanout-paced",
        "fan-out, 64 B, 1,000 in the room, 50 messages a second",
        "room",
        1000,
        (*ROOM, ("--rate", "50")),
        "room",
        "deliveries/s",
        fixed_work=True,
        quick=("geuwsgi", "c-epoll"),
    ),
    Scenario(
        "channels-1",
        "channels: one with 2 members",
        "room",
        2,
        (("--channels", "1"),),
        "channels",
        "deliveries/s",
        quick=CHANNELS,
    ),
    Scenario(
        "channels-10000",
        "channels: 10,000 with 2 members each, on the same 2 connections",
        "room",
        2,
        (("--channels", "10000"),),
        "channels",
        "deliveries/s",
        quick=CHANNELS,
    ),
    Scenario(
        "channels-pairs",
        "channels: one with 2 members, for each of 1,000 pairs of connections",
        "room",
        2000,
        (("--channels", "1"),),
        "channels",
        "deliveries/s",
    ),
    Scenario(
        "channels-spread",
        "channels: 10,000 with 2 members each, on 2,000 connections",
        "room",
        2000,
        (("--channels", "10"),),
        "channels",
        "deliveries/s",
        quick=CHANNELS,
    ),
    Scenario(
        "connect",
        "open 1,000 connections at once, handshake and one echo on each",
        "connect",
        1000,
        unit="connections/s",
        backlog=False,
        quick=("geuwsgi", "c-epoll", "uwsgi-http-socket", "uvicorn"),
    ),
    Scenario(
        "connect-1024",
        "the same, every server with a listen backlog of 1,024",
        "connect",
        1000,
        unit="connections/s",
        quick=("geuwsgi", "c-epoll", "uwsgi-http-socket"),
    ),
    Scenario(
        "get-1", "keep-alive GET, 1 connection", "get", 1, HELLO, "get", "requests/s", quick=("geuwsgi", "granian", "uwsgi-keepalive")
    ),
    Scenario(
        "get-50",
        "keep-alive GET, 50 connections",
        "get",
        50,
        HELLO,
        "get",
        "requests/s",
        quick=("geuwsgi", "geuwsgi-pure", "c-epoll", "granian", "uwsgi-keepalive", "uwsgi-http-socket", "uvicorn"),
    ),
    Scenario(
        "h2-get", "HTTP/2 GET, 100 streams on 1 connection", "h2-get", 100, ability="h2", unit="requests/s", quick=("geuwsgi", "hypercorn")
    ),
    Scenario(
        "h2-echo",
        "echo over HTTP/2 (RFC 8441), 64 B, 100 websockets on 1 connection",
        "h2-echo",
        100,
        ability="h2",
        quick=("geuwsgi", "hypercorn"),
    ),
    Scenario(
        "memory-3000",
        "memory per idle websocket, 3,000 of them",
        "idle",
        3000,
        unit="KiB",
        memory=True,
        quick=("geuwsgi", "uwsgi-http-socket", "uvicorn"),
    ),
    Scenario(
        "memory-tls-3000",
        "memory per idle websocket over TLS 1.3, 3,000 of them",
        "idle",
        3000,
        ability="tls",
        unit="KiB",
        memory=True,
        quick=None,
        tls=True,
    ),
    Scenario("memory-10000", "memory per idle websocket, 10,000 of them", "idle", 10000, unit="KiB", memory=True, quick=("geuwsgi",)),
)

BY_NAME: dict[str, Scenario] = {scenario.name: scenario for scenario in SCENARIOS}
