"""What carries messages to other workers and hosts."""

from __future__ import annotations

from typing import Callable, Protocol

#: Called with (name, opcode, payload) for each message that another worker, host or program has published.
Deliver = Callable[[str, int, bytes], None]


class Backend(Protocol):
    """Carries messages between hubs. Local delivery is the hub's own business and never waits for a backend.

    Attributes:
        lost: messages that did not reach the others because these, or the way to them, were not there.
    """

    lost: int

    def start(self) -> None:
        """Open what is needed. Called in each worker, once its loop runs."""

    def stop(self) -> None:
        """Close it."""

    def publish(self, name: str, opcode: int, payload: bytes) -> None:
        """Send a message to all others. Never waits."""

    def joined(self, name: str) -> None:
        """The first local member has come; returns when messages of others will reach it, or the way to them is down."""

    def left(self, name: str) -> None:
        """The last local member has gone."""

    def count(self, name: str) -> int:
        """Members on the others that are reachable. May wait for their answers, for at most half a second."""


class MemoryBackend:
    """No others: one worker on one host."""

    lost = 0

    def start(self) -> None:
        """See Backend."""

    def stop(self) -> None:
        """See Backend."""

    def publish(self, name: str, opcode: int, payload: bytes) -> None:
        """See Backend."""

    def joined(self, name: str) -> None:
        """See Backend."""

    def left(self, name: str) -> None:
        """See Backend."""

    def count(self, name: str) -> int:
        """See Backend."""
        return 0
