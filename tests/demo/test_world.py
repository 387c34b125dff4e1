"""A round: bombs, deaths and who was first, power-ups, the walls that close."""

from __future__ import annotations

import pytest

from bombertab_demo.game.items import LONGER_BLAST, MAX_BLAST, MAX_BOMBS, MAX_SPEED, MORE_BOMBS, SPEED, take_item
from bombertab_demo.game.player import BOMB, Player, command_allowed
from bombertab_demo.game.units import LEFT, RIGHT, STAY
from bombertab_demo.game.world import CLOSING
from tests.demo.fields import FAR, cell, field, lay, named, order, places, run


def test_who_stands_in_the_fire_dies_by_the_hand_of_who_lit_it() -> None:
    world = field("########\n#0..1.2#\n########")
    lay(world, 3, 1, reach=2, owner=0)
    assert named(run(world, 1), "die") == [("die", 0, 0), ("die", 1, 0)]
    assert [player.slot for player in world.living] == [2]


def test_who_walks_into_the_fire_later_dies_later() -> None:
    world = field("########\n#0.1.2.#\n########")
    lay(world, 2, 1, reach=1, owner=0)
    run(world, 1)
    assert (world.players[0].died, world.players[1].died) == (1, 1)
    for _ in range(14):
        order(world, 2, LEFT)
        run(world, 1)
    assert world.players[0].died < world.players[2].died < 15


def test_all_in_one_blast_die_in_the_same_tick() -> None:
    world = field("#######\n#0.1.2#\n#######")
    lay(world, 3, 1, reach=5)
    assert [event[1] for event in named(run(world, 1), "die")] == [0, 1, 2]
    assert len({player.died for player in world.players.values()}) == 1


def test_a_dead_player_does_nothing_more() -> None:
    world = field("######\n#0..1#\n######")
    world.kill(world.players[0])
    order(world, 0, RIGHT | BOMB, RIGHT)
    run(world, 3)
    assert not world.bombs
    assert world.players[0].place == (1, 1)
    assert world.players[0].acknowledged == 2  # the page may forget them


def test_no_more_bombs_than_one_has() -> None:
    world = field("#######\n#0....#\n#######")
    order(world, 0, BOMB, *[RIGHT] * 10, BOMB)
    run(world, 2)
    assert places(world, world.bombs) == {(1, 1)}
    world.players[0].bombs = 2
    order(world, 0, BOMB)
    run(world, 1)
    assert places(world, world.bombs) == {(1, 1), (2, 1)}
    run(world, 80)
    assert world.players[0].placed == 0


def test_no_bomb_on_a_bomb_nor_in_the_fire() -> None:
    world = field("#######\n#0....#\n#######")
    world.players[0].bombs = 5
    order(world, 0, BOMB, BOMB)
    run(world, 1)
    assert world.players[0].placed == 1
    world = field("#######\n#0....#\n#######")
    world.flames[cell(world, 1, 1)] = (FAR, 1)
    assert not world.place_bomb(world.players[0])


def test_one_leaves_ones_bomb_and_does_not_come_back() -> None:
    world = field("#######\n#0....#\n#######")
    order(world, 0, BOMB | RIGHT, *[RIGHT] * 8)
    run(world, 1)
    assert world.players[0].place == (2, 1)
    order(world, 0, *[LEFT] * 20)
    run(world, 3)
    assert world.players[0].place == (2, 1)


@pytest.mark.parametrize(
    ("item", "field_name", "most"), [(MORE_BOMBS, "bombs", MAX_BOMBS), (LONGER_BLAST, "blast", MAX_BLAST), (SPEED, "speed", MAX_SPEED)]
)
def test_power_ups(item: int, field_name: str, most: int) -> None:
    world = field("#######\n#0....#\n#######")
    before = getattr(world.players[0], field_name)
    world.items[cell(world, 1, 1)] = item
    assert named(run(world, 1), "take") == [("take", cell(world, 1, 1), 0, item)]
    assert not world.items
    assert getattr(world.players[0], field_name) == before + 1
    for _ in range(20):
        take_item(world.players[0], item)
    assert getattr(world.players[0], field_name) == most


def test_a_longer_blast_reaches_farther_and_speed_walks_faster() -> None:
    world = field("##########\n#0.......#\n##########")
    take_item(world.players[0], LONGER_BLAST)
    order(world, 0, BOMB)
    run(world, 76)
    assert max(x for x, _ in places(world, world.flames)) == 4
    slow, fast = field("##########\n#0.......#\n##########"), field("##########\n#0.......#\n##########")
    fast.players[0].speed = 3
    for world in (slow, fast):
        order(world, 0, *[RIGHT] * 10)
        run(world, 1)
    assert fast.players[0].x - slow.players[0].x == 10 * 3 * 4


def test_who_burns_on_an_item_does_not_get_it() -> None:
    world = field("#######\n#0....#\n#######")
    lay(world, 3, 1, owner=1)
    world.items[cell(world, 1, 1)] = SPEED
    events = run(world, 1)
    assert named(events, "die")
    assert not named(events, "take")


def test_walls_close_from_outside_and_crush() -> None:
    world = field("######\n#0..1#\n#....#\n#....#\n######", hurry=10)
    world.items[cell(world, 2, 1)] = SPEED
    bomb = lay(world, 3, 1, fuse=FAR, owner=1)
    events = run(world, 10)
    assert events == [("hurry",), ("wall", cell(world, 1, 1)), ("die", 0, -1)]
    run(world, 2 * CLOSING)
    assert not world.items
    assert bomb.cell not in world.bombs
    assert world.players[1].placed == 0
    run(world, 9 * CLOSING)
    assert not world.living
    assert not world.arena.cells.count(0)


def test_nobody_is_faster_than_time() -> None:
    player = Player.at(0, 1, 1)
    for number in range(1, 100):
        player.order(number, RIGHT)
    done = [player.due() for _ in range(20)]
    assert [len(commands) for commands in done[:6]] == [12, 1, 1, 1, 1, 0]
    # Those that are kept are the latest, so that nobody stays behind for ever.
    assert [number for commands in done[1:] for number, _ in commands] == [61, 62, 63, 64]


def test_commands_are_done_once_and_in_order() -> None:
    player = Player.at(0, 1, 1)
    assert player.order(1, RIGHT)
    assert not player.order(1, RIGHT)
    assert player.order(3, LEFT)  # one was lost
    assert not player.order(2, LEFT)
    assert player.due() == [(1, RIGHT), (3, LEFT)]
    player.acknowledged = 65535
    assert player.order(0, STAY)  # the numbers go round


def test_which_commands_there_are() -> None:
    assert [command for command in range(256) if command_allowed(command)] == [0, 1, 2, 3, 4, 8, 9, 10, 11, 12]
