"""Small worlds drawn with signs, for the tests of the rules."""

from __future__ import annotations

from random import Random
from typing import Optional

from bombertab_demo.game.arena import CRATE, WALL, Arena
from bombertab_demo.game.blast import Bomb
from bombertab_demo.game.player import Player
from bombertab_demo.game.world import Event, World

FAR = 10**9  #: a tick that never comes


def field(picture: str, hurry: int = FAR) -> World:
    """A world from lines of '#' (wall), '+' (crate), '.' and digits: the player of that slot stands there."""
    world = World(Random(1), [], Arena.parse(picture), hurry)
    lines = [line for line in picture.split("\n") if line.strip()]
    for row, line in enumerate(lines):
        for column, sign in enumerate(line):
            if sign.isdigit():
                world.players[int(sign)] = Player.at(int(sign), column, row)
    return world


def cell(world: World, column: int, row: int) -> int:
    return world.arena.cell(column, row)


def lay(world: World, column: int, row: int, reach: int = 2, fuse: int = 1, owner: int = 0) -> Bomb:
    """Put a bomb there which explodes after so many ticks."""
    bomb = Bomb(cell(world, column, row), owner, reach, world.tick + fuse)
    world.bombs[bomb.cell] = bomb
    if owner in world.players:
        world.players[owner].placed += 1
    return bomb


def places(world: World, cells: object) -> set[tuple[int, int]]:
    return {world.arena.place(one) for one in cells}  # type: ignore[attr-defined]


def run(world: World, ticks: int) -> list[Event]:
    """All events of so many ticks."""
    return [event for _ in range(ticks) for event in world.step()]


def named(events: list[Event], name: str) -> list[Event]:
    return [event for event in events if event[0] == name]


def order(world: World, slot: int, *commands: int) -> None:
    """Give a player these commands, and all the credit that they cost."""
    player = world.players[slot]
    player.credit = 100
    last = player.waiting[-1][0] if player.waiting else player.acknowledged
    for number, command in enumerate(commands, last + 1):
        assert player.order(number & 0xFFFF, command)


def picture(world: World, burning: Optional[object] = None) -> str:
    """The arena with '*' where it burns."""
    lines = []
    for row in range(world.arena.height):
        signs = ""
        for column in range(world.arena.width):
            here = cell(world, column, row)
            sign = {WALL: "#", CRATE: "+"}.get(world.arena.cells[here], ".")
            signs += "*" if here in (world.flames if burning is None else burning) else sign  # type: ignore[operator]
        lines.append(signs)
    return "\n".join(lines)
