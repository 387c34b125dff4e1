"""What was lost, also in channels that nobody is in any more."""

from __future__ import annotations

from .channel import Channel

#: Names that are remembered although nobody is in them; the oldest are forgotten first.
REMEMBERED = 1000

#: The keys of `uwsgi.channels()` besides "subscribers".
KEYS = ("published", "delivered", "dropped", "lost")


class Counters:
    """Totals of this worker, and the counters of channels that were forgotten and had losses.

    Attributes:
        dropped: deliveries that a full queue lost.
        lost: messages that did not reach some other worker or host.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self.lost = 0
        self._gone: dict[str, tuple[int, ...]] = {}

    def keep(self, channel: Channel) -> None:
        """A channel is forgotten."""
        if channel.dropped or channel.lost:
            self._keep(channel.name, tuple(getattr(channel, key) for key in KEYS))

    def restore(self, channel: Channel) -> None:
        """It is there again."""
        for key, number in zip(KEYS, self._gone.pop(channel.name, ())):
            setattr(channel, key, number)

    def lost_without_channel(self, name: str, number: int) -> None:
        """Messages were lost that went to a channel without members here."""
        published, delivered, dropped, lost = self._gone.pop(name, (0, 0, 0, 0))
        self._keep(name, (published, delivered, dropped, lost + number))

    def gone(self) -> dict[str, dict[str, int]]:
        """The channels without members, as `uwsgi.channels()` shows them."""
        return {name: {"subscribers": 0, **dict(zip(KEYS, numbers))} for name, numbers in self._gone.items()}

    def _keep(self, name: str, numbers: tuple[int, ...]) -> None:
        self._gone[name] = numbers
        if len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]
