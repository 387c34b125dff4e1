"""A worker's part of the signal framework: it takes signals from its queues for as long as it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gevent.hub import get_hub

from ..api import signal
from ..shared.signalpipes import receive
from . import control

if TYPE_CHECKING:
    from .worker import Worker


class SignalInbox:
    """The ends of a worker.

    Args:
        worker: whose.
    """

    def __init__(self, worker: Worker) -> None:
        link = worker.instance.signals
        assert link is not None
        link.wake = lambda: control.tell(worker.line, control.LOOK_AT_SIGNALS)
        self._watchers: list[Any] = []
        for fd in link.pipes.become_worker(worker.id):
            watcher = get_hub().loop.io(fd, 1)
            self._watchers.append((watcher, fd))

    def start(self) -> None:
        """Take what comes, and what has come for this number meanwhile."""
        for watcher, fd in self._watchers:
            watcher.start(self._hear, fd)

    def stop(self) -> None:
        """Leave what comes now to others: the other workers, and the next one of this number."""
        for watcher, _ in self._watchers:
            watcher.stop()

    def finish(self, seconds: float) -> None:
        """Wait that long at most for handlers that still run."""
        signal.wait_for_handlers(seconds)

    def _hear(self, fd: int) -> None:
        # One at a time, so that other workers have a part of many.
        for number in receive(fd):
            signal.handle(number)
