"""Cores: how many requests are served at once, and which number each of them has."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import Any, Callable

from gevent import get_hub
from greenlet import getcurrent


class Cores:
    """Hands out the numbers 0 to count - 1, the smallest free one first; who finds none waits in line.

    Args:
        count: requests served at once.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._free: list[int] = []
        #: Numbers from here on have never been used, so that 20,000 cores cost nothing before they are.
        self._unused = 0
        self._waiting: deque[_Ticket] = deque()
        self._when_free: list[Callable[[], None]] = []

    @property
    def full(self) -> bool:
        """Whoever comes now has to wait."""
        return not self._free and self._unused >= self.count

    def when_free(self, function: Callable[[], None]) -> None:
        """Have it called once, when a core is given back for which nobody waits."""
        self._when_free.append(function)

    @property
    def waiting(self) -> int:
        """Requests in line."""
        return len(self._waiting)

    def acquire(self) -> int:
        """A free core; waits in line for one."""
        if self._free:
            return heappop(self._free)
        if self._unused < self.count:
            self._unused += 1
            return self._unused - 1
        ticket = _Ticket()
        self._waiting.append(ticket)
        try:
            while ticket.core < 0:
                get_hub().switch()
        except BaseException:
            if ticket.core >= 0:
                self.release(ticket.core)  # it came together with what ended the wait
            else:
                self._waiting.remove(ticket)
            raise
        return ticket.core

    def release(self, core: int) -> None:
        """Give a core back: to the first in line, if there is a line."""
        if self._waiting:
            ticket = self._waiting.popleft()
            ticket.core = core
            get_hub().loop.run_callback(ticket.greenlet.switch)
        else:
            heappush(self._free, core)
            if self._when_free:
                functions, self._when_free = self._when_free, []
                for function in functions:
                    function()


class _Ticket:
    """A place in the line."""

    __slots__ = ("core", "greenlet")

    def __init__(self) -> None:
        self.core = -1
        self.greenlet: Any = getcurrent()
