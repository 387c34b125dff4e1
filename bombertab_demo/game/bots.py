"""Bots: they see what a player sees, walk around fires to come, and are a little slow, so that one can win."""

from __future__ import annotations

from random import Random
from typing import Optional

from .arena import CRATE
from .blast import Bomb, reach
from .forecast import FOREVER, Forecast
from .paths import Walker, explore, flee, still_safe, way_to
from .player import BOMB, Player
from .units import DOWN, FUSE, LEFT, RIGHT, STAY, UP, centre, seconds
from .world import World

PEACEFUL = seconds(12)  #: ticks of a round in which they collect and hunt nobody: people need a moment to find themselves
RENEW = seconds(1)  #: ticks after which a forecast is made anew even if nothing has changed: the walls may close soon


class Bot:
    """One bot's mind.

    Attributes:
        path: the tiles it is on its way through.
    """

    def __init__(self, slot: int, rng: Random) -> None:
        self.slot = slot
        self.path: list[int] = []
        self._rng = rng
        self._daring = rng.uniform(0.35, 0.8)
        self._rests_until = rng.randrange(seconds(0.5))
        self._seen = -1
        self._waited = 0

    def command(self, world: World, forecast: Forecast) -> int:
        """What it does in this tick: a direction, and perhaps BOMB."""
        player = world.players[self.slot]
        cell = world.cell_of(player)
        walker = Walker(player)
        arrived = self._arrive(player, cell, walker)
        if self._seen != world.changes:
            self._seen = world.changes
            if self.path and not still_safe(world, forecast, walker, cell, self.path, world.tick):
                self.path = []
        bomb = 0
        if not self.path:
            in_danger = forecast.next_fire(cell, world.tick) != FOREVER
            if in_danger or world.tick >= self._rests_until:
                bomb = self._think(world, forecast, walker, player, cell)
        elif arrived and self._rng.random() < self._daring and self._victims(world, player, cell):
            bomb = self._bomb_here(world, walker, player, cell)
        if self.path and self._too_early(world, forecast, walker, player, cell):
            return STAY | bomb
        return self._towards(player, world) | bomb

    def _too_early(self, world: World, forecast: Forecast, walker: Walker, player: Player, cell: int) -> bool:
        """Whether the next tile still burns: a way is reckoned with a slow pace, so the bot may be ahead of it."""
        if self.path[0] == cell or _off_centre(player) >= player.stride:
            return False
        return not walker.step_safe(forecast, cell, self.path[0], world.tick) and forecast.safe(cell, world.tick, world.tick + 2)

    def _arrive(self, player: Player, cell: int, walker: Walker) -> bool:
        """Take the tile off the path that the bot has come to."""
        if not self.path or self.path[0] != cell:
            return False
        if len(self.path) > 1 and self.path[1] == cell:  # waiting here is the plan
            self._waited += 1
            if self._waited < walker.ticks:
                return False
        if _off_centre(player) >= player.stride:
            return False
        self._waited = 0
        self.path.pop(0)
        return True

    def _towards(self, player: Player, world: World) -> int:
        """The direction of the path's next tile."""
        if not self.path:
            return STAY
        column, row = world.arena.place(self.path[0])
        here_column, here_row = player.place
        if (column, row) == (here_column, here_row):
            dx, dy = centre(column) - player.x, centre(row) - player.y
            if abs(dx) + abs(dy) < player.stride:
                return STAY
        else:
            dx, dy = column - here_column, row - here_row
        if dx:
            return RIGHT if dx > 0 else LEFT
        return DOWN if dy > 0 else UP

    def _think(self, world: World, forecast: Forecast, walker: Walker, player: Player, cell: int) -> int:
        """Choose what to do next; BOMB if it is that."""
        if forecast.next_fire(cell, world.tick) != FOREVER:
            self.path, _ = flee(world, forecast, walker, cell, world.tick)
            return 0
        reached = explore(world, forecast, walker, cell, world.tick)
        goal = self._best_goal(world, forecast, walker, player, reached)
        if goal is None:
            self._rest(world, seconds(0.5))
            return 0
        if goal == cell:
            return self._bomb_here(world, walker, player, cell)
        self.path = way_to(reached, goal)
        self._rest(world, seconds(0.25))
        return 0

    def _rest(self, world: World, ticks: int) -> None:
        """Do nothing new for a moment, as people do."""
        self._rests_until = world.tick + self._rng.randrange(ticks)

    def _best_goal(
        self, world: World, forecast: Forecast, walker: Walker, player: Player, reached: dict[int, tuple[int, int]]
    ) -> Optional[int]:
        """The tile that is worth most for its distance; the one it stands on means a bomb here."""
        can_bomb = player.placed < player.bombs
        enemies = {world.cell_of(other) for other in world.living if other is not player and world.tick > PEACEFUL}
        best, most = None, 0.0
        for cell, (_, steps) in reached.items():
            if forecast.next_fire(cell, world.tick + steps * walker.ticks) != FOREVER:
                continue
            worth = 0.0
            if cell in world.items:
                worth = 9.0
            elif can_bomb or steps > 2:
                near_crate = any(world.arena.cells[beside] == CRATE for beside in world.arena.neighbours(cell))
                near_enemy = bool(enemies) and min(_distance(world, cell, enemy) for enemy in enemies) <= player.blast
                if near_crate or near_enemy:
                    burnt = reach(world.arena, cell, player.blast, world.bombs)
                    worth = 1.5 * sum(world.arena.cells[other] == CRATE for other in burnt)
                    worth += 6 * self._daring * len(enemies.intersection(burnt))
                if not steps and worth and (not can_bomb or not self._escape(world, walker, player, cell)):
                    worth = 0.0
            worth *= self._rng.uniform(0.7, 1.0)
            if worth / (steps + 3) > most:
                best, most = cell, worth / (steps + 3)
        if best is None and enemies:
            # Nothing at hand: closer to the nearest enemy, if only to look dangerous.
            best = min(
                (cell for cell, (_, steps) in reached.items() if steps and forecast.next_fire(cell, world.tick) == FOREVER),
                key=lambda cell: min(_distance(world, cell, enemy) for enemy in enemies) + self._rng.random() * 4,
                default=None,
            )
        return best

    def _victims(self, world: World, player: Player, cell: int) -> bool:
        """Whether a bomb here would reach somebody."""
        if world.tick <= PEACEFUL or player.placed >= player.bombs or cell in world.bombs:
            return False
        burnt = reach(world.arena, cell, player.blast, world.bombs)
        return any(world.cell_of(other) in burnt for other in world.living if other is not player)

    def _escape(self, world: World, walker: Walker, player: Player, cell: int) -> list[int]:
        """The way out after a bomb here; none when there is none."""
        if cell in world.bombs or cell in world.flames:
            return []
        ahead = Forecast(world, Bomb(cell, player.slot, player.blast, world.tick + 1 + FUSE))
        path, saves = flee(world, ahead, walker, cell, world.tick)
        return path if saves else []

    def _bomb_here(self, world: World, walker: Walker, player: Player, cell: int) -> int:
        path = self._escape(world, walker, player, cell)
        if not path:
            return 0
        self.path = path
        return BOMB


class Bots:
    """The bots of a match. They share one forecast, as they see the same field."""

    def __init__(self) -> None:
        self._bots: dict[int, Bot] = {}
        self._forecast: Optional[Forecast] = None
        self._made_at = -1

    def start(self, slots: list[int], rng: Random) -> None:
        """Begin a round with these slots played by bots."""
        self._bots = {slot: Bot(slot, Random(rng.random())) for slot in slots}
        self._forecast = None

    def add(self, slot: int, rng: Random) -> None:
        self._bots[slot] = Bot(slot, Random(rng.random()))

    def remove(self, slot: int) -> None:
        self._bots.pop(slot, None)

    def play(self, world: World) -> None:
        """Give each living bot's command of this tick."""
        if self._forecast is None or self._made_at != world.changes or world.tick - self._forecast.made >= RENEW:
            self._forecast, self._made_at = Forecast(world), world.changes
        for slot, bot in self._bots.items():
            player = world.players.get(slot)
            if player is not None and player.alive:
                command = bot.command(world, self._forecast)
                player.order((player.acknowledged + 1) & 0xFFFF, command)


def _off_centre(player: Player) -> int:
    column, row = player.place
    return abs(player.x - centre(column)) + abs(player.y - centre(row))


def _distance(world: World, one: int, other: int) -> int:
    (x, y), (other_x, other_y) = world.arena.place(one), world.arena.place(other)
    return abs(x - other_x) + abs(y - other_y)
