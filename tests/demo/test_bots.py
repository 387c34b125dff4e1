"""Bots: careful with every fire that they can know of, and good enough to play against."""

from __future__ import annotations

from random import Random

import pytest

from bombertab_demo.game import match as match_module
from bombertab_demo.game.bots import Bots
from bombertab_demo.game.forecast import FOREVER, Forecast
from bombertab_demo.game.match import OVER, Match
from bombertab_demo.game.world import World
from tests.demo.fields import FAR, cell, field, lay, places


def test_the_forecast_knows_chains_and_burnt_crates() -> None:
    world = field("############\n#..+.......#\n############")
    lay(world, 1, 1, reach=3, fuse=10)
    lay(world, 2, 1, reach=5, fuse=40)  # set off by the first
    lay(world, 8, 1, reach=8, fuse=60)
    ahead = Forecast(world)
    assert ahead.next_fire(cell(world, 3, 1), 1) == 10
    assert ahead.fires[cell(world, 2, 1)] == [(10, 25), (60, 75)]  # the crate is gone by then
    assert ahead.next_fire(cell(world, 5, 1), 1) == 60
    assert ahead.next_fire(cell(world, 5, 1), 75) == FOREVER
    assert ahead.safe(cell(world, 5, 1), 1, 59)
    assert not ahead.safe(cell(world, 5, 1), 50, 60)


def test_a_bot_alone_never_kills_itself() -> None:
    for seed in range(25):
        world = World(Random(seed), [0, 1], hurry=FAR)
        bots = Bots()
        bots.start([0], Random(seed))
        crates = world.arena.cells.count(2)
        for _ in range(2500):
            bots.play(world)
            world.step()
            assert world.players[0].alive, f"seed {seed}, tick {world.tick}"
            if not world.players[1].alive:
                break
        assert world.arena.cells.count(2) < crates


def test_bots_never_walk_into_fire_they_could_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match_module, "BORED", FAR)
    for seed in range(12):
        match = Match(seed, fill=4 + seed % 5)
        match.watched = True
        while match.phase != OVER:
            world = match.world
            before = {player.slot: world.cell_of(player) for player in world.living}
            burning = set(world.flames)
            match.step()
            if match.world is not world:
                continue
            for slot, was in before.items():
                now = world.cell_of(world.players[slot])
                assert now == was or now not in burning or now not in world.flames, f"seed {seed}, tick {world.tick}, slot {slot}"


def test_a_bot_leaves_a_tile_that_will_burn() -> None:
    world = field("#######\n#..0..#\n#.#.#.#\n#.....#\n#######")
    lay(world, 1, 1, reach=9, fuse=40, owner=1)
    bots = Bots()
    bots.start([0], Random(1))
    for _ in range(40):
        bots.play(world)
        world.step()
    assert world.players[0].alive
    assert world.flames


def test_a_bot_that_cannot_escape_places_no_bomb() -> None:
    world = field("#####\n#0+.#\n#+###\n#..1#\n#####")
    bots = Bots()
    bots.start([0], Random(3))
    for _ in range(300):
        bots.play(world)
        world.step()
    assert not world.bombs
    assert world.players[0].alive


def test_a_bot_collects_what_lies_around() -> None:
    world = field("#######\n#0....#\n#.#.#.#\n#....1#\n#######")
    world.items[cell(world, 5, 1)] = 0
    bots = Bots()
    bots.start([0], Random(3))
    for _ in range(60):
        bots.play(world)
        world.step()
        if not world.items:
            break
    assert world.players[0].bombs == 2
    assert places(world, world.items) == set()
