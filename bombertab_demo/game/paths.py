"""Ways through the arena that do not burn while one is on them."""

from __future__ import annotations

from collections import deque

from .arena import FLOOR
from .forecast import FOREVER, Forecast
from .player import Player
from .units import FLAME, FUSE, HALF, UNIT
from .world import World


class Walker:
    """A player's pace: how long it is in the tile it leaves, and when it is in the next one.

    Attributes:
        ticks: for one tile, one to spare for a corner.
        leaves: the last tick in which it may still be in the tile it leaves.
        enters: the first in which it may be in the next.
    """

    def __init__(self, player: Player) -> None:
        self.ticks = -(-UNIT // player.stride) + 1
        self.leaves = -(-HALF // player.stride) + 3
        self.enters = max(1, HALF // player.stride - 1)

    def step_safe(self, forecast: Forecast, here: int, there: int, tick: int) -> bool:
        """Whether it may set out at `tick` from one tile's middle to the next one's."""
        return forecast.safe(here, tick, tick + self.leaves) and forecast.safe(there, tick + self.enters, tick + self.ticks + 1)


def enterable(world: World, cell: int) -> bool:
    return world.arena.cells[cell] == FLOOR and cell not in world.bombs


def flee(world: World, forecast: Forecast, walker: Walker, start: int, tick: int) -> tuple[list[int], bool]:
    """The quickest way to a tile that will not burn, waiting on the way where that helps.

    Returns:
        the tiles, without the first (a tile that stands twice is waited on), and whether it saves. When nothing does:
        the way that lasts longest.
    """
    horizon = tick + FUSE + 2 * FLAME
    first = (start, tick)
    came_from: dict[tuple[int, int], tuple[int, int]] = {}
    seen = {first}
    queue = deque([first])
    best, lasts = first, -1
    while queue:
        state = queue.popleft()
        here, now = state
        fire = forecast.next_fire(here, now)
        if fire > lasts:
            best, lasts = state, fire
            if fire == FOREVER:
                break
        if now > horizon:
            continue
        arrives = now + walker.ticks
        for there in (*world.arena.neighbours(here), here):
            following = (there, arrives)
            if following in seen:
                continue
            if there == here:
                if not forecast.safe(here, now, arrives):
                    continue
            elif not enterable(world, there) or not walker.step_safe(forecast, here, there, now):
                continue
            seen.add(following)
            came_from[following] = state
            queue.append(following)
    return _trace(came_from, first, best), lasts == FOREVER


def explore(world: World, forecast: Forecast, walker: Walker, start: int, tick: int) -> dict[int, tuple[int, int]]:
    """All tiles that can be reached without being burnt: tile -> (tile before, steps). Nearest first."""
    reached = {start: (start, 0)}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        steps = reached[here][1]
        now = tick + steps * walker.ticks
        for there in world.arena.neighbours(here):
            if there not in reached and enterable(world, there) and walker.step_safe(forecast, here, there, now):
                reached[there] = (here, steps + 1)
                queue.append(there)
    return reached


def way_to(reached: dict[int, tuple[int, int]], goal: int) -> list[int]:
    """The tiles to a goal that `explore` has reached, without the first."""
    path = []
    while reached[goal][1]:
        path.append(goal)
        goal = reached[goal][0]
    return path[::-1]


def still_safe(world: World, forecast: Forecast, walker: Walker, start: int, path: list[int], tick: int) -> bool:
    """Whether a way chosen before is as good as it was."""
    here, now = start, tick
    for there in path:
        if there == here:
            safe = forecast.safe(here, now, now + walker.ticks)
        else:
            safe = enterable(world, there) and walker.step_safe(forecast, here, there, now)
        if not safe:
            return False
        here, now = there, now + walker.ticks
    return forecast.next_fire(here, now) == FOREVER


def _trace(came_from: dict[tuple[int, int], tuple[int, int]], first: tuple[int, int], last: tuple[int, int]) -> list[int]:
    path = []
    while last != first:
        path.append(last[0])
        last = came_from[last]
    return path[::-1]
