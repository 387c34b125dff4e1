"""When each tile will burn, as far as anybody on the field can know it: what a careful player has in mind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Optional

from .arena import Arena
from .blast import Bomb, burn_crates, chain
from .units import FLAME, seconds

if TYPE_CHECKING:
    from .world import World

FOREVER = 1 << 60
AHEAD = seconds(5)  #: how early the closing walls are feared


class Forecast:
    """The fires to come.

    Attributes:
        fires: cell -> [(first tick, tick after the last)], in order, in which standing there is death.
        made: the tick of the forecast.
    """

    def __init__(self, world: World, extra: Optional[Bomb] = None) -> None:
        self.made = world.tick
        self.fires: dict[int, list[tuple[int, int]]] = {}
        for cell, (until, _) in world.flames.items():
            self._add((cell,), world.tick + 1, until)
        self._bombs(world, extra)
        for index in range(world.closed, len(world.closing)):
            closes = world.closes_at(index)
            if closes > world.tick + AHEAD:
                break
            self._add((world.closing[index],), closes, FOREVER)

    def _bombs(self, world: World, extra: Optional[Bomb]) -> None:
        """Let the bombs explode one chain after the other, on a copy of the arena whose crates burn on the way."""
        bombs = dict(world.bombs)
        if extra is not None:
            bombs[extra.cell] = extra
        arena = Arena(world.arena.width, world.arena.height)
        arena.cells = bytearray(world.arena.cells)
        while bombs:
            tick = min(bomb.explodes for bomb in bombs.values())
            exploding, burnt = chain(arena, bombs, [bomb for bomb in bombs.values() if bomb.explodes == tick])
            for bomb in exploding:
                del bombs[bomb.cell]
            self._add(burnt, tick, tick + FLAME)
            burn_crates(arena, burnt)

    def _add(self, cells: Iterable[int], start: int, end: int) -> None:
        for cell in cells:
            self.fires.setdefault(cell, []).append((start, end))

    def safe(self, cell: int, start: int, end: int) -> bool:
        """Whether one can stand there in the ticks from `start` to `end`, both included."""
        fires = self.fires.get(cell)
        if fires is None:
            return True
        return all(end < first or start >= after for first, after in fires)

    def next_fire(self, cell: int, tick: int) -> int:
        """The first tick from `tick` on at which it burns there, or FOREVER."""
        return min((max(first, tick) for first, after in self.fires.get(cell, ()) if after > tick), default=FOREVER)
