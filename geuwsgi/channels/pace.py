"""How much of each turn of the loop goes into messages, so that a publisher in a loop, or a room of thousands, stops nobody else.

Costs are counted in units of about the system call that a small frame takes. Publishers spend them and wait for the next turn when
none are left; messages for large rooms stand in line and are given out here, some of each room in every turn.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import Any, Callable

from gevent import get_hub
from greenlet import getcurrent

from .channel import Channel

#: Units in a turn, for publishers and again for large rooms: one to two milliseconds each.
BATCH = 256

#: Messages that may stand in line in one channel before its publishers wait.
LINE = 64


class Pace:
    """The turns of one worker's loop.

    Args:
        serve: sends a part of what stands in line in a channel, at most so many units, and returns how many it took.
    """

    def __init__(self, serve: Callable[[Channel, int], int]) -> None:
        self._serve = serve
        self._hub: Any = get_hub()
        self._closed = False
        self._left = BATCH
        self._publishers: deque[Any] = deque()
        #: Channels with messages in line; the first is served next.
        self._rooms: deque[Channel] = deque()
        #: Runs in the next turn of the loop, after all sockets have been looked at; sleep(0) would come back before that.
        self._timer: Any = self._hub.loop.timer(0.0)

    def close(self) -> None:
        """No turns any more."""
        self._closed = True
        self._timer.stop()
        self._timer.close()

    def spend(self, units: int) -> None:
        """Something was sent."""
        self._left -= units

    def admit(self, channel: Channel) -> bool:
        """Wait until it is this publisher's turn; not in the hub, which cannot wait. True when there was no need to."""
        full = channel.in_line >= LINE
        if (self._left > 0 and not full) or getcurrent() is self._hub or self._closed:
            return True
        if full:
            if channel.blocked is None:
                channel.blocked = deque()
            self._wait(channel.blocked)
        else:
            self._wait(self._publishers)
        return False

    def line_up(self, channel: Channel) -> None:
        """A channel has got messages in line."""
        self._rooms.append(channel)
        self._start()

    def _wait(self, line: deque[Any]) -> None:
        me = getcurrent()
        line.append(me)
        self._start()
        try:
            self._hub.switch()
        finally:
            if me in line:  # a time-out or a kill
                line.remove(me)

    def _start(self) -> None:
        if not self._closed and not self._timer.active:
            self._timer.start(self._turn)

    def _turn(self) -> None:
        """Runs in the hub, once in a turn of the loop while there is something to do."""
        try:
            units = BATCH
            for _ in range(len(self._rooms)):
                channel = self._rooms.popleft()
                try:
                    units -= self._serve(channel, units)
                finally:
                    if channel.line is not None:
                        self._rooms.append(channel)
                while channel.blocked and channel.in_line < LINE:
                    self._wake(channel.blocked)
                if units <= 0:
                    break
            self._left = BATCH
            while self._publishers and self._left > 0:
                self._wake(self._publishers)
        finally:
            if self._rooms or self._publishers:
                self._start()

    def _wake(self, line: deque[Any]) -> None:
        greenlet = line.popleft()
        try:
            greenlet.switch()
        except BaseException:
            self._hub.handle_error(greenlet, *sys.exc_info())
