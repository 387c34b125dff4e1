"""A match: who sits where, rounds one after the other, scores, and bots in the empty seats."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Optional

from .arena import Arena
from .bots import Bots
from .units import seconds
from .world import HURRY, NOBODY, Event, World

SEATS = 8
COUNTDOWN, AFTERWARDS, CELEBRATION = seconds(3), seconds(4), seconds(8)
BORED = seconds(6)  #: ticks after which the walls close when all people are dead and only bots are left
POINTS = 3  #: rounds won that win the match

WAITING, STARTING, PLAYING, OVER = "waiting", "starting", "playing", "over"

BOT_NAMES = ("Cookie", "Hash", "Cache", "Popup", "Iframe", "Favicon", "Captcha", "Spam", "Beacon", "Reload", "Banner", "Tooltip")
#: Degrees on the colour circle that are told apart easily.
HUES = (200, 350, 130, 45, 275, 20, 168, 315)
TOO_ALIKE = 18  #: degrees


@dataclass
class Seat:
    """Who plays under a slot's number.

    Attributes:
        hue: of the colour, in degrees.
        bot: whether nobody does.
        score: rounds won in this match.
    """

    slot: int
    name: str
    hue: int
    bot: bool = False
    score: int = 0


class Match:
    """Rounds in one arena after the other.

    Attributes:
        seats: slot -> seat.
        fill: bots take empty seats until so many play; 0 for no bots.
        phase: WAITING for a second player, STARTING (everybody stands still), PLAYING or OVER.
        ends: the tick of `clock` at which STARTING and OVER end.
        clock: ticks since the beginning of the match.
        winner: of the round that is OVER; None for a draw.
        champion: whether that won the match.
        watched: whether there are spectators.
    """

    def __init__(self, seed: int = 0, fill: int = 4, hurry: int = HURRY, arena: Optional[str] = None) -> None:
        self.rng = Random(seed)
        self.seats: dict[int, Seat] = {}
        self.fill = fill
        self.phase = WAITING
        self.clock = 0
        self.ends = 0
        self.round = 0
        self.winner: Optional[int] = None
        self.champion = False
        self.watched = False
        self._hurry = hurry
        self._picture = arena
        self._bots = Bots()
        self._events: list[Event] = []
        self._bored = 0
        self.world = self._new_world([])

    # -- people

    def join(self, name: str, hue: int) -> Optional[int]:
        """Seat somebody. A bot that still stands is taken over; without one a new player plays from the next round on.

        Returns:
            the slot, None when all seats are taken by people.
        """
        bots = [seat for seat in self.seats.values() if seat.bot]
        bots.sort(key=lambda seat: (not self._stands(seat.slot), seat.slot))
        free = [slot for slot in range(SEATS) if slot not in self.seats]
        if bots and (self._stands(bots[0].slot) or not free):
            slot = bots[0].slot
            self._bots.remove(slot)
        elif free:
            slot = free[0]
        else:
            return None
        self.seats.pop(slot, None)
        self.seats[slot] = Seat(slot, self._free_name(name), self._free_hue(hue))
        self._tell_seats()
        return slot

    def leave(self, slot: int) -> None:
        """Somebody has gone for good. With bots on, one goes on in the same place."""
        stood = self._stands(slot)
        seat = self.seats.pop(slot)
        if stood and self.people and len(self.seats) < self.fill:
            self._seat_bot(slot, seat.hue)
            self.world.players[slot].waiting.clear()
            self._bots.add(slot, self.rng)
        elif slot in self.world.players:
            self.world.players[slot].waiting.clear()
            self.world.kill(self.world.players[slot])
        self._tell_seats()

    def rename(self, slot: int, name: str, hue: int) -> None:
        """Another name and colour."""
        seat = self.seats.pop(slot)
        seat.name, seat.hue = self._free_name(name), self._free_hue(hue)
        self.seats[slot] = seat
        self._tell_seats()

    def set_fill(self, fill: int) -> None:
        """Bots until so many play (2 to 8), from the next round on; 0 sends them all away at once."""
        self.fill = fill
        if not fill:
            for seat in [seat for seat in self.seats.values() if seat.bot]:
                self._bots.remove(seat.slot)
                del self.seats[seat.slot]
                if seat.slot in self.world.players:
                    self.world.kill(self.world.players[seat.slot])
        self._tell_seats()

    @property
    def people(self) -> list[Seat]:
        return [seat for seat in self.seats.values() if not seat.bot]

    # -- a tick

    def step(self) -> list[Event]:
        """Do one tick; what happened: the events of World and

        ("seats",)  ("phase", name, ticks until it ends or 0)  ("arena",): a new field, ask for all of it
        ("won", slot or -1, whether that won the match)
        """
        self.clock += 1
        if self.phase == WAITING:
            if self._enough():
                self._start()
        elif self.phase == STARTING:
            self._discard_commands()
            if not self._enough():
                self._set_phase(WAITING)
            elif any(slot not in self.world.players for slot in self.seats):
                # Somebody has come: count down again, together.
                self.round -= 1
                self._start()
            elif self.clock >= self.ends:
                self._set_phase(PLAYING)
        else:
            self._bots.play(self.world)
            self._events += self.world.step()
            if self.phase == PLAYING:
                self._judge()
            elif self.clock >= self.ends:
                self._next()
        events, self._events = self._events, []
        return events

    def _judge(self) -> None:
        """End the round when at most one is left."""
        living = self.world.living
        if len(living) > 1:
            people = {seat.slot for seat in self.people}
            self._bored = 0 if not people or any(player.slot in people for player in living) else self._bored + 1
            if self._bored == BORED:
                self.world.start_hurry()
            return
        self.winner = living[0].slot if living else None
        self.champion = False
        seat = self.seats.get(self.winner) if self.winner is not None else None
        if seat is not None:
            seat.score += 1
            self.champion = seat.score >= POINTS
        self.world.peace = True
        self._events.append(("won", NOBODY if self.winner is None else self.winner, self.champion))
        self._tell_seats()
        self._set_phase(OVER, CELEBRATION if self.champion else AFTERWARDS)

    def _next(self) -> None:
        if self.champion:
            for seat in self.seats.values():
                seat.score = 0
            self.round = 0
        if self._enough():
            self._start()
        else:
            self._set_phase(WAITING)

    def _start(self) -> None:
        self.round += 1
        self._seat_bots()
        slots = sorted(self.seats)
        before, self.world = self.world, self._new_world(slots)
        for slot, player in self.world.players.items():
            if slot in before.players:
                # A page goes on counting its commands, and some are still under way.
                player.acknowledged = before.players[slot].acknowledged
        self._bots.start([slot for slot in slots if self.seats[slot].bot], self.rng)
        self._bored = 0
        self._tell_seats()
        self._events.append(("arena",))
        self._set_phase(STARTING, COUNTDOWN)

    def _new_world(self, slots: list[int]) -> World:
        arena = Arena.parse(self._picture) if self._picture else None
        return World(Random(self.rng.random()), slots, arena, self._hurry)

    def _discard_commands(self) -> None:
        """Nobody moves yet; what a page sent is acknowledged all the same."""
        for player in self.world.players.values():
            if player.waiting:
                player.acknowledged = player.waiting[-1][0]
                player.waiting.clear()

    def _set_phase(self, phase: str, ticks: int = 0) -> None:
        self.phase = phase
        self.ends = self.clock + ticks
        self._events.append(("phase", phase, ticks))

    def _tell_seats(self) -> None:
        if ("seats",) not in self._events:
            self._events.append(("seats",))

    # -- seats

    def _enough(self) -> bool:
        """Whether a round may begin. Bots play among themselves only where somebody watches."""
        if self.fill:
            return self.watched or bool(self.people)
        return len(self.people) >= 2

    def _stands(self, slot: int) -> bool:
        """Whether that slot is alive in a round that goes on, or is about to."""
        player = self.world.players.get(slot)
        return player is not None and player.alive and self.phase in (STARTING, PLAYING) and slot in self.seats

    def _seat_bots(self) -> None:
        """As many bots as `fill` asks for."""
        people = len(self.people)
        bots = [seat.slot for seat in self.seats.values() if seat.bot]
        wanted = max(0, self.fill - people)
        for slot in bots[wanted:]:
            del self.seats[slot]
        for slot in range(SEATS):
            if len(self.seats) >= people + wanted:
                break
            if slot not in self.seats:
                self._seat_bot(slot, HUES[slot])

    def _seat_bot(self, slot: int, hue: int) -> None:
        names = [name for name in BOT_NAMES if name not in {seat.name for seat in self.seats.values()}]
        self.seats[slot] = Seat(slot, self.rng.choice(names), self._free_hue(hue), bot=True)

    def _free_name(self, wanted: str) -> str:
        taken = {seat.name.casefold() for seat in self.seats.values()}
        name, number = wanted, 2
        while name.casefold() in taken:
            name, number = f"{wanted} {number}", number + 1
        return name

    def _free_hue(self, wanted: int) -> int:
        """The colour asked for, or one that nobody here has."""
        taken = [seat.hue for seat in self.seats.values()]
        for hue in (wanted, *HUES):
            if all(min((hue - other) % 360, (other - hue) % 360) >= TOO_ALIKE for other in taken):
                return hue
        return wanted
