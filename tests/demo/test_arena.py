"""The arena: what is generated can be played."""

from __future__ import annotations

from random import Random

from bombertab_demo.game.arena import CRATE, FLOOR, HEIGHT, SPAWNS, WALL, WIDTH, Arena


def test_every_arena_has_its_border_and_free_spawns() -> None:
    for seed in range(50):
        arena = Arena.generate(Random(seed))
        assert all(arena.cells[arena.cell(x, y)] == WALL for x in range(WIDTH) for y in (0, HEIGHT - 1))
        assert all(arena.cells[arena.cell(x, y)] == WALL for x in (0, WIDTH - 1) for y in range(HEIGHT))
        for x, y in SPAWNS:
            assert arena.cells[arena.cell(x, y)] == FLOOR
            free = [beside for beside in arena.neighbours(arena.cell(x, y)) if arena.cells[beside] == FLOOR]
            assert len(free) >= 2  # a way to step aside
        assert all(arena.cells[cell] == CRATE for cell in arena.hidden)


def test_all_spawns_are_connected_once_the_crates_are_gone() -> None:
    for seed in range(50):
        arena = Arena.generate(Random(seed))
        seen, queue = set(), [arena.cell(*SPAWNS[0])]
        while queue:
            cell = queue.pop()
            if cell not in seen and arena.cells[cell] != WALL:
                seen.add(cell)
                queue += arena.neighbours(cell)
        assert {arena.cell(x, y) for x, y in SPAWNS} <= seen


def test_the_same_seed_is_the_same_arena() -> None:
    one, other, third = (Arena.generate(Random(seed)) for seed in (7, 7, 8))
    assert (one.cells, one.hidden) == (other.cells, other.hidden)
    assert one.cells != third.cells


def test_the_spiral_has_every_inner_cell_once() -> None:
    for width, height in ((17, 13), (5, 5), (6, 4), (3, 9), (4, 3)):
        arena = Arena(width, height)
        order = arena.spiral()
        assert sorted(order) == sorted(arena.cell(x, y) for x in range(1, width - 1) for y in range(1, height - 1))
        assert order[0] == arena.cell(1, 1)
