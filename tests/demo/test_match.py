"""A match: seats, bots in them, rounds, scores, and that it is the same every time."""

from __future__ import annotations

from typing import Any

from bombertab_demo.game.match import COUNTDOWN, OVER, PLAYING, POINTS, SEATS, STARTING, WAITING, Match
from bombertab_demo.game.player import BOMB


def run_until(match: Match, phase: str, limit: int = 20_000) -> list[tuple[Any, ...]]:
    events = []
    for _ in range(limit):
        events += match.step()
        if match.phase == phase:
            return events
    raise AssertionError(f"never {phase}")


def test_one_waits_for_another_without_bots() -> None:
    match = Match(1, fill=0)
    assert match.join("Ada", 200) == 0
    for _ in range(100):
        match.step()
    assert match.phase == WAITING
    assert match.join("Grace", 100) == 1
    events = run_until(match, PLAYING)
    assert ("phase", STARTING, COUNTDOWN) in events
    assert ("arena",) in events
    assert sorted(match.world.players) == [0, 1]


def test_bots_keep_one_company() -> None:
    match = Match(1, fill=4)
    match.join("Ada", 200)
    run_until(match, STARTING)
    assert [seat.bot for _, seat in sorted(match.seats.items())] == [False, True, True, True]
    assert len({seat.name for seat in match.seats.values()}) == 4
    assert len({seat.hue for seat in match.seats.values()}) == 4


def test_who_comes_takes_over_a_bot_that_stands() -> None:
    match = Match(1, fill=3)
    match.join("Ada", 200)
    run_until(match, PLAYING)
    match.world.kill(match.world.players[1])
    match.step()
    slot = match.join("Grace", 100)
    assert slot == 2
    assert match.world.players[2].alive
    assert not match.seats[2].bot
    # When none stands, from the next round on.
    assert match.join("Linus", 10) == 3
    assert 3 not in match.world.players


def test_who_comes_during_the_countdown_is_in_it() -> None:
    match = Match(1, fill=0)
    match.join("Ada", 200), match.join("Grace", 100)
    run_until(match, STARTING)
    for _ in range(COUNTDOWN // 2):
        match.step()
    match.join("Linus", 20)
    assert match.step()[0] == ("seats",)
    assert sorted(match.world.players) == [0, 1, 2]
    assert (match.ends - match.clock, match.round) == (COUNTDOWN, 1)


def test_nobody_moves_before_the_round_begins() -> None:
    match = Match(1, fill=2)
    match.join("Ada", 200)
    run_until(match, STARTING)
    player = match.world.players[0]
    where = (player.x, player.y)
    for number in range(1, 20):
        player.order(number, 2 | BOMB)
        match.step()
    assert (player.x, player.y) == where
    assert player.acknowledged == 19
    assert not match.world.bombs


def test_commands_go_on_counting_in_the_next_round() -> None:
    match = Match(1, fill=0)
    match.join("Ada", 200), match.join("Grace", 100)
    run_until(match, PLAYING)
    match.world.players[0].order(41, 2)
    match.step()
    match.world.kill(match.world.players[1])
    run_until(match, STARTING)
    assert match.world.players[0].acknowledged == 41


def test_scores_and_the_match() -> None:
    match = Match(1, fill=0)
    match.join("Ada", 200), match.join("Grace", 100)
    for point in range(1, POINTS + 1):
        run_until(match, PLAYING)
        match.world.kill(match.world.players[1])
        events = run_until(match, OVER)
        assert ("won", 0, point == POINTS) in events
        assert match.seats[0].score == point
    run_until(match, STARTING)
    assert [seat.score for seat in match.seats.values()] == [0, 0]
    assert match.round == 1


def test_both_dead_at_once_is_a_draw() -> None:
    match = Match(1, fill=0)
    match.join("Ada", 200), match.join("Grace", 100)
    run_until(match, PLAYING)
    for player in match.world.players.values():
        match.world.kill(player)
    assert ("won", -1, False) in run_until(match, OVER)
    assert match.winner is None


def test_the_winner_cannot_burn_any_more() -> None:
    match = Match(1, fill=0)
    match.join("Ada", 200), match.join("Grace", 100)
    run_until(match, PLAYING)
    match.world.place_bomb(match.world.players[0])
    match.world.kill(match.world.players[1])
    run_until(match, STARTING)
    assert match.seats[0].score == 1


def test_who_leaves_is_replaced_by_a_bot_or_dies() -> None:
    match = Match(1, fill=2)
    match.join("Ada", 200), match.join("Grace", 100)
    run_until(match, PLAYING)
    match.leave(1)
    assert match.seats[1].bot
    assert match.world.players[1].alive
    match = Match(1, fill=0)
    match.join("Ada", 200), match.join("Grace", 100)
    run_until(match, PLAYING)
    match.leave(1)
    assert 1 not in match.seats
    assert not match.world.players[1].alive


def test_bots_can_be_sent_away_and_called_back() -> None:
    match = Match(1, fill=8)
    match.join("Ada", 200)
    run_until(match, PLAYING)
    assert len(match.seats) == SEATS
    match.set_fill(0)
    assert list(match.seats) == [0]
    run_until(match, WAITING)
    match.set_fill(3)
    run_until(match, PLAYING)
    assert len(match.seats) == 3


def test_eight_people_and_no_more() -> None:
    match = Match(1, fill=4)
    assert [match.join(f"P{number}", number * 40) for number in range(8)] == list(range(8))
    assert match.join("late", 1) is None


def test_names_and_colours_stay_apart() -> None:
    match = Match(1, fill=0)
    match.join("Ada", 200), match.join("ada", 205)
    assert match.seats[1].name == "ada 2"
    assert abs(match.seats[1].hue - 200) > 18
    match.rename(1, "Ada", 100)
    assert match.seats[1].name == "Ada 2"


def test_bots_alone_are_brought_to_an_end() -> None:
    match = Match(3, fill=4)
    match.join("Ada", 200)
    run_until(match, PLAYING)
    match.world.kill(match.world.players[0])
    events = run_until(match, OVER)
    won = match.world.tick
    assert won < 30 * 80
    assert ("hurry",) in events or won < 30 * 10


def test_the_same_seed_and_commands_give_the_same_match() -> None:
    def play() -> list[Any]:
        match = Match(42, fill=5)
        match.join("Ada", 200)
        events = []
        for number in range(1, 3000):
            if 0 in match.world.players:
                match.world.players[0].order(number, number // 40 % 5 | (BOMB if number % 97 == 0 else 0))
            events.append(match.step())
        return events

    assert play() == play()
