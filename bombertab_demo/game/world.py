"""One round on the field: what a tick does. Given the same seed and commands it always ends the same."""

from __future__ import annotations

from random import Random
from typing import Any, Optional

from .arena import FLOOR, SPAWNS, WALL, Arena
from .blast import Bomb, burn_crates, chain
from .items import take_item
from .motion import walk
from .player import BOMB, Player
from .units import FLAME, FUSE, seconds

HURRY = seconds(100)  #: ticks after which the walls begin to close
CLOSING = 8  #: ticks between two tiles that close
NOBODY = -1

#: What happened: a name and its values, as the page gets it.
#:   ("bomb", cell, slot, ticks, reach)    ("boom", [cells of bombs], [cells that burn], [cells of crates])
#:   ("item", cell, kind)  ("burnt", cell)  ("take", cell, slot, kind)  ("die", slot, slot of the killer or -1)
#:   ("hurry",)  ("wall", cell)
Event = tuple[Any, ...]


class World:
    """A round.

    Attributes:
        tick: ticks done.
        players: slot -> player, the dead too.
        bombs: cell -> bomb.
        flames: cell -> (tick at which it is out, slot of whoever lit it).
        items: cell -> item that lies there.
        peace: the round is won; fire harms nobody any more.
        changes: counts whatever changes where one can walk or burn; bots think again when it does.
    """

    def __init__(self, rng: Random, slots: list[int], arena: Optional[Arena] = None, hurry: int = HURRY) -> None:
        self.rng = rng
        self.arena = arena if arena is not None else Arena.generate(rng)
        self.tick = 0
        self.players: dict[int, Player] = {}
        for slot, (column, row) in zip(slots, SPAWNS):
            self.players[slot] = Player.at(slot, column, row)
        self.bombs: dict[int, Bomb] = {}
        self.flames: dict[int, tuple[int, int]] = {}
        self.items: dict[int, int] = {}
        self.peace = False
        self.changes = 0
        self.hurry = hurry
        self.closing = self.arena.spiral()
        self.closed = 0
        self._events: list[Event] = []

    # -- questions

    def free(self, column: int, row: int) -> bool:
        """Whether a player may enter a tile. One stands on one's own bomb until one has left it."""
        cell = row * self.arena.width + column
        return self.arena.cells[cell] == FLOOR and cell not in self.bombs

    def cell_of(self, player: Player) -> int:
        column, row = player.place
        return row * self.arena.width + column

    @property
    def living(self) -> list[Player]:
        return [player for player in self.players.values() if player.alive]

    def closes_at(self, index: int) -> int:
        """The tick at which the cell of that index in `closing` becomes a wall."""
        return self.hurry + index * CLOSING

    # -- a tick

    def step(self) -> list[Event]:
        """Do one tick with the commands that wait; what happened, in that order."""
        self.tick += 1
        self._events = []
        for player in self.players.values():
            for number, command in player.due():
                if player.alive:
                    self.carry_out(player, command)
                player.acknowledged = number
        self._put_out()
        self._explode([bomb for bomb in self.bombs.values() if bomb.explodes <= self.tick])
        self._close()
        self._burn_players()
        self._pick_up()
        return self._events

    def carry_out(self, player: Player, command: int) -> None:
        """One command: the bomb first, where the player stands, then the step."""
        if command & BOMB:
            self.place_bomb(player)
        direction = command & ~BOMB
        if direction:
            player.facing = direction
            player.x, player.y = walk(player.x, player.y, direction, player.stride, self.free)

    def place_bomb(self, player: Player) -> bool:
        """Place a bomb if there is one left and none lies there."""
        cell = self.cell_of(player)
        if player.placed >= player.bombs or cell in self.bombs or cell in self.flames:
            return False
        player.placed += 1
        bomb = self.bombs[cell] = Bomb(cell, player.slot, player.blast, self.tick + FUSE)
        self.changes += 1
        self._events.append(("bomb", cell, player.slot, FUSE, bomb.reach))
        return True

    def kill(self, player: Player, killer: int = NOBODY) -> None:
        """The end of a player in this round."""
        if player.alive:
            player.alive = False
            player.died = self.tick
            self._events.append(("die", player.slot, killer))

    def start_hurry(self) -> None:
        """Let the walls begin to close now, unless they have."""
        self.hurry = min(self.hurry, self.tick + 1)

    def _put_out(self) -> None:
        for cell in [cell for cell, (until, _) in self.flames.items() if until <= self.tick]:
            del self.flames[cell]
            self.changes += 1

    def _explode(self, due: list[Bomb]) -> None:
        if not due:
            return
        exploding, burnt = chain(self.arena, self.bombs, due)
        for bomb in exploding:
            del self.bombs[bomb.cell]
            owner = self.players.get(bomb.owner)
            if owner is not None:
                owner.placed -= 1
        for cell, slot in burnt.items():
            self.flames[cell] = (self.tick + FLAME, slot)
            if self.items.pop(cell, None) is not None:
                self._events.append(("burnt", cell))
        crates = burn_crates(self.arena, burnt)
        self.changes += 1
        self._events.append(("boom", [bomb.cell for bomb in exploding], list(burnt), crates))
        for cell in crates:
            item = self.arena.hidden.pop(cell, None)
            if item is not None:
                self.items[cell] = item
                self._events.append(("item", cell, item))

    def _close(self) -> None:
        """Let the walls come in when the round has lasted too long."""
        if self.tick == self.hurry:
            self._events.append(("hurry",))
        while self.closed < len(self.closing) and self.tick >= self.closes_at(self.closed):
            cell = self.closing[self.closed]
            self.closed += 1
            self.changes += 1
            if self.arena.cells[cell] == WALL:
                continue
            self.arena.cells[cell] = WALL
            self.arena.hidden.pop(cell, None)
            self.items.pop(cell, None)
            self.flames.pop(cell, None)
            bomb = self.bombs.pop(cell, None)
            if bomb is not None and bomb.owner in self.players:
                self.players[bomb.owner].placed -= 1
            self._events.append(("wall", cell))
            for player in self.living:
                if self.cell_of(player) == cell:
                    self.kill(player)

    def _burn_players(self) -> None:
        if not self.flames or self.peace:
            return
        for player in self.living:
            flame = self.flames.get(self.cell_of(player))
            if flame is not None:
                self.kill(player, flame[1])

    def _pick_up(self) -> None:
        if not self.items:
            return
        for player in self.living:
            cell = self.cell_of(player)
            item = self.items.pop(cell, None)
            if item is not None:
                take_item(player, item)
                self._events.append(("take", cell, player.slot, item))
