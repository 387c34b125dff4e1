"""What carries messages to other workers and hosts."""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Optional, Protocol

from .channel import Message

#: Bytes of a message's identity: what all of a worker have in common, and a number.
IDENTITY_SIZE = 16
ORIGIN_SIZE = 8


class Ways(NamedTuple):
    """What a backend has of its hub.

    Attributes:
        origin: the first half of the identities of this worker's messages.
        deliver: takes (name, message) for each message that another worker, host or program has published.
        local_count: members of a channel in this worker.
        lost: takes (name, number) for messages of this worker that did not reach some other.
        histories: the channels of this worker with what they have kept.
        recall: takes (name, messages) of what was published before this worker was there.
        max_size: the largest message in bytes.
        history: messages kept of each channel.
    """

    origin: bytes
    deliver: Callable[[str, Message], None]
    local_count: Callable[[str], int]
    lost: Callable[[str, int], None]
    histories: Callable[[], list[tuple[str, list[Message]]]]
    recall: Callable[[str, list[Message]], None]
    max_size: int
    history: int


class Backend(Protocol):
    """Carries messages between hubs. Local delivery is the hub's own business and never waits for a backend."""

    def start(self) -> None:
        """Open what is needed. Called in each worker, once its loop runs."""

    def stop(self) -> None:
        """Close it, when what was published is on its way or a moment has passed."""

    def publish(self, name: str, message: Message) -> None:
        """Send a message to all others. Never waits."""

    def joined(self, name: str) -> None:
        """There is a local member; returns when messages of others will reach it, or the way to them is down."""

    def left(self, name: str) -> None:
        """The last local member has gone."""

    def past(self, name: str) -> Optional[list[Message]]:
        """The last messages of a channel that had no local member until now; None where the hub knows them itself."""

    def count(self, name: str) -> int:
        """Members on the others that are reachable. May wait for their answers, for at most half a second."""


class MemoryBackend:
    """No others: one worker on one host."""

    def start(self) -> None:
        """See Backend."""

    def stop(self) -> None:
        """See Backend."""

    def publish(self, name: str, message: Message) -> None:
        """See Backend."""

    def joined(self, name: str) -> None:
        """See Backend."""

    def left(self, name: str) -> None:
        """See Backend."""

    def past(self, name: str) -> Optional[list[Message]]:
        """See Backend."""
        return None

    def count(self, name: str) -> int:
        """See Backend."""
        return 0


#: Makes the backend of a hub.
MakeBackend = Callable[[Ways], Any]
