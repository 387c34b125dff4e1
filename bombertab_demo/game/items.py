"""Power-ups: one more bomb, a longer blast, a quicker step."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from .player import Player

MORE_BOMBS, LONGER_BLAST, SPEED = range(3)
MAX_BOMBS, MAX_BLAST, MAX_SPEED = 8, 10, 5

SHARE = 0.36  #: of the crates that hide one
_WEIGHTS = (4, 4, 3)


def hide_item(rng: Random) -> Optional[int]:
    """What lies under one crate."""
    if rng.random() >= SHARE:
        return None
    return rng.choices((MORE_BOMBS, LONGER_BLAST, SPEED), _WEIGHTS)[0]


def take_item(player: Player, item: int) -> None:
    """Give a power-up to a player, up to the most that one can have."""
    if item == MORE_BOMBS:
        player.bombs = min(MAX_BOMBS, player.bombs + 1)
    elif item == LONGER_BLAST:
        player.blast = min(MAX_BLAST, player.blast + 1)
    else:
        player.speed = min(MAX_SPEED, player.speed + 1)
