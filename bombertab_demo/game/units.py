"""Measures of the game: tiles, ticks, directions. The page's rules.js holds the same numbers."""

from __future__ import annotations

TICKS_PER_SECOND = 30  #: the server's fixed step
UNIT = 240  #: length units along one side of a tile; positions are integers, so that the page computes the very same ones
HALF = UNIT // 2

STAY, UP, RIGHT, DOWN, LEFT = range(5)
#: direction -> (dx, dy) in tiles
VECTORS = ((0, 0), (0, -1), (1, 0), (0, 1), (-1, 0))

FUSE = 75  #: ticks from a bomb's placing to its explosion
FLAME = 15  #: ticks that a blast burns


def seconds(value: float) -> int:
    """So many seconds in ticks."""
    return round(value * TICKS_PER_SECOND)


def centre(tile: int) -> int:
    """The coordinate of a column's or row's middle."""
    return tile * UNIT + HALF
