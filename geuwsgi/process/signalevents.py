"""The master's clock for the signal framework: which timers, crons and paths of the table raise their signal now."""

from __future__ import annotations

import time

from ..shared.signaltable import CRON, FILE, Event, SignalTable
from .cron import is_due
from .touch import Signature, signature

#: Seconds between two looks at watched paths.
LOOK = 0.5


class SignalEvents:
    """Tells which events of a table are due.

    Args:
        table: where they stand.
        minute: minutes since 1970 whose crons have been looked at already; 0 for none.
    """

    def __init__(self, table: SignalTable, minute: int = 0) -> None:
        self._table = table
        self._version = -1
        table.minute = max(table.minute, minute)
        #: Timers: when the next time is, and how many are left (0: for ever).
        self._timers: dict[Event, tuple[float, int]] = {}
        self._crons: list[Event] = []
        self._paths: dict[Event, Signature] = {}
        self._next_look = 0.0

    def due(self, now: float) -> tuple[list[int], float]:
        """Signals to be raised, and when to ask again.

        Args:
            now: `time.monotonic()`.
        """
        self._take_new(now)
        raised = [*self._due_timers(now), *self._due_crons(), *self._changed_paths(now)]
        moments = [due for due, _ in self._timers.values()]
        if self._crons:
            moments.append(now + 60 - time.time() % 60)
        if self._paths:
            moments.append(self._next_look)
        return raised, min(moments, default=now + 3600)

    def _take_new(self, now: float) -> None:
        version = self._table.version
        if version == self._version:
            return
        self._version = version
        self._crons.clear()
        for event in self._table.events():
            if event.kind == CRON:
                self._crons.append(event)
            elif event.kind == FILE:
                if event not in self._paths:
                    self._paths[event] = signature(event.path)
            elif event not in self._timers:
                self._timers[event] = now + event.values[0], event.values[1]

    def _due_timers(self, now: float) -> list[int]:
        raised = []
        for event, (due, left) in tuple(self._timers.items()):
            if due > now:
                continue
            raised.append(event.signal)
            if left == 1:
                del self._timers[event]
                self._table.end(event)
                continue
            following = due + event.values[0]
            # Times that have passed, while the machine slept, are not made up for.
            self._timers[event] = (following if following > now else now + event.values[0]), max(0, left - 1)
        return raised

    def _due_crons(self) -> list[int]:
        now = time.time()
        minute = int(now // 60)
        if minute == self._table.minute:
            return []
        self._table.minute = minute  # without crons, too: the next image asks which minute was through
        return [event.signal for event in self._crons if is_due(event.values, time.localtime(now))]

    def _changed_paths(self, now: float) -> list[int]:
        if not self._paths or now < self._next_look:
            return []
        self._next_look = now + LOOK
        raised = []
        for event, before in self._paths.items():
            found = signature(event.path)
            if found != before:
                self._paths[event] = found
                raised.append(event.signal)
        return raised
