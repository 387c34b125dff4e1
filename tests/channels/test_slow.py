"""A subscriber that does not read delays nobody, and what it loses is counted."""

from __future__ import annotations

import select
import selectors
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable

import pytest

from tests.channels.remote import Member
from tests.harness.servers import Geuwsgi

Connect = Callable[..., Member]
StartServer = Callable[..., Geuwsgi]


#: On a busy machine it takes half a minute to fill what a silent peer is given; it is not to be dropped for its silence.
NO_PINGS = ("--websockets-ping-freq", "0")


def flood(members: Connect, server: Geuwsgi) -> tuple[Member, Member]:
    """A reader, and one who has been sent far more than the kernel holds without reading any of it."""
    slow, reader = members(server, 2, "room")
    for _ in range(20):
        reader.call("send_many", "room", 100_000, 10)
        reader.hear(10)
    return slow, reader


def test_drop_newest(server: StartServer, members: Connect) -> None:
    running = server("channels.py", "--channel-queue", "20", *NO_PINGS)
    slow, reader = flood(members, running)
    counted = reader.call("channels")["room"]
    assert counted["dropped"] > 0
    assert counted["dropped"] + counted["delivered"] == 400
    expected = 200 - counted["dropped"]
    heard = slow.hear(expected)
    assert [message[:6] for message in heard[:10]] == [f"{n:06}" for n in range(10)]
    slow.nothing()
    slow.close()
    running.wait_log(f"{counted['dropped']} channel messages did not reach it")


def test_drop_oldest(server: StartServer, members: Connect) -> None:
    running = server("channels.py", "--channel-queue", "20", "--channel-overflow", "drop-oldest", *NO_PINGS)
    slow, reader = flood(members, running)
    dropped = reader.call("channels")["room"]["dropped"]
    assert dropped > 0
    heard = slow.hear(200 - dropped)
    assert [message[:6] for message in heard[-10:]] == [f"{n:06}" for n in range(10)]
    slow.nothing()


def test_close(server: StartServer, members: Connect) -> None:
    running = server("channels.py", "--channel-queue", "20", "--channel-overflow", "close", *NO_PINGS)
    slow, reader = members(running, 2, "room")
    while reader.call("count", "room") == 2:
        reader.call("send_many", "room", 100_000, 10)
        reader.hear(10)
    # What was accepted before still arrives, and then the reason.
    opcode = 1
    while opcode != 8:
        opcode, data = slow.socket.recv_data()
    assert data == (1013).to_bytes(2, "big") + b"reading too slowly"


def test_bytes_are_bounded_too(server: StartServer, members: Connect) -> None:
    running = server("channels.py", "--channel-queue-bytes", "300000", *NO_PINGS)
    _, reader = flood(members, running)
    assert reader.call("channels")["room"]["dropped"] > 0


def test_a_publisher_in_a_loop_lets_others_have_their_turn(server: StartServer, members: Connect) -> None:
    running = server("channels.py", *NO_PINGS)  # the first ping would look like the end of the publishing
    room = members(running, 2, "room")
    url = running.url.rstrip("/")
    # Far more than a second of publishing, in a loop that never yields by itself.
    publisher = members(running)
    publisher.socket.send('["send_many", "room", 10, 60000]')
    served = 0
    while not select.select([publisher.socket.sock], [], [], 0)[0]:
        with urllib.request.urlopen(url + "/other", timeout=20) as answer:
            answer.read()
        served += 1
    assert served >= 2, "requests while it publishes: without turns the first would have waited to its end"
    assert publisher.call("worker") == []  # the answer to the first command
    assert len(room[0].hear(1000)) == 1000


@pytest.mark.alone
def test_a_large_room_beside_one_who_does_not_read(server: StartServer, members: Connect) -> None:
    """In a room that is served in batches, the others hear everything in order beside one that is stuck."""
    running = server("channels.py", "--gevent", "2000", "--channel-queue", "5", "--websockets-ping-freq", "0")
    room = members(running, 300, "room")
    stuck, sender, *others = room[:6]
    with discarding([member.socket.sock for member in room[6:]]):
        for number in range(20):
            sender.call("send_many", "room", 60_000, 5)
            for member in [sender, *others]:
                assert [message[:6] for message in member.hear(5)] == [f"{n:06}" for n in range(5)], number
            if sender.call("channels")["room"]["dropped"] and number > 10:
                break
        assert sender.call("channels")["room"]["dropped"] > 0
    stuck.socket.shutdown()


@contextmanager
def discarding(sockets: list[socket.socket]) -> Iterator[None]:
    """Read from many sockets in the background, without looking at it."""
    selector = selectors.DefaultSelector()
    for sock in sockets:
        selector.register(sock, selectors.EVENT_READ)
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            for key, _ in selector.select(0.05):
                key.fileobj.recv(1 << 20)  # type: ignore[union-attr]

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        selector.close()


@pytest.mark.parametrize("policy", ["newest", "1013"])
def test_an_unknown_policy(policy: str, run_geuwsgi: Callable[..., object]) -> None:
    result = run_geuwsgi("--http-socket", "127.0.0.1:0", "--wsgi-file", "x.py", "--channel-overflow", policy)
    assert result.returncode == 1  # type: ignore[attr-defined]
    assert "drop-newest, drop-oldest, close" in result.stderr  # type: ignore[attr-defined]
