"""What the channels need to know, as a frozen object. `process/` fills it in from the configuration."""

from __future__ import annotations

from dataclasses import dataclass

DROP_NEWEST = "drop-newest"
DROP_OLDEST = "drop-oldest"
CLOSE = "close"


@dataclass(frozen=True)
class ChannelSettings:
    """Limits and habits of named channels.

    Attributes:
        declared: names that exist from the start (`--channel`).
        strict: only declared names exist (`--channel-strict`).

        queue: messages that may wait for one subscriber (`--channel-queue`).
        queue_bytes: the same in bytes (`--channel-queue-bytes`).
        overflow: what happens beyond: DROP_NEWEST, DROP_OLDEST or CLOSE (`--channel-overflow`).
        max_size: largest message in bytes (`--channel-max-size`, there in KB).
        history: the last messages of a channel that whoever joins is sent (`--channel-history`).
    """

    declared: tuple[str, ...] = ()
    strict: bool = False
    queue: int = 1000
    queue_bytes: int = 4 * 1024 * 1024
    overflow: str = DROP_NEWEST
    max_size: int = 1024 * 1024
    history: int = 0
