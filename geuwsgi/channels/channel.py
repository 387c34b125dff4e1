"""One named channel: who is in it, what waits to be sent, what has been counted."""

from __future__ import annotations

from collections import deque
from typing import Any, Optional, Union

from .queue import Queue


class Message:
    """One message.

    Attributes:
        opcode: TEXT or BINARY of RFC 6455.
        payload: the message itself.
        identity: tells it from all others, on whichever host they were published; b"" when another program published it.
        exclude: websocket writers and queues that are left out.
        number: counts the messages of its channel in this worker.
        frames: the encoded frame by kind of connection, made when first needed (see `server.writer.spread`).
    """

    __slots__ = ("exclude", "frames", "identity", "number", "opcode", "payload")

    def __init__(self, opcode: int, payload: bytes, identity: bytes = b"", exclude: tuple[Any, ...] = ()) -> None:
        self.opcode = opcode
        self.payload = payload
        self.identity = identity
        self.exclude = exclude
        self.number = 0
        self.frames: dict[int, Union[bytes, bytearray]] = {}


class Round:
    """Messages on their way to the same websockets, some of these at a time.

    The websockets are gone through in a circle. A message joins at the place that has been reached, and is done when the
    circle has come there again; so each websocket gets each message once, in the order in which they were published, and all
    that are in the circle at that moment in one system call.

    Attributes:
        writers: those who had joined when the messages were published.
        version: of the membership at that time.
        served: how many have had their turn.
        messages: (message, `served` when it is done), oldest first.
    """

    __slots__ = ("messages", "served", "version", "writers")

    def __init__(self, writers: tuple[Any, ...], version: int) -> None:
        self.writers = writers
        self.version = version
        self.served = 0
        self.messages: deque[tuple[Message, int]] = deque()

    def add(self, message: Message) -> None:
        """A message joins."""
        self.messages.append((message, self.served + len(self.writers)))

    def advance(self, most: int) -> tuple[int, int]:
        """The next websockets, at most so many: the first of them, and the first that is not. Their turn is over with that."""
        size = len(self.writers)
        start = self.served % size
        stop = min(size, start + most, start + self.messages[0][1] - self.served)
        self.served += stop - start
        return start, stop

    def finish(self) -> int:
        """Forget the messages that are done; how many they were."""
        done = 0
        while self.messages and self.messages[0][1] <= self.served:
            self.messages.popleft()
            done += 1
        return done


class Channel:
    """The members of a name in this worker.

    Attributes:
        name: as the application spells it.
        declared: exists whether or not anybody is in it.
        version: changes with every join and leave.
        number: of the last message.
        published: messages published by this worker.
        delivered: deliveries to members of this worker.
        dropped: deliveries that a full queue lost.
        lost: messages of this worker that did not reach some other worker or host.
        line: what has not been given to all websockets, oldest first; None without.
        in_line: how many messages that is.
        blocked: publishers that wait because too many messages do.
        history: the last messages, for whoever joins; None without history.
        known: `history` is complete; otherwise the backend is to be asked.
        recalled: identities of messages that came into `history` because the backend was asked, and may still come by themselves.
        held: members to be, who wait for the backend; the channel may not be forgotten.
    """

    __slots__ = (
        "_queues",
        "_websockets",
        "_writers",
        "blocked",
        "declared",
        "delivered",
        "dropped",
        "held",
        "history",
        "in_line",
        "known",
        "line",
        "lost",
        "name",
        "number",
        "published",
        "recalled",
        "version",
    )

    def __init__(self, name: str, history: int, declared: bool = False) -> None:
        self.name = name
        self.declared = declared
        #: Member (a websocket's writer) -> the number of the last message before it joined. A dict keeps the order of joining.
        self._websockets: dict[Any, int] = {}
        self._queues: dict[Queue, int] = {}
        self._writers: Optional[tuple[Any, ...]] = ()
        self.version = 0
        self.number = 0
        self.published = 0
        self.delivered = 0
        self.dropped = 0
        self.lost = 0
        self.line: Optional[deque[Round]] = None
        self.in_line = 0
        self.blocked: Optional[deque[Any]] = None
        self.history: Optional[deque[Message]] = deque(maxlen=history) if history else None
        self.known = False
        self.recalled: set[bytes] = set()
        self.held = 0

    def __len__(self) -> int:
        return len(self._websockets) + len(self._queues)

    def __contains__(self, member: Any) -> bool:
        return member in self._queues if isinstance(member, Queue) else member in self._websockets

    def add(self, member: Any) -> None:
        """Join: from the next message on."""
        if isinstance(member, Queue):
            self._queues[member] = self.number
        else:
            self._websockets[member] = self.number
            self._writers = None
            self.version += 1

    def remove(self, member: Any) -> None:
        """Leave."""
        if isinstance(member, Queue):
            del self._queues[member]
        else:
            del self._websockets[member]
            self._writers = None
            self.version += 1

    def writers(self) -> tuple[Any, ...]:
        """The websockets in it, oldest first; made anew only after a join or leave."""
        if self._writers is None:
            self._writers = tuple(self._websockets)
        return self._writers

    def queues(self) -> tuple[Queue, ...]:
        """The readers of `channel_recv` in it, oldest first."""
        return tuple(self._queues) if self._queues else ()

    def line_up(self, message: Message, writers: tuple[Any, ...]) -> None:
        """A message for these websockets waits for its turn."""
        if self.line is None:
            self.line = deque()
        if not self.line or self.line[-1].writers is not writers:
            self.line.append(Round(writers, self.version))
        self.line[-1].add(message)
        self.in_line += 1

    def still(self, turn: Round, start: int, stop: int) -> tuple[Any, ...]:
        """Those among `turn.writers[start:stop]` who have not left since its messages were published, or left and joined again."""
        number = turn.messages[0][0].number
        joined = self._websockets
        return tuple(writer for writer in turn.writers[start:stop] if joined.get(writer, number) < number)

    @property
    def idle(self) -> bool:
        """Nothing but its history is lost when it is forgotten."""
        return not (self._websockets or self._queues or self.declared or self.line or self.held or self.blocked)
