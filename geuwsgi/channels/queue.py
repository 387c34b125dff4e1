"""A member that reads with `channel_recv`: a bounded queue of messages."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Optional

from gevent.event import Event

from .settings import DROP_OLDEST, ChannelSettings


class Queue:
    """Takes messages without ever waiting, and gives them to whoever waits for them.

    Args:
        settings: how much may wait, and what happens beyond.

    Attributes:
        dropped: messages that did not fit.
        websocket: the membership ends with it; None for any other request.
        stays: the membership outlives the websocket of its request.
        closed: the membership is over; what came before can still be read.
    """

    __slots__ = ("_bytes", "_items", "_settings", "_some", "closed", "dropped", "stays", "websocket")

    def __init__(self, settings: ChannelSettings) -> None:
        self._settings = settings
        self._items: deque[bytes] = deque()
        self._bytes = 0
        self._some = Event()
        self.dropped = 0
        self.websocket: Any = None
        self.stays = False
        self.closed = False

    def put(self, payload: bytes) -> bool:
        """Take a message; False when it is lost. Older ones that were dropped for it are counted in `dropped` only."""
        settings = self._settings
        while self._items and (len(self._items) >= settings.queue or self._bytes + len(payload) > settings.queue_bytes):
            self.dropped += 1
            if settings.overflow != DROP_OLDEST:
                # CLOSE is for websockets: a greenlet that reads too slowly loses messages as with drop-newest.
                return False
            self._bytes -= len(self._items.popleft())
        self._items.append(payload)
        self._bytes += len(payload)
        self._some.set()
        return True

    def get(self, timeout: Optional[float]) -> Optional[bytes]:
        """The next message; None when none came within `timeout` seconds, or the membership is over.

        Zero lets the loop turn once, so that an application that polls does not stop everybody else.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._items:
            if self.closed:
                return None
            self._some.clear()
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._some.wait(left) and not self._items:
                return None
        payload = self._items.popleft()
        self._bytes -= len(payload)
        return payload

    def close(self) -> None:
        """The membership is over: whoever waits is woken."""
        self.closed = True
        self._some.set()
