"""The game, played by real clients against a real server; what strangers do changes nothing for the others."""

from __future__ import annotations

import itertools
import json
import struct
import time
from typing import Any, Callable

import pytest
import requests

from tests.demo.page import ARGUMENTS, Page
from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

UP, RIGHT, DOWN, LEFT, BOMB = 1, 2, 3, 4, 8
FAST = 90  # ticks a second: a match takes a third of its time
BACK_WITHIN = 3  # seconds
rooms = (f"room {number}" for number in itertools.count(1))

OpenPage = Callable[..., Page]


@pytest.fixture
def game(shared_server: Callable[..., Geuwsgi]) -> Geuwsgi:
    """A server of the game for all tests, each of which has its own room."""
    return shared_server(None, *ARGUMENTS, "--set", f"bombertab-rate={FAST}", "--set", f"bombertab-back-within={BACK_WITHIN}")


@pytest.fixture
def two(game: Geuwsgi, open_page: OpenPage) -> tuple[Page, Page]:
    """Ada, top left, and Grace, bottom right, at the beginning of a round without bots."""
    room = next(rooms)
    ada, grace = open_page(game, room, "Ada"), open_page(game, room, "Grace", hue=100)
    for page in (ada, grace):
        page.until(lambda page=page: page.phase == "playing")
    assert (ada.slot, grace.slot) == (0, 1)
    return ada, grace


def test_a_match_of_two(two: tuple[Page, Page]) -> None:
    ada, grace = two
    assert {slot: seat[1] for slot, seat in grace.seats.items()} == {0: "Ada", 1: "Grace"}
    start = dict(grace.players[0])
    # Ada walks two tiles to the right (7.5 ticks each), Grace sees it; then the other way round.
    ada.play(*[RIGHT] * 15)
    grace.until(lambda: grace.players[0]["x"] == start["x"] + 480)
    assert grace.players[0]["y"] == start["y"]
    grace.play(*[LEFT] * 15)
    ada.until(lambda: ada.players[1]["x"] == 15 * 240 + 120 - 480)
    ada.until(lambda: ada.players[0]["acknowledged"] == 15)
    # One bomb, one victory: Ada forgets to walk away.
    ada.play(BOMB)
    bomb = grace.until_event("bomb")
    assert bomb == ["bomb", 17 * 1 + 3, 0, 75, 2]
    died = time.monotonic()
    grace.until_event("die", 0, 0)
    assert time.monotonic() - died < 10
    grace.until_event("won", 1, False)
    ada.until_event("won", 1, False)
    grace.until(lambda: grace.phase == "over")
    assert grace.seats[1][4] == 1
    boom = grace.until_event("boom")
    assert bomb[1] in boom[2]
    # And the next round begins by itself, with everybody back in place.
    grace.until(lambda: grace.phase == "starting")
    assert grace.players[0]["x"] == start["x"]


def test_a_lost_page_finds_its_player_again(two: tuple[Page, Page], game: Geuwsgi, open_page: OpenPage) -> None:
    ada, grace = two
    ada.play(*[RIGHT] * 15)
    ada.until(lambda: ada.players[0]["acknowledged"] == 15)
    grace.until(lambda: grace.players[0]["x"] == ada.players[0]["x"])
    ada.socket.sock.close()  # no goodbye
    grace.until(lambda: grace.away(0))
    back = open_page(game)
    room = ada.told[0]["room"] if "room" in ada.told[0] else next(m["room"] for m in ada.told if m["t"] == "welcome")
    back.hello(room, "Ada", token=ada.token)
    welcome = back.expect("welcome")
    assert (welcome["slot"], welcome["name"]) == (0, "Ada")
    back.expect("snap")
    assert back.players[0]["x"] == grace.players[0]["x"]
    grace.until(lambda: not grace.away(0))
    back.play(*[LEFT] * 5)
    grace.until(lambda: grace.players[0]["facing"] == LEFT)


def test_a_page_that_stays_away_loses_its_player(two: tuple[Page, Page]) -> None:
    ada, grace = two
    ada.socket.shutdown()
    lost = time.monotonic()
    grace.until(lambda: grace.away(0))
    grace.until(lambda: 0 not in grace.seats, 20)
    assert BACK_WITHIN - 1 < time.monotonic() - lost < 9.5  # ten seconds are the default


def test_a_second_connection_takes_the_player_over(two: tuple[Page, Page], game: Geuwsgi, open_page: OpenPage) -> None:
    ada, grace = two
    room = next(message["room"] for message in ada.told if message["t"] == "welcome")
    twin = open_page(game)
    twin.hello(room, "Ada", token=ada.token)
    assert twin.expect("welcome")["slot"] == 0
    ada.expect("replaced")
    ada.play(RIGHT, RIGHT)
    grace.settle()
    assert grace.players[0]["x"] == 360
    stranger = open_page(game)
    stranger.hello(room, "Eve", token="0" * 32)
    assert stranger.expect("welcome")["slot"] not in (0, 1)


def test_bots_fill_a_room_and_can_be_sent_away(game: Geuwsgi, open_page: OpenPage) -> None:
    ada = open_page(game, next(rooms), "Ada", fill=4)
    ada.until(lambda: ada.phase == "playing")
    assert sum(seat[3] for seat in ada.seats.values()) == 3
    ada.until(lambda: any(player["x"] % 240 != 120 for slot, player in ada.players.items() if slot), what="a bot that moves")
    ada.send(t="fill", fill=0)
    ada.until(lambda: list(ada.seats) == [0])
    ada.until(lambda: ada.phase == "waiting")


def test_spectators_see_everything_and_can_join(two: tuple[Page, Page], game: Geuwsgi, open_page: OpenPage) -> None:
    ada, _ = two
    room = next(message["room"] for message in ada.told if message["t"] == "welcome")
    linus = open_page(game, room, "Linus", watch=True)
    assert linus.slot is None
    assert linus.phase == "playing"
    ada.play(RIGHT)
    linus.until(lambda: linus.players[0]["x"] > 360)
    linus.play(RIGHT, BOMB)  # nobody's commands
    linus.settle()
    assert not any(event[0] == "bomb" for event in linus.events)
    linus.hello(room, "Linus", token=linus.token)
    assert linus.expect("welcome")["slot"] == 2
    ada.until(lambda: 2 in ada.seats)


def test_chat_sync_and_a_new_name(two: tuple[Page, Page]) -> None:
    ada, grace = two
    ada.send(t="chat", text="<b>hi</b>")
    assert grace.expect("said") == {"t": "said", "slot": 0, "name": "Ada", "text": "<b>hi</b>"}
    ada.send(t="me", name="Countess", hue=300)
    grace.until(lambda: grace.seats[0][1:3] == ["Countess", 300])
    grace.send(t="sync")
    snap = grace.expect("snap")
    assert snap["seats"][0][1] == "Countess"
    assert snap["n"] >= 1


def test_event_messages_are_numbered_without_a_gap(game: Geuwsgi, open_page: OpenPage) -> None:
    ada = open_page(game, next(rooms), "Ada", fill=8)
    ada.until(lambda: ada.phase == "over", 60)
    number = None
    for message in ada.told:
        if message["t"] == "snap":
            number = message["n"]
        elif message["t"] == "ev" and number is not None and message["n"] > number:
            assert message["n"] == number + 1
            number = message["n"]


def test_the_lobby_lists_rooms_live(game: Geuwsgi, open_page: OpenPage) -> None:
    lobby = open_page(game)
    lobby.send(t="lobby")
    room = next(rooms)
    ada = open_page(game, room, "Ada")

    def lines() -> list[Any]:
        return [message for message in lobby.told if message["t"] == "room" and message["name"] == room]

    lobby.until(lines)
    assert lines()[-1]["names"] == ["Ada"]
    open_page(game, room, "Grace", hue=100)
    lobby.until(lambda: lines()[-1]["people"] == 2)

    def answered() -> float:
        """The seconds until another page that asks has heard of the room."""
        late = open_page(game)
        asked = time.monotonic()
        late.send(t="lobby")
        late.until(lambda: [message for message in late.told if message["t"] == "room" and message["name"] == room])
        return time.monotonic() - asked

    # Without having asked, each behind the first would wait the two seconds until the room tells of itself again.
    answered()
    assert min(answered() for _ in range(3)) < 1
    ada.send(t="lobby")
    lobby.until(lambda: lines()[-1]["names"] == ["Grace"])


RUBBISH = [
    b"",
    b"hello",
    b"\xff\xfe\x00",
    b"\x01",
    b"\x01\x00\x01\x07",
    b"\x01\x00\x01\xff",
    b"\x02" + b"\x00" * 12,
    b"[" * 1500,
    b'{"t":"move","x":5,"y":5}',
    b'{"t":"hello"}',
    b"{" * 3000,
]


def watching_grace(grace: Page) -> Callable[[], None]:
    """Remember what Grace sees; the function asserts that it is still the same."""
    grace.settle()
    players, events = json.dumps(grace.players), len(grace.events)

    def unchanged() -> None:
        grace.settle()
        assert json.dumps(grace.players) == players
        assert [event for event in grace.events[events:] if event[0] != "seats"] == []

    return unchanged


@pytest.mark.parametrize("kind", ["rubbish", "flood", "faster than time", "unknown moves", "many at once"])
def test_who_misbehaves_goes_politely_and_changes_nothing(two: tuple[Page, Page], kind: str) -> None:
    eve, grace = two
    unchanged = watching_grace(grace)
    try:
        for number in range(1000):
            if kind == "rubbish":
                eve.socket.send_binary(RUBBISH[number % len(RUBBISH)])
            elif kind == "flood":
                eve.send(t="ping", n=number)
            elif kind == "faster than time":
                eve.socket.send_binary(struct.pack("!BH", 1, number * 16 & 0xFFFF) + b"\x00" * 16)
            elif kind == "unknown moves":
                eve.socket.send_binary(struct.pack("!BHB", 1, number, 5 + number % 3))
            else:
                eve.socket.send_binary(struct.pack("!BH", 1, number) + b"\x01" * 40)
    except OSError:
        pass  # thrown out before it was through
    try:
        code, reason = eve.until_closed()
    except OSError:
        pytest.fail("hung up on, not told why")
    assert code == 1008
    assert reason in ("too many messages", "too many messages that make no sense", "faster than time")
    assert eve.told[-1] == {"t": "bye", "text": reason}
    unchanged()
    grace.until(lambda: grace.away(0))


def test_moves_that_the_rules_forbid_are_not_made(two: tuple[Page, Page]) -> None:
    ada, grace = two
    ada.play(*[UP] * 20, *[LEFT] * 20)  # into the wall
    ada.until(lambda: ada.players[0]["acknowledged"] == 40)
    grace.until(lambda: grace.players[0]["acknowledged"] == 40)
    assert (grace.players[0]["x"], grace.players[0]["y"]) == (360, 360)
    ada.play(*[BOMB] * 10)  # one has only one
    grace.until_event("bomb")
    ada.until(lambda: ada.players[0]["acknowledged"] == 50)
    assert sum(event[0] == "bomb" for event in grace.events) == 1
    # More steps than there was time for: what is too much is not done.
    grace.play(*[LEFT] * 60)
    grace.until(lambda: grace.players[1]["x"] < 15 * 240 + 120)
    assert grace.players[1]["x"] > 15 * 240 + 120 - 32 * 60


def test_what_the_server_serves(game: Geuwsgi) -> None:
    page = requests.get(game.url + "/", timeout=10)
    assert "<title>Bombertab</title>" in page.text
    assert "javascript" in requests.get(game.url + "/main.js", timeout=10).headers["Content-Type"]
    assert "<title>geuwsgi chat</title>" in requests.get(game.url + "/chat/", timeout=10).text
    assert requests.get(game.url + "/game", timeout=10).status_code == 400
    assert requests.get(game.url + "/nothing", timeout=10).status_code == 404
    assert requests.get(game.url + "/../server.py", timeout=10).status_code == 404
    stats = requests.get(game.url + "/stats", timeout=10).json()
    assert set(stats) == {"worker", "pid", "abroad", "cpu_seconds", "rooms"}


def test_the_chat_is_there_too(game: Geuwsgi) -> None:
    import websocket

    socket = websocket.create_connection(game.ws_url + "/chat/chat", timeout=10)
    socket.send(json.dumps({"t": "join", "room": "r", "name": "Ada", "hue": 1, "key": "k", "tab": "t"}))
    assert json.loads(socket.recv())["t"] == "welcome"
    socket.close()


def test_without_static_options_the_application_sends_the_page(server: Callable[..., Geuwsgi], open_page: OpenPage) -> None:
    game = server(None, "--module", "bombertab_demo", "--http", "127.0.0.1:0", "--set", "bombertab-back-within=1")
    page = requests.get(game.url + "/", timeout=10)
    assert "<title>Bombertab</title>" in page.text
    again = requests.get(game.url + "/", headers={"If-None-Match": page.headers["ETag"]}, timeout=10)
    assert (again.status_code, again.text) == (304, "")
    assert requests.get(game.url + "/game.css", timeout=10).headers["Content-Type"] == "text/css; charset=utf-8"
    assert requests.get(game.url + "/chat", timeout=10).url == game.url + "/chat/"
    assert requests.post(game.url + "/", timeout=10).status_code == 405
    assert requests.get(game.url + "/../settings.py", timeout=10).status_code == 404
    assert open_page(game, "plain", "Ada").slot == 0


def test_a_wrong_rate_is_told(server: Callable[..., Geuwsgi]) -> None:
    game = server(None, *ARGUMENTS, "--set", "bombertab-rate=fast", expect_log=["bombertab-rate = fast: a whole number", "Traceback"])
    assert requests.get(game.url + "/stats", timeout=10).status_code == 500
    wait_until(lambda: "bombertab-rate = fast" in game.log, 20)
