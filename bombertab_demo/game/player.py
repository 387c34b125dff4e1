"""A player on the field."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .units import DOWN, UNIT, centre

BOMB = 8  #: the bit of a command that places a bomb; the lower ones are the direction
MAX_CREDIT = 12  #: commands that may be caught up at once after the network held them back
MAX_WAITING = 64  #: commands taken in between two ticks
MAX_LATE = 4  #: commands kept for the coming ticks; without a bound, who has been held back once would be late for ever


def command_allowed(command: int) -> bool:
    """Whether the rules know this command: a direction of 0 to 4, with or without a bomb."""
    return 0 <= command & ~BOMB <= 4


@dataclass
class Player:
    """Who walks, bombs and dies in one round.

    Attributes:
        slot: the number of the seat, 0 to 7.
        x, y: the middle of the player, in units.
        bombs, blast, speed: how many bombs at once, how many tiles a blast reaches, how many steps faster.
        placed: own bombs that lie.
        died: the tick, or -1.
        acknowledged: the number of the last command that was carried out; commands are numbered from 1, modulo 65536.
    """

    slot: int
    x: int
    y: int
    facing: int = DOWN
    alive: bool = True
    bombs: int = 1
    blast: int = 2
    speed: int = 0
    placed: int = 0
    died: int = -1
    acknowledged: int = 0
    credit: int = MAX_CREDIT
    waiting: deque[tuple[int, int]] = field(default_factory=deque)  # (number, command)

    @classmethod
    def at(cls, slot: int, column: int, row: int) -> Player:
        return cls(slot, centre(column), centre(row))

    @property
    def stride(self) -> int:
        """Units walked in one tick."""
        return 32 + 4 * self.speed

    @property
    def place(self) -> tuple[int, int]:
        """(column, row) of the tile that the middle is on."""
        return self.x // UNIT, self.y // UNIT

    def order(self, number: int, command: int) -> bool:
        """Take a command for one of the next ticks. False when too many wait, or when it is an old one.

        The number only goes forward, so that what the network repeats is done once.
        """
        last = self.waiting[-1][0] if self.waiting else self.acknowledged
        ahead = (number - last) & 0xFFFF
        if not 0 < ahead < 0x8000 or len(self.waiting) >= MAX_WAITING:
            return False
        self.waiting.append((number, command))
        return True

    def due(self) -> list[tuple[int, int]]:
        """The commands of this tick. Each costs one credit and a tick gives one, so that nobody is faster than time.

        What could not be caught up is not done; the page learns of it by the numbers that were.
        """
        self.credit = min(MAX_CREDIT, self.credit + 1)
        commands = []
        while self.waiting and self.credit > 0:
            self.credit -= 1
            commands.append(self.waiting.popleft())
        while len(self.waiting) > MAX_LATE:
            self.waiting.popleft()
        return commands
