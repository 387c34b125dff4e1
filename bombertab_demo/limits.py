"""How much a page may send before it has to go."""

from __future__ import annotations

import time


class Allowance:
    """A token bucket: `burst` at once, then `rate` a second."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self._left, self._seen = burst, time.monotonic()

    def spend(self, amount: int = 1) -> bool:
        """Take some; False when there are not so many left."""
        now = time.monotonic()
        self._left = min(self.burst, self._left + (now - self._seen) * self.rate)
        self._seen = now
        if self._left < amount:
            return False
        self._left -= amount
        return True
