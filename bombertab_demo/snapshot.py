"""A room as a page needs it that knows nothing yet."""

from __future__ import annotations

from typing import Any

from .game.match import Match
from .protocol import Message


def seats(match: Match, away: set[int]) -> list[list[Any]]:
    """[slot, name, hue, bot, score, away] for each seat."""
    return [
        [seat.slot, seat.name, seat.hue, int(seat.bot), seat.score, int(seat.slot in away)]
        for seat in sorted(match.seats.values(), key=lambda seat: seat.slot)
    ]


def snapshot(match: Match, rate: int, number: int, away: set[int]) -> Message:
    """Everything, in the numbers that the events use. Times are ticks from now.

    Args:
        rate: ticks a second.
        number: of the last event message; the page goes on with the next.
        away: slots whose player has lost the connection.
    """
    world = match.world
    now = world.tick
    return {
        "t": "snap",
        "n": number,
        "clock": match.clock,
        "rate": rate,
        "width": world.arena.width,
        "height": world.arena.height,
        "grid": "".join(map(str, world.arena.cells)),
        "players": [
            [p.slot, p.x, p.y, p.facing, int(p.alive), p.bombs, p.blast, p.speed, p.placed, p.acknowledged] for p in world.players.values()
        ],
        "bombs": [[bomb.cell, bomb.owner, bomb.explodes - now, bomb.reach] for bomb in world.bombs.values()],
        "flames": [[cell, until - now] for cell, (until, _) in world.flames.items()],
        "items": [[cell, kind] for cell, kind in world.items.items()],
        "seats": seats(match, away),
        "fill": match.fill,
        "phase": match.phase,
        "left": max(0, match.ends - match.clock),
        "hurry": max(0, world.hurry - now),
        "round": match.round,
        "winner": -1 if match.winner is None else match.winner,
        "champion": match.champion,
    }
