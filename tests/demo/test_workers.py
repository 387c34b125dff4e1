"""Several workers and several hosts: a room lives in one of them, and its players need not know in which."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import Any, Callable

import pytest
import requests

from tests.demo.page import ARGUMENTS, Page
from tests.harness.redis import RedisServer
from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

RIGHT, BOMB = 2, 8
FAST = ("--set", "bombertab-rate=90", "--set", "bombertab-back-within=2")

OpenPage = Callable[..., Page]


def stats(server: Geuwsgi, workers: int) -> dict[int, Any]:
    """The figures of all workers, by their numbers."""
    found: dict[int, Any] = {}
    with contextlib.ExitStack() as connections:

        def complete() -> bool:
            # Connections go to the worker that has fewest: they stay open until every worker has had one.
            figures = connections.enter_context(requests.Session()).get(server.url + "/stats", timeout=10).json()
            found[figures["worker"]] = figures
            return len(found) == workers

        wait_until(complete, 20, f"figures of {workers} workers")
    return found


def owners(server: Geuwsgi, workers: int, room: str) -> list[Any]:
    return [figures for figures in stats(server, workers).values() if room in figures["rooms"]]


def play_a_round(ada: Page, grace: Page, others: list[Page]) -> None:
    """Ada moves and forgets her bomb; everybody sees it."""
    for page in (ada, grace, *others):
        page.until(lambda page=page: page.phase == "playing")
    assert ada.slot is not None
    slot, before = ada.slot, ada.players[ada.slot]["x"]
    ada.play(*[RIGHT] * 5) if before < 2000 else ada.play(*[4] * 5)
    for page in (grace, *others):
        page.until(lambda page=page: page.players[slot]["x"] != before)
    ada.play(BOMB)
    for page in (grace, *others):
        page.until_event("bomb")
        page.until_event("die", slot, slot)


def test_pages_of_all_workers_share_a_room(server: Callable[..., Geuwsgi], open_page: OpenPage) -> None:
    game = server(None, *ARGUMENTS, "--master", "--processes", "3", *FAST)
    stats(game, 3)  # they serve by now, or all pages could be with the first
    pages = [open_page(game, "shared", f"P{number}", hue=number * 45) for number in range(7)]
    (owner,) = owners(game, 3, "shared")
    assert owner["rooms"]["shared"]["members"] == 7
    assert sum(figures["abroad"] for figures in stats(game, 3).values()) >= 2
    for page in pages:
        page.until(lambda page=page: len(page.seats) == 7)
    assert sorted(page.slot for page in pages) == list(range(7))  # type: ignore[type-var]
    play_a_round(pages[1], pages[0], pages[2:])
    # The lobby hears of rooms wherever they live.
    lobby = open_page(game)
    lobby.send(t="lobby")
    lobby.until(lambda: any(message["t"] == "room" and message["people"] == 7 for message in lobby.told))
    # A lost page comes back through another worker, perhaps, and the one that never does is given up.
    pages[1].socket.sock.close()
    back = open_page(game)
    back.hello("shared", "P1", token=pages[1].token)
    assert back.expect("welcome")["slot"] == pages[1].slot
    pages[2].socket.shutdown()
    pages[0].until(lambda: pages[2].slot not in pages[0].seats)


def test_all_at_once_agree_on_one_room(server: Callable[..., Geuwsgi], open_page: OpenPage) -> None:
    """Every worker opens the room at the same moment; the oldest one stays, and everybody is in it."""
    game = server(None, *ARGUMENTS, "--master", "--processes", "3", *FAST)
    pages = [open_page(game) for _ in range(6)]
    barrier = threading.Barrier(len(pages))

    def say_hello(number: int, page: Page) -> None:
        barrier.wait(10)
        page.hello("rush", f"P{number}", hue=number * 60)

    threads = [threading.Thread(target=say_hello, args=pair) for pair in enumerate(pages)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def all_seated() -> bool:
        for page in pages:
            page.lost(0.02)  # takes in what came: each has to hear that its room has moved
        return all(len(page.seats) == 6 for page in pages)

    wait_until(all_seated, 20, "six seats in one room")
    assert len(owners(game, 3, "rush")) == 1


def test_the_worker_of_a_room_is_killed(server: Callable[..., Geuwsgi], open_page: OpenPage) -> None:
    """Its pages lose their connection; those of the other worker lose only the round, and say hello again, as the page does."""
    game = server(None, *ARGUMENTS, "--master", "--processes", "2", *FAST, expect_log=["signal 9|killed|died|SIGKILL"])
    stats(game, 2)
    pages = [open_page(game, "fragile", f"P{number}", hue=number * 60) for number in range(6)]
    (owner,) = owners(game, 2, "fragile")
    os.kill(owner["pid"], signal.SIGKILL)
    left = [page for page in pages if not page.lost()]
    assert left
    for page in left:
        page.hello("fragile", "again", token=page.token)
        page.expect("welcome")
    wait_until(lambda: len(owners(game, 2, "fragile")) == 1, 20)
    assert sorted(page.slot for page in left) == list(range(len(left)))  # type: ignore[type-var]
    wait_until(lambda: not any(figures["abroad"] for figures in stats(game, 2).values()), what="the room to be where they are")


def test_the_room_is_opened_anew_before_the_others_miss_it(server: Callable[..., Geuwsgi], open_page: OpenPage) -> None:
    """A page of the killed worker is back at once. Those of the other worker hear the new room without a pause, and are in it too."""
    game = server(None, *ARGUMENTS, "--master", "--processes", "2", *FAST, expect_log=["signal 9|killed|died|SIGKILL"])
    stats(game, 2)
    pages = [open_page(game, "quick", f"P{number}", hue=number * 60) for number in range(4)]
    (owner,) = owners(game, 2, "quick")
    told = {page: len(page.told) for page in pages}
    os.kill(owner["pid"], signal.SIGKILL)
    back = open_page(game, "quick", "Back")
    left = [page for page in pages if not page.lost()]
    assert left
    for page in left:
        page.send(t="ping", n=1)
        # On a slow machine they had missed it before, and have been welcomed already.
        page.until(lambda page=page: any(message["t"] == "welcome" for message in page.told[told[page] :]))
        page.send(t="ping", n=2)
        page.expect("pong")
    back.until(lambda: len(back.seats) == 1 + len(left))
    assert sorted(page.slot for page in (back, *left)) == list(range(1 + len(left)))


@pytest.mark.parametrize("workers", [1, 2])
def test_two_hosts_and_one_room(server: Callable[..., Geuwsgi], open_page: OpenPage, redis_server: RedisServer, workers: int) -> None:
    backend = ("--channel-backend", f"{redis_server.url}?prefix=game{workers}:", "--master", "--processes", str(workers))
    hosts = [server(None, *ARGUMENTS, *FAST, *backend) for _ in range(2)]
    ada, grace, linus = open_page(hosts[0], "far", "Ada"), open_page(hosts[1], "far", "Grace", hue=100), open_page(hosts[1], "far", "Linus")
    for page in (ada, grace, linus):
        page.until(lambda page=page: len(page.seats) == 3)
    assert sum(len(owners(host, workers, "far")) for host in hosts) == 1
    play_a_round(grace, ada, [linus])


def test_a_worker_that_restarts_hands_its_rooms_over(server: Callable[..., Geuwsgi], open_page: OpenPage) -> None:
    """Reload: every page is told 1012, and comes back to the room in the new worker within a moment."""
    game = server(None, *ARGUMENTS, "--master", "--processes", "2", *FAST)
    pages = [open_page(game, "reload", f"P{number}", hue=number * 60) for number in range(4)]
    game.signal(signal.SIGHUP)
    for page in pages:
        wait_until(page.lost, 20, "the end of the connection")
        assert page.closed is not None
        assert page.closed[0] == 1012
    again = [open_page(game, "reload", f"P{number}", hue=number * 60) for number in range(4)]
    wait_until(lambda: all(page.lost(0.02) or len(page.seats) == 4 for page in again), 20, "four seats in the room")


def test_who_opened_the_room_leaves(server: Callable[..., Geuwsgi], open_page: OpenPage) -> None:
    """The others play on in the same room, through any worker."""
    game = server(None, *ARGUMENTS, "--master", "--processes", "2", *FAST)
    host = open_page(game, "party", "Host", hue=300)
    (owner,) = owners(game, 2, "party")
    pages: list[Page] = []
    while owners(game, 2, "party")[0]["rooms"]["party"]["members"] < 3 or not any(f["abroad"] for f in stats(game, 2).values()):
        pages.append(open_page(game, "party", f"P{len(pages)}", hue=60 * len(pages)))
        assert len(pages) < 7
    for page in pages:
        page.until(lambda page=page: len(page.seats) == 1 + len(pages))
    host.send(t="leave")
    host.socket.close()
    for page in pages:
        page.until(lambda page=page: host.slot not in page.seats)
    for page in pages:
        page.send(t="chat", text=f"still here, {page.slot}")
    for page in pages:
        page.until(lambda page=page: sum(message["t"] == "said" for message in page.told) == len(pages))
    lobby = open_page(game)
    lobby.send(t="lobby")
    lobby.until(lambda: any(message["t"] == "room" and message["people"] == len(pages) for message in lobby.told))
    late = open_page(game, "party", "Late")
    late.until(lambda: len(late.seats) == 1 + len(pages))
    assert owners(game, 2, "party")[0]["pid"] == owner["pid"], "the same room"
