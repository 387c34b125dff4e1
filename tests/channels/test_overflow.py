"""Members that read too slowly: what they get is whole and in order, what they do not get is counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

import gevent
import pytest

from geuwsgi.channels.hub import DIRECT, ChannelHub
from geuwsgi.channels.queue import Queue
from geuwsgi.channels.settings import ChannelSettings
from tests.channels.local import Client, clients, make_hub, served

TEXT = 1
Make = Callable[..., Client]


@pytest.fixture
def client() -> Iterator[Make]:
    with clients() as make:
        yield make


def fill(hub: ChannelHub, count: int, size: int, *readers: Client) -> list[bytes]:
    """Publish numbered messages, which some read."""
    published = [b"%06d" % number + b"x" * size for number in range(count)]
    for payload in published:
        hub.publish("room", TEXT, payload)
        gevent.sleep(1e-9)
        for reader in readers:
            reader.read()
    served(hub, "room")
    return published


def counters(hub: ChannelHub) -> dict[str, int]:
    return hub.statistics()["room"]


@pytest.fixture(params=[0, DIRECT + 1], ids=["small", "large"])
def others(request: pytest.FixtureRequest, client: Make) -> Callable[[ChannelHub], list[Client]]:
    """Members beside the slow one, so many that the room is served at once or in line."""

    def join(hub: ChannelHub) -> list[Client]:
        made = [client() for _ in range(request.param + 1)]
        for member in made:
            hub.join("room", member.connection)
        return made

    return join


@pytest.mark.parametrize(
    ("limits", "size"),
    [({"queue": 7}, 10), ({"queue": 7}, 3000), ({"queue": 7}, 100_000), ({"queue_bytes": 20_000}, 10), ({"queue_bytes": 20_000}, 3000)],
)
def test_drop_newest(client: Make, others: Any, size: int, limits: dict[str, int]) -> None:
    hub = make_hub(**limits)
    slow = client(send_buffer=4096)
    hub.join("room", slow.connection)
    readers = others(hub)
    count = 60 if size > 1000 else 3000
    published = []
    for start in range(0, count, 5):
        published += [b"%06d" % (start + number) + b"x" * size for number in range(5)]
        for payload in published[-5:]:
            hub.publish("room", TEXT, payload)
        for reader in readers:
            assert reader.hear(len(published))[-5:] == published[-5:]
    dropped = counters(hub)["dropped"]
    assert dropped == slow.connection.writer.dropped > 0
    assert counters(hub)["delivered"] == count * (len(readers) + 1) - dropped
    heard = slow.hear(count - dropped)
    assert heard[0] == published[0]
    assert heard == [payload for payload in published if payload in set(heard)]  # whole and in order
    assert slow.connection.writer.size == 0
    hub.publish("room", TEXT, b"again")
    assert slow.hear(count - dropped + 1)[-1] == b"again"
    hub.stop()


@pytest.mark.parametrize("size", [10, 3000, 100_000])
def test_drop_oldest(client: Make, others: Any, size: int) -> None:
    hub = make_hub(queue=7, overflow="drop-oldest")
    slow = client(send_buffer=4096)
    hub.join("room", slow.connection)
    others(hub)
    count = 60 if size > 1000 else 3000
    published = fill(hub, count, size)
    dropped = slow.connection.writer.dropped
    assert counters(hub)["dropped"] >= dropped > 0
    # Frames of the application and control frames are never dropped for those of a channel.
    slow.connection.writer.send_message(TEXT, b"of the application")
    heard = slow.hear(count - dropped + 1)
    assert heard.pop() == b"of the application"
    assert heard[-6:] == published[-6:]
    assert heard == [payload for payload in published if payload in set(heard)]
    hub.stop()


def test_the_applications_own_frames_stay(client: Make) -> None:
    hub = make_hub(queue=4, overflow="drop-oldest")
    slow = client(send_buffer=4096)
    hub.join("room", slow.connection)
    writer = slow.connection.writer
    while not writer.size:
        writer.send_message(TEXT, b"own" + b"x" * 5000)
    own = [b"own-%d" % number for number in range(10)]
    for payload in own:
        writer.send_message(TEXT, payload)
        hub.publish("room", TEXT, b"channel")
    with gevent.Timeout(20):
        while writer.size:
            slow.read()
            gevent.sleep(0.001)
    heard = [payload for payload in slow.payloads() if not payload.startswith(b"ownx")]
    assert heard == own
    assert counters(hub)["dropped"] == 10
    hub.stop()


def test_close(client: Make, others: Any) -> None:
    hub = make_hub(queue=7, overflow="close")
    slow = client(send_buffer=4096)
    hub.join("room", slow.connection)
    readers = others(hub)
    fill(hub, 60, 3000, *readers)
    assert hub.local_count("room") == len(readers)
    assert not slow.connection.open
    with gevent.Timeout(20):
        while not slow.read() or slow.frames[-1][0] != 0x88:
            gevent.sleep(0.001)
    *messages, (_, reason) = slow.frames
    assert reason == (1013).to_bytes(2, "big") + b"reading too slowly"
    assert all(len(payload) == 3006 for _, payload in messages)
    # Those that waited went too, so that the reason is heard in time.
    assert len(messages) + slow.connection.writer.dropped <= 60
    for reader in readers:
        assert len(reader.hear(60)) == 60
    hub.stop()


def test_what_collects_behind_a_cork_is_no_sign_of_a_slow_peer(client: Make) -> None:
    hub = make_hub(queue=10)
    member = client()
    hub.join("room", member.connection)
    member.connection.writer.corked = True
    published = fill(hub, 100, 10)
    member.connection.writer.uncork()
    assert member.hear(100) == published
    assert counters(hub)["dropped"] == 0
    hub.stop()


@pytest.mark.parametrize("overflow", ["drop-newest", "close"])
def test_a_queue_keeps_the_oldest(overflow: str) -> None:
    queue = Queue(ChannelSettings(queue=3, overflow=overflow))
    assert [queue.put(b"%d" % number) for number in range(5)] == [True, True, True, False, False]
    assert [queue.get(0) for _ in range(4)] == [b"0", b"1", b"2", None]
    assert queue.dropped == 2


def test_a_queue_keeps_the_newest() -> None:
    queue = Queue(ChannelSettings(queue=3, overflow="drop-oldest"))
    assert all(queue.put(b"%d" % number) for number in range(5))
    assert [queue.get(0) for _ in range(4)] == [b"2", b"3", b"4", None]
    assert queue.dropped == 2


def test_a_queue_counts_bytes() -> None:
    queue = Queue(ChannelSettings(queue_bytes=100))
    assert queue.put(b"x" * 60)
    assert not queue.put(b"y" * 60)
    assert queue.put(b"z" * 40)
    assert [queue.get(0), queue.get(0)] == [b"x" * 60, b"z" * 40]
    assert queue.put(b"a" * 1000), "one is taken whatever its size"


def test_waiting_for_a_queue() -> None:
    queue = Queue(ChannelSettings())
    waiting = [gevent.spawn(queue.get, 5), gevent.spawn(queue.get, 5), gevent.spawn(queue.get, None)]
    gevent.sleep(0)
    queue.put(b"1")
    queue.put(b"2")
    gevent.joinall(waiting[:2], timeout=20)
    assert sorted(greenlet.value for greenlet in waiting if greenlet.ready()) == [b"1", b"2"]
    queue.put(b"last")
    queue.close()
    gevent.joinall(waiting, timeout=20)
    assert sorted(greenlet.value for greenlet in waiting) == [b"1", b"2", b"last"]
    assert queue.get(None) is None


def test_a_deadline_is_one_however_often_somebody_else_is_faster() -> None:
    queue = Queue(ChannelSettings())
    late = gevent.spawn(queue.get, 0.2)

    def snatch() -> None:
        while not late.ready():
            queue.put(b"x")
            queue.get(0)  # before the other wakes
            gevent.sleep(0.01)

    snatching = gevent.spawn(snatch)
    late.join(20)
    assert late.ready()
    snatching.kill()
