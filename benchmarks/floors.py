"""The figures to reach: ratios within one run, so that they hold on any machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from results import Results


@dataclass(frozen=True)
class Floor:
    """One figure to reach.

    Attributes:
        text: what it says.
        scenario: where geuwsgi's figure comes from.
        floor: the least (or most) that is acceptable.
        aim: what to strive for.
        server: whose figure it is.
        other: the server to compare with; None takes the figure itself.
        other_scenario: where the other's figure comes from, when that is another scenario.
        figure: of the samples.
        without: a server whose figure is taken off both: what is left is what the two add to it.
        at_most: small is good.
    """

    text: str
    scenario: str
    floor: float
    aim: float
    server: str = "geuwsgi"
    other: Optional[str] = None
    other_scenario: Optional[str] = None
    figure: str = "rate"
    without: Optional[str] = None
    at_most: bool = False

    def measured(self, results: Results) -> Optional[float]:
        """The figure or the ratio; None when something of it is missing."""
        if self.other is None:
            return results.median(self.scenario, self.server, self.figure)
        if self.without is not None:
            return self._added(results, self.server, self.other)
        if self.other_scenario is None:
            return results.ratio(self.scenario, self.server, self.other, self.figure)
        mine = results.median(self.scenario, self.server, self.figure)
        theirs = results.median(self.other_scenario, self.other, self.figure)
        return mine / theirs if mine and theirs else None

    def _added(self, results: Results, *servers: str) -> Optional[float]:
        base, mine, theirs = (results.median(self.scenario, name, self.figure) for name in (str(self.without), *servers))
        return (mine - base) / (theirs - base) if base and mine and theirs and theirs > base else None

    def by_cpu(self, results: Results) -> Optional[float]:
        """The same ratio from the CPU per message, which a busy machine hardly moves; None where that says nothing."""
        if self.other is None or self.figure != "rate":
            return None
        if self.without is not None:
            return self._added(results, self.server, self.other)
        if self.other_scenario is None:
            return results.ratio(self.scenario, self.other, self.server, "cpu_us")
        mine = results.median(self.scenario, self.server, "cpu_us")
        theirs = results.median(self.other_scenario, self.other, "cpu_us")
        return theirs / mine if mine and theirs else None

    def verdict(self, value: Optional[float]) -> str:
        if value is None:
            return "not measured"
        sign = -1 if self.at_most else 1
        if sign * value >= sign * self.aim:
            return "pass, aim reached"
        return "pass" if sign * value >= sign * self.floor else "SHORT"

    def needs(self) -> list[tuple[str, str]]:
        """(scenario, server) pairs to measure."""
        pairs = [(self.scenario, self.server)]
        if self.other is not None:
            pairs.append((self.other_scenario or self.scenario, self.other))
        if self.without is not None:
            pairs.append((self.scenario, self.without))
        return pairs


FLOORS = (
    Floor("echo 64 B, 100 connections, against uWSGI --http-socket --gevent", "echo-100", 1.3, 1.7, other="uwsgi-http-socket"),
    Floor("the same with 1,000 connections", "echo-1000", 1.4, 1.8, other="uwsgi-http-socket"),
    Floor("echo 64 B, 100 connections, against uWSGI --http --http-websockets", "echo-100", 3.5, 4.5, other="uwsgi-http"),
    Floor("the same against picows", "echo-100", 0.8, 1.0, other="picows"),
    Floor("the same against the C echo", "echo-100", 0.55, 0.75, other="c-epoll"),
    Floor("echo 16 KiB, 100 connections, against uWSGI --http-socket --gevent", "echo-16k", 1.8, 2.5, other="uwsgi-http-socket"),
    Floor("pure Python twin, 64 B, against uvicorn + websockets", "echo-100", 1.4, 1.8, server="geuwsgi-pure", other="uvicorn"),
    Floor("echo over TLS, 64 B, 100 connections, against the plain one", "echo-tls", 0.5, 0.65, "geuwsgi-tls", "geuwsgi", "echo-100"),
    Floor("the same against uWSGI --https --http-websockets --gevent", "echo-tls", 2, 3, "geuwsgi-tls", "uwsgi-https"),
    Floor("memory per idle TLS websocket, 3,000 of them, KiB", "memory-tls-3000", 32, 24, "geuwsgi-tls", at_most=True),
    Floor("keep-alive GET, 50 connections, against uWSGI --http --http-keepalive", "get-50", 4, 7, other="uwsgi-keepalive"),
    Floor("the same against granian (WSGI)", "get-50", 0.6, 1.0, other="granian"),
    Floor(
        "front of a uWSGI: what it adds to a GET's p50, against uWSGI's own router",
        "get-1",
        1.2,
        1.0,
        server="geuwsgi-front",
        other="uwsgi-keepalive",
        figure="p50_us",
        without="uwsgi-http-socket",
        at_most=True,
    ),
    Floor(
        "front of a geuwsgi, over HTTP: the same, against uWSGI's router, over uwsgi",
        "get-1",
        1.2,
        0.8,
        server="geuwsgi-front-http",
        other="uwsgi-front-geuwsgi",
        figure="p50_us",
        without="geuwsgi",
        at_most=True,
    ),
    Floor(
        "echo, 100 connections, through the front to a uWSGI, against its own router",
        "echo-100",
        1.0,
        1.5,
        server="geuwsgi-front",
        other="uwsgi-http",
    ),
    Floor("HTTP/2 GET, 100 streams on one connection, against hypercorn on uvloop", "h2-get", 1, 2, other="hypercorn"),
    Floor("two workers on two cores against one, echoes; CPU: of one echo", "echo-workers", 1.7, 1.9, server="geuwsgi-2", other="geuwsgi"),
    Floor("connections opened a second, 1,000 of them, against uWSGI --http-socket", "connect", 5, 30, other="uwsgi-http-socket"),
    Floor("memory per idle websocket, 10,000 of them, KiB", "memory-10000", 12, 9, at_most=True),
    Floor("fan-out to 1,000, against a C epoll loop", "fanout-1000", 0.5, 0.8, other="c-epoll"),
    Floor("fan-out to 1,000, against uWSGI + a Redis subscription each", "fanout-1000", 10, 18, other="uwsgi-redis"),
    Floor("fan-out to 100, against the same", "fanout-100", 10, 20, other="uwsgi-redis"),
    Floor("fan-out to 1,000, against uvicorn + websockets", "fanout-1000", 3, 5, other="uvicorn"),
    Floor(
        "two workers on two cores against one, CPU per delivery",
        "fanout-1000",
        1.25,
        1.1,
        server="geuwsgi-2",
        other="geuwsgi",
        figure="cpu_us",
        at_most=True,
    ),
    Floor(
        "10,000 channels of 2 against one of 2, same connections, CPU per message",
        "channels-10000",
        1.3,
        1.1,
        other="geuwsgi",
        other_scenario="channels-1",
        figure="cpu_us",
        at_most=True,
    ),
)


def table(results: Results) -> str:
    """Every figure with its floor, aim, what was measured, and the verdict."""
    lines = [f"\n{'figure to reach':<74}{'floor':>8}{'aim':>8}{'measured':>10}{'by CPU':>8}  verdict"]
    for row in FLOORS:
        value = row.measured(results)
        bound = "<= " if row.at_most else ""
        columns = f"{bound + format(row.floor, 'g'):>8}{row.aim:>8g}{shown(value):>10}{shown(row.by_cpu(results)):>8}"
        lines.append(f"{row.text:<74}{columns}  {row.verdict(value)}")
    lines.append("by CPU: the same ratio from the server's CPU per message, which other work on the machine hardly moves.")
    return "\n".join(lines)


def shown(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:.2f}"
