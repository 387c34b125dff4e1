"""Explosions: how far a blast reaches, and which bombs it sets off."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from .arena import CRATE, FLOOR, WALL, Arena


@dataclass
class Bomb:
    """A bomb that lies.

    Attributes:
        cell: where.
        owner: the slot of the player who placed it.
        reach: tiles its blast goes in each direction.
        explodes: the tick.
    """

    cell: int
    owner: int
    reach: int
    explodes: int


def reach(arena: Arena, cell: int, tiles: int, stops: Container[int] = ()) -> list[int]:
    """The cells that a bomb burns, its own first.

    A wall stops the blast before it; a crate, and any cell of `stops` (other bombs), is burnt and stops it.
    """
    burnt = [cell]
    cells = arena.cells
    for step in (-arena.width, 1, arena.width, -1):
        here = cell
        for _ in range(tiles):
            here += step
            if cells[here] == WALL:
                break
            burnt.append(here)
            if cells[here] == CRATE or here in stops:
                break
    return burnt


def chain(arena: Arena, bombs: Mapping[int, Bomb], first: Iterable[Bomb]) -> tuple[list[Bomb], dict[int, int]]:
    """All bombs that explode together with the `first`, in the order in which they are reached, and what they burn.

    Every blast is stopped by the crates as they stood before: two bombs burn one crate, not the one behind it too.

    Returns:
        the bombs, and cell -> slot of the owner whose blast got there first.
    """
    exploding = list(first)
    seen = {bomb.cell for bomb in exploding}
    burnt: dict[int, int] = {}
    for bomb in exploding:  # grows while it is walked
        for cell in reach(arena, bomb.cell, bomb.reach, bombs):
            burnt.setdefault(cell, bomb.owner)
            if cell in bombs and cell not in seen:
                seen.add(cell)
                exploding.append(bombs[cell])
    return exploding, burnt


def burn_crates(arena: Arena, cells: Iterable[int]) -> list[int]:
    """Turn the crates among these cells into floor; which ones they were."""
    crates = [cell for cell in cells if arena.cells[cell] == CRATE]
    for cell in crates:
        arena.cells[cell] = FLOOR
    return crates
