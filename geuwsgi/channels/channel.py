"""One named channel: who is in it, what waits to be sent, what has been counted."""

from __future__ import annotations

from collections import deque
from typing import Any, Optional

from gevent.event import Event

from .settings import CLOSE, DROP_OLDEST, ChannelSettings


class Message:
    """One message on its way to the members of this worker.

    Attributes:
        opcode: TEXT or BINARY of RFC 6455.
        payload: the message itself.
        exclude: members that are left out.
        frames: the encoded websocket frame by kind of connection, made when first needed (see `ChannelHub`).
    """

    __slots__ = ("exclude", "frames", "opcode", "payload")

    def __init__(self, opcode: int, payload: bytes, exclude: tuple[Any, ...] = ()) -> None:
        self.opcode = opcode
        self.payload = payload
        self.exclude = exclude
        self.frames: dict[Any, bytearray] = {}


class Queue:
    """A member that reads with `channel_recv`: a bounded queue of payloads.

    Attributes:
        dropped: messages that did not fit.
    """

    __slots__ = ("_bytes", "_items", "_settings", "_some", "closed", "dropped")

    def __init__(self, settings: ChannelSettings) -> None:
        self._settings = settings
        self._items: deque[bytes] = deque()
        self._bytes = 0
        self._some = Event()
        self.dropped = 0
        self.closed = False

    def put(self, payload: bytes) -> int:
        """Take a message without ever waiting; returns how many were dropped for it, 0 or more."""
        settings = self._settings
        dropped = 0
        while self._items and (len(self._items) >= settings.queue or self._bytes + len(payload) > settings.queue_bytes):
            if settings.overflow != DROP_OLDEST:
                # CLOSE is for websockets: a greenlet that reads too slowly loses messages as with drop-newest.
                self.dropped += 1
                return 1
            self._bytes -= len(self._items.popleft())
            dropped += 1
        self._items.append(payload)
        self._bytes += len(payload)
        self._some.set()
        self.dropped += dropped
        return dropped

    def get(self, timeout: Optional[float]) -> Optional[bytes]:
        """The next message; None when none came within `timeout` seconds, or the membership ended."""
        while not self._items:
            if self.closed:
                return None
            self._some.clear()
            if not self._some.wait(timeout):
                if self._items:
                    break
                return None
        payload = self._items.popleft()
        self._bytes -= len(payload)
        return payload

    def close(self) -> None:
        """The membership is over: whoever waits is woken."""
        self.closed = True
        self._some.set()


class Channel:
    """The members of a name in this worker.

    Attributes:
        name: as the application spells it.
        declared: exists whether or not anybody is in it.
        published: messages published by this worker.
        delivered: deliveries to members of this worker.
        dropped: deliveries that a full queue lost.
        lost: messages that did not go to other workers or hosts, because these could not be reached.
        waiting: messages not yet given to all members, oldest first.
        draining: a greenlet is giving them out.
        history: the last messages, for whoever joins; None without history.
    """

    __slots__ = ("_members", "_snapshot", "declared", "delivered", "draining", "dropped", "history", "lost", "name", "published", "waiting")

    def __init__(self, name: str, history: int, declared: bool = False) -> None:
        self.name = name
        self.declared = declared
        #: member -> None: a dict keeps the order of joining, so that delivery is fair in the same way every time.
        self._members: dict[Any, None] = {}
        self._snapshot: Optional[tuple[Any, ...]] = ()
        self.published = 0
        self.delivered = 0
        self.dropped = 0
        self.lost = 0
        self.waiting: deque[Message] = deque()
        self.draining = False
        self.history: Optional[deque[Message]] = deque(maxlen=history) if history else None

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, member: Any) -> bool:
        return member in self._members

    def add(self, member: Any) -> bool:
        """Join; False when it was in already."""
        if member in self._members:
            return False
        self._members[member] = None
        self._snapshot = None
        return True

    def remove(self, member: Any) -> bool:
        """Leave; False when it was not in."""
        if member not in self._members:
            return False
        del self._members[member]
        self._snapshot = None
        return True

    def members(self) -> tuple[Any, ...]:
        """Who is in it, oldest first; made anew only after a join or leave."""
        if self._snapshot is None:
            self._snapshot = tuple(self._members)
        return self._snapshot

    @property
    def idle(self) -> bool:
        """Nothing is lost when it is forgotten."""
        return not (self._members or self.declared or self.waiting or self.draining or self.history)


__all__ = ["CLOSE", "Channel", "Message", "Queue"]
