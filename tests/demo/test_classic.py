"""classic.py is the proof of "unchanged": one scripted match gives the same transcript under the real uWSGI and under geuwsgi."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Callable

import pytest
import redis
import requests
import websocket

from tests.harness.programs import ROOT
from tests.harness.redis import RedisServer
from tests.harness.servers import Server
from tests.harness.wait import wait_until

ARGUMENTS = ("--ini", f"{ROOT / 'bombertab_demo' / 'classic.ini'}:classic", "--http-socket", "127.0.0.1:0")
UP, RIGHT, DOWN, LEFT = 1, 2, 3, 4
STEP = 0.15  # seconds from tile to tile

Message = dict[str, Any]


class Tab:
    """A page of the classic game."""

    def __init__(self, server: Server, arena: str, name: str, hue: int = 100) -> None:
        self.socket = websocket.create_connection(f"{server.ws_url}/classic/{arena}", timeout=10)
        self.heard: list[Message] = []
        self.send(c="n", name=name, hue=hue)

    def send(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def until(self, letter: str) -> Message:
        """Listen up to a message with that letter."""
        while True:
            message: Message = json.loads(self.socket.recv())
            self.heard.append(message)
            if message["c"] == letter:
                return message

    def ask(self, **message: Any) -> None:
        """Send a message and wait until it has been done.

        One message at a time: uWSGI keeps a second one that came in the same packet until the descriptor is readable again.
        """
        self.send(**message)
        time.sleep(0.05)
        self.send(c="p", n=len(self.heard))
        self.until("p")

    def step(self, direction: int) -> Message:
        self.send(c="m", d=direction)
        message = self.until("m")
        time.sleep(STEP)  # the pace that the rules set
        return message


def scripted_match(enter: Callable[..., Tab], server: Server, arena: str) -> list[list[Message]]:
    """Two players walk, talk, bomb; one dies, the other wins; a new round. What each of them heard."""
    ada = enter(server, arena, "Ada", 200)
    ada.until("n")
    grace = enter(server, arena, "Grace")
    for tab in (grace, ada):
        tab.until("n")
    for direction in (RIGHT, RIGHT, LEFT, LEFT, DOWN):
        ada.step(direction)
        grace.until("m")
    ada.ask(c="m", d=LEFT)  # a wall
    ada.ask(c="m", d=9)
    grace.send(c="t", text="<b>good</b> luck")
    for tab in (ada, grace):
        tab.until("t")
    for direction in (LEFT, RIGHT):
        grace.step(direction)
        ada.until("m")
    ada.ask(c="b")
    ada.ask(c="b")  # one at a time
    for tab in (ada, grace):
        for letter in "bxdvr":
            if not any(message["c"] == letter for message in tab.heard):
                tab.until(letter)
    ada.socket.close()
    grace.until("l")
    grace.socket.close()
    # Pongs do not come by Redis, so their place among the others is chance.
    return [[message for message in tab.heard if message["c"] != "p"] for tab in (ada, grace)]


@pytest.fixture
def enter() -> Iterator[Callable[..., Tab]]:
    """Open a page: `enter(server, "arena", "Ada")`."""
    tabs: list[Tab] = []

    def make(*arguments: Any) -> Tab:
        tabs.append(Tab(*arguments))
        return tabs[-1]

    yield make
    for tab in tabs:
        tab.socket.shutdown()


@pytest.fixture
def classic(shared_server: Callable[..., Server], redis_server: RedisServer) -> Server:
    # The application keeps its connections to Redis in a pool.
    return shared_server(None, *ARGUMENTS, env={"REDIS_URL": redis_server.url}, lasting=8)


def test_a_match(classic: Server, enter: Callable[..., Tab]) -> None:
    heard = scripted_match(enter, classic, "match")
    letters = ["".join(message["c"] for message in one) for one in heard]
    assert letters == ["wnn" + "mmmmm" + "t" + "mm" + "bxdvr", "wn" + "mmmmm" + "t" + "mm" + "bxdvr" + "l"]
    said = {message["c"]: message for message in heard[1]}
    assert said["b"] == {"c": "b", "p": 0, "x": 1, "y": 2, "r": 2}
    assert said["x"]["bombs"] == [[1, 2]]
    assert {(1, 1), (1, 2), (1, 3)} <= {tuple(cell) for cell in said["x"]["cells"]}
    assert (said["d"], said["v"]) == ({"c": "d", "p": 0, "by": 0}, {"c": "v", "p": 1})
    assert (said["r"]["round"], [player[6] for player in said["r"]["players"]]) == (2, [0, 1])


@pytest.mark.differential
def test_the_real_uwsgi_says_the_same(
    classic: Server, uwsgi_server: Callable[..., Server], redis_server: RedisServer, enter: Callable[..., Tab]
) -> None:
    theirs = scripted_match(enter, uwsgi_server(None, *ARGUMENTS, env={"REDIS_URL": redis_server.url}), "same")
    with redis.Redis.from_url(redis_server.url) as client:
        wait_until(lambda: client.pubsub_numsub("classic:same")[0][1] == 0, 20, "the end of the first match: both servers use this Redis")
    ours = scripted_match(enter, classic, "same")
    for our, their in zip(ours, theirs):
        assert [message["c"] for message in our] == [message["c"] for message in their]
        for one, other in zip(our, their):
            assert one == other


@pytest.mark.parametrize(
    "data", ["hello", "[]", '{"x": 1}', '{"c": "m", "d": 1}', '{"c": "n"}', '{"c": "n", "name": 1, "hue": "x"}', '{"c": "b"}', "[" * 9999]
)
def test_nonsense_ends_the_connection_and_nothing_else(classic: Server, enter: Callable[..., Tab], data: str) -> None:
    ada = enter(classic, "nonsense", "Ada")
    assert ada.until("w")["you"] == 0
    stranger = websocket.create_connection(f"{classic.ws_url}/classic/nonsense", timeout=5)
    stranger.send(data)
    opcode, _ = stranger.recv_data()
    assert opcode == websocket.ABNF.OPCODE_CLOSE
    stranger.shutdown()
    ada.send(c="p", n=1)
    assert ada.until("p")["n"] == 1


def test_the_page_is_pointed_to_it(classic: Server) -> None:
    page = requests.get(classic.url + "/", timeout=10)
    assert page.url == classic.url + "/index.html?classic"
    assert "<title>Bombertab</title>" in page.text
