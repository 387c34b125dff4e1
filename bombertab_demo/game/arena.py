"""The grid: walls that last, crates that burn, what lies under the crates, and where players begin."""

from __future__ import annotations

from random import Random

from .items import hide_item

FLOOR, WALL, CRATE = range(3)

WIDTH, HEIGHT = 17, 13
#: Opposite corners first, so that two players begin far apart.
SPAWNS = ((1, 1), (15, 11), (15, 1), (1, 11), (8, 1), (8, 11), (1, 6), (15, 6))
CRATES = 0.74  #: the share of the free tiles that get a crate


class Arena:
    """A grid of tiles, addressed by cell number: row * width + column.

    Attributes:
        cells: FLOOR, WALL or CRATE for each cell.
        hidden: cell -> item that appears when the crate there burns.
    """

    def __init__(self, width: int = WIDTH, height: int = HEIGHT) -> None:
        self.width, self.height = width, height
        self.cells = bytearray(width * height)
        self.hidden: dict[int, int] = {}

    def cell(self, column: int, row: int) -> int:
        return row * self.width + column

    def place(self, cell: int) -> tuple[int, int]:
        """(column, row) of a cell."""
        return cell % self.width, cell // self.width

    def neighbours(self, cell: int) -> tuple[int, int, int, int]:
        """The cells above, right, below, left: as the directions 1 to 4. Of cells inside the border only."""
        return cell - self.width, cell + 1, cell + self.width, cell - 1

    @classmethod
    def parse(cls, picture: str) -> Arena:
        """An arena from lines of '#' (wall), '+' (crate) and anything else (floor)."""
        lines = [line for line in picture.split("\n") if line.strip()]
        arena = cls(len(lines[0]), len(lines))
        for row, line in enumerate(lines):
            for column, sign in enumerate(line):
                arena.cells[arena.cell(column, row)] = {"#": WALL, "+": CRATE}.get(sign, FLOOR)
        return arena

    @classmethod
    def generate(cls, rng: Random, crates: float = CRATES) -> Arena:
        """A fresh arena: a border, pillars on the even tiles (a few, in mirrored groups, left out), crates, items under them."""
        arena = cls()
        width, height, cells = arena.width, arena.height, arena.cells
        for row in range(height):
            for column in range(width):
                border = row in (0, height - 1) or column in (0, width - 1)
                if border or (row % 2 == 0 and column % 2 == 0):
                    cells[arena.cell(column, row)] = WALL
        for _ in range(rng.randrange(4)):
            column, row = rng.randrange(2, width - 2, 2), rng.randrange(2, height - 2, 2)
            for x, y in {(column, row), (width - 1 - column, row), (column, height - 1 - row), (width - 1 - column, height - 1 - row)}:
                cells[arena.cell(x, y)] = FLOOR
        for cell in range(len(cells)):
            column, row = arena.place(cell)
            near_spawn = any(abs(column - x) + abs(row - y) <= 2 for x, y in SPAWNS)
            if cells[cell] == FLOOR and not near_spawn and rng.random() < crates:
                cells[cell] = CRATE
                item = hide_item(rng)
                if item is not None:
                    arena.hidden[cell] = item
        return arena

    def spiral(self) -> list[int]:
        """The cells inside the border from the outer ring inwards, clockwise: the order in which they close at the end."""
        order: list[int] = []
        left, top, right, bottom = 1, 1, self.width - 2, self.height - 2
        while left <= right and top <= bottom:
            order += [self.cell(x, top) for x in range(left, right + 1)]
            order += [self.cell(right, y) for y in range(top + 1, bottom + 1)]
            if bottom > top:
                order += [self.cell(x, bottom) for x in range(right - 1, left - 1, -1)]
            if right > left:
                order += [self.cell(left, y) for y in range(bottom - 1, top, -1)]
            left, top, right, bottom = left + 1, top + 1, right - 1, bottom - 1
        return order
