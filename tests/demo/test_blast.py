"""Explosions: shapes, crates, chains."""

from __future__ import annotations

from bombertab_demo.game.units import FLAME, FUSE
from tests.demo.fields import FAR, cell, field, lay, named, picture, places, run

OPEN = """
#######
#.....#
#.....#
#.....#
#.....#
#.....#
#######
"""


def test_a_blast_is_a_cross_of_its_reach() -> None:
    world = field(OPEN)
    lay(world, 3, 3, reach=1)
    run(world, 1)
    assert places(world, world.flames) == {(3, 3), (2, 3), (4, 3), (3, 2), (3, 4)}
    world = field(OPEN)
    lay(world, 3, 3, reach=9)
    run(world, 1)
    assert picture(world) == "#######\n#..*..#\n#..*..#\n#*****#\n#..*..#\n#..*..#\n#######"


def test_walls_stop_it_before_them() -> None:
    world = field("#######\n#..#..#\n#.#.#.#\n#.....#\n#######")
    lay(world, 3, 3, reach=5)
    run(world, 1)
    assert picture(world) == "#######\n#..#..#\n#.#*#.#\n#*****#\n#######"


def test_a_crate_burns_and_hides_what_is_behind() -> None:
    world = field("#########\n#...++..#\n#########")
    lay(world, 2, 1, reach=6)
    events = run(world, 1)
    assert places(world, world.flames) == {(1, 1), (2, 1), (3, 1), (4, 1)}
    assert picture(world, burning=()) == "#########\n#....+..#\n#########"
    assert named(events, "boom") == [("boom", [cell(world, 2, 1)], list(world.flames), [cell(world, 4, 1)])]


def test_two_blasts_at_once_burn_one_crate() -> None:
    world = field("#########\n#..+++..#\n#########")
    lay(world, 2, 1, reach=6)
    lay(world, 1, 1, reach=6)
    run(world, 1)
    assert picture(world, burning=()) == "#########\n#...++..#\n#########"


def test_fire_lasts_and_goes_out() -> None:
    world = field(OPEN)
    lay(world, 3, 3)
    run(world, 1)
    for _ in range(FLAME - 1):
        run(world, 1)
        assert world.flames
    run(world, 1)
    assert not world.flames


def test_a_bomb_sets_off_the_next_at_once() -> None:
    world = field("############\n#..........#\n############")
    lay(world, 1, 1, reach=3)
    lay(world, 4, 1, reach=3, fuse=FAR)
    lay(world, 7, 1, reach=2, fuse=FAR)
    lay(world, 10, 1, reach=2, fuse=FAR)
    (boom,) = named(run(world, 1), "boom")
    assert places(world, boom[1]) == {(1, 1), (4, 1), (7, 1)}
    assert places(world, world.flames) == {(x, 1) for x in range(1, 10)}
    assert places(world, world.bombs) == {(10, 1)}


def test_a_bomb_stops_the_blast_of_another_which_goes_on_with_its_own() -> None:
    world = field("############\n#..........#\n############")
    lay(world, 1, 1, reach=9)
    lay(world, 3, 1, reach=1, fuse=FAR)
    run(world, 1)
    assert places(world, world.flames) == {(x, 1) for x in range(1, 5)}


def test_the_owner_of_a_chain_is_who_laid_the_bomb_that_burns_there() -> None:
    world = field("############\n#..........#\n############")
    lay(world, 1, 1, reach=2, owner=0)
    lay(world, 3, 1, reach=2, owner=1, fuse=FAR)
    run(world, 1)
    assert world.flames[cell(world, 2, 1)][1] == 0
    assert world.flames[cell(world, 5, 1)][1] == 1


def test_items_burn_and_those_set_free_do_not() -> None:
    world = field("#########\n#....+..#\n#########")
    world.items[cell(world, 3, 1)] = 1
    world.arena.hidden[cell(world, 5, 1)] = 2
    lay(world, 2, 1, reach=6)
    events = run(world, 1)
    assert named(events, "burnt") == [("burnt", cell(world, 3, 1))]
    assert named(events, "item") == [("item", cell(world, 5, 1), 2)]
    assert world.items == {cell(world, 5, 1): 2}


def test_a_bomb_explodes_when_its_fuse_is_through() -> None:
    world = field("#####\n#0..#\n#####")
    assert world.place_bomb(world.players[0])
    assert not named(run(world, FUSE - 1), "boom")
    assert named(run(world, 1), "boom")
