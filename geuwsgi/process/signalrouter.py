"""The master's part of the signal framework: it takes the signals that were raised, and gives each to whom the table says.

Source: uWSGI's documentation, "The uWSGI Signal Framework". uWSGI's messages are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..log import log
from ..shared import scoreboard
from ..shared.signalpipes import SignalPipes, receive
from ..shared.signaltable import ACTIVE, ANY, NOBODY, WORKER, WORKERS, SignalTable
from .signalevents import SignalEvents

if TYPE_CHECKING:
    from .crew import Crew


class SignalRouter:
    """Routes.

    Args:
        table: who gets what.
        pipes: the way to them.
        crew: the workers.
        rows: what they are doing, by number.
        minute: see SignalEvents.
    Attributes:
        routed: signals that were delivered.
        lost: those that could not be.
        fd: readable when signals have been raised.
        table: the one that is followed.
    """

    def __init__(self, table: SignalTable, pipes: SignalPipes, crew: Crew, rows: list[memoryview], minute: int = 0) -> None:
        self.routed = 0
        self.lost = 0
        self._pipes = pipes
        self._crew = crew
        self._rows = rows
        self.fd = pipes.ours
        self.use(table, minute)

    def use(self, table: SignalTable, minute: int = 0) -> None:
        """Follow a table from now on: after a reload that has failed that of the workers of before."""
        self.table = table
        self._events = SignalEvents(table, minute)

    def hear(self) -> None:
        """Signals have been raised."""
        for signal in receive(self.fd, 4096):
            self.route(signal)

    def tick(self, now: float) -> float:
        """Raise what is due; when to come again, in `time.monotonic()`."""
        due, moment = self._events.due(now)
        for signal in due:
            self.route(signal)
        return moment

    def route(self, signal: int) -> None:
        """Give a signal to those it is for."""
        target, owner = self.table.target(signal)
        if target in (ANY, NOBODY):
            # One that only a single worker can handle, or that one waits for, is not for any other.
            self._deliver(signal, owner or (self._waiting() if target == NOBODY else 0))
        elif target in (WORKERS, ACTIVE):
            for worker in self._crew.workers:
                if not worker.cheap and (target == WORKERS or worker.ready):
                    self._deliver(signal, worker.id)
        elif target - WORKER <= len(self._rows):
            self._deliver(signal, target - WORKER)
        else:
            self.lost += 1
            log(f"invalid signal target: worker{target - WORKER}: there are {len(self._rows)} workers; signal {signal} is lost")

    def _waiting(self) -> int:
        """A worker in which somebody sits in `uwsgi.signal_wait`; 0 if there is none."""
        return next((number for number, row in enumerate(self._rows, 1) if row[scoreboard.PID] and row[scoreboard.WAITING]), 0)

    def _deliver(self, signal: int, worker_id: int) -> None:
        if worker_id <= len(self._rows) and self._pipes.deliver(signal, worker_id):
            self.routed += 1
            return
        self.lost += 1
        log(f"could not deliver signal {signal} to {f'worker {worker_id}' if worker_id else 'workers pool'}")
