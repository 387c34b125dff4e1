"""A fixed tick that does not drift, and how late it was."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator

import gevent

KEPT = 4096  #: the last slips that are remembered
HOPELESS = 10  #: periods behind which the missed ticks are given up instead of being caught up


class Pace:
    """Ticks at a fixed rate.

    Attributes:
        period: seconds.
        slips: how many seconds after its time each of the last ticks began.
        ticks, late: all ticks, and those that began more than one period after their time.
    """

    def __init__(self, rate: float) -> None:
        self.period = 1 / rate
        self.slips: deque[float] = deque(maxlen=KEPT)
        self.ticks = self.late = 0

    def __iter__(self) -> Iterator[None]:
        """Yield once for each tick, at its time."""
        due = time.monotonic()
        while True:
            due += self.period
            gevent.sleep(max(0.0, due - time.monotonic()))
            slip = max(0.0, time.monotonic() - due)
            self.ticks += 1
            self.late += slip > self.period
            self.slips.append(slip)
            if slip > HOPELESS * self.period:
                due += slip
            yield

    def figures(self) -> dict[str, float]:
        """The slips in milliseconds, for people."""
        slips = sorted(self.slips) or [0.0]
        at = {name: slips[min(len(slips) - 1, int(len(slips) * share))] for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}
        return {"ticks": self.ticks, "late": self.late, **{name: round(value * 1000, 2) for name, value in at.items()}}
