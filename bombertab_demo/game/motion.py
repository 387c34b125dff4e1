"""Walking in corridors. rules.js has the same function, and a test compares the two step by step."""

from __future__ import annotations

from typing import Callable

from .units import HALF, UNIT, VECTORS


def walk(x: int, y: int, direction: int, length: int, free: Callable[[int, int], bool]) -> tuple[int, int]:
    """One step of a player.

    At most one coordinate is off the middle of its tile. Who turns slides to the middle of the lane first; who walks
    against a corner slides around it.

    Args:
        x, y: where the player stands, in units.
        direction: 0 stay, 1 up, 2 right, 3 down, 4 left.
        length: units of this step, fewer than half a tile.
        free: whether a tile (column, row) may be entered.

    Returns:
        the new x and y.
    """
    dx, dy = VECTORS[direction]
    if dx:
        return _along(x, y, dx, length, free)
    if dy:
        y, x = _along(y, x, dy, length, lambda row, column: free(column, row))
    return x, y


def _along(x: int, y: int, dx: int, length: int, free: Callable[[int, int], bool]) -> tuple[int, int]:
    """A step along the first axis, whichever that is."""
    column, row = x // UNIT, y // UNIT
    beside = y - row * UNIT - HALF
    if free(column + dx, row):
        slide = min(abs(beside), length)
        return x + dx * (length - slide), y - slide if beside > 0 else y + slide
    short = (column * UNIT + HALF - x) * dx
    if short > 0:
        return x + dx * min(length, short), y
    if beside:
        side = 1 if beside > 0 else -1
        if free(column, row + side) and free(column + dx, row + side):
            return x, y + side * min(length, UNIT - abs(beside))
    return x, y
