"""Walking: lanes, corners, walls."""

from __future__ import annotations

from random import Random

from bombertab_demo.game.arena import Arena
from bombertab_demo.game.motion import walk
from bombertab_demo.game.units import DOWN, HALF, LEFT, RIGHT, STAY, UNIT, UP, centre
from tests.demo.fields import field


def steps(picture: str, x: int, y: int, *directions: int, length: int = 32) -> tuple[int, int]:
    world = field(picture)
    for direction in directions:
        x, y = walk(x, y, direction, length, world.free)
    return x, y


CROSS = "#####\n##.##\n#...#\n##.##\n#####"


def test_along_a_lane_up_to_the_wall() -> None:
    assert steps(CROSS, centre(1), centre(2), RIGHT) == (centre(1) + 32, centre(2))
    assert steps(CROSS, centre(1), centre(2), *[RIGHT] * 30) == (centre(3), centre(2))
    assert steps(CROSS, centre(1), centre(2), LEFT, UP, DOWN, STAY) == (centre(1), centre(2))


def test_turning_slides_to_the_lane() -> None:
    assert steps(CROSS, centre(2) + 20, centre(2), UP) == (centre(2), centre(2) - 12)
    assert steps(CROSS, centre(2) - 40, centre(2), UP) == (centre(2) - 8, centre(2))


def test_corners_are_walked_around() -> None:
    # Half a tile beside the opening, walking up against the wall: slides towards it.
    x, y = steps(CROSS, centre(1) + HALF - 10, centre(2), UP)
    assert (x, y) == (centre(1) + HALF + 22, centre(2))
    assert steps(CROSS, centre(1) + 10, centre(2), *[UP] * 20) == (centre(2), centre(1))


def test_no_walk_ever_enters_a_wall_or_leaves_the_lanes() -> None:
    rng = Random(5)
    for _ in range(30):
        arena = Arena.generate(rng)

        def free(column: int, row: int, arena: Arena = arena) -> bool:
            return arena.cells[arena.cell(column, row)] == 0

        x, y, direction = centre(1), centre(1), RIGHT
        for _ in range(400):
            if rng.random() < 0.3:
                direction = rng.randrange(5)
            x, y = walk(x, y, direction, 32 + 4 * rng.randrange(6), free)
            assert free(x // UNIT, y // UNIT)
            assert x % UNIT == HALF or y % UNIT == HALF
