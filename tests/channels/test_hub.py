"""The hub of one worker, with real websockets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Callable

import gevent
import pytest
from gevent import get_hub

from geuwsgi.channels.channel import Message
from geuwsgi.channels.hub import DIRECT, ChannelHub
from geuwsgi.channels.pace import BATCH, LINE
from geuwsgi.channels.queue import Queue
from geuwsgi.channels.settings import ChannelSettings
from geuwsgi.errors import ChannelError
from geuwsgi.protocol.deflate import DeflateParameters, Inflater
from tests.channels.local import Client, clients, make_hub

TEXT, BINARY = 1, 2
SETTINGS = ChannelSettings()

Make = Callable[..., Client]


@pytest.fixture
def client() -> Iterator[Make]:
    with clients() as make:
        yield make


@pytest.fixture
def hub() -> Iterator[ChannelHub]:
    made = make_hub()
    yield made
    made.stop()


def room(hub: ChannelHub, client: Make, count: int) -> list[Client]:
    members = [client() for _ in range(count)]
    for member in members:
        hub.join("room", member.connection)
    return members


def numbers(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(start, start + count)]


# more than one batch, more than what is sent directly, and less
SIZES = pytest.mark.parametrize("size", [2, DIRECT + 1, BATCH + 50])


@SIZES
def test_everybody_hears_everything_in_order(hub: ChannelHub, client: Make, size: int) -> None:
    members = room(hub, client, size)
    for payload in numbers(300):
        hub.publish("room", TEXT, payload)
    for member in members:
        assert member.hear(300) == numbers(300)
    assert hub.statistics() == {"room": {"subscribers": size, "published": 300, "delivered": 300 * size, "dropped": 0, "lost": 0}}


@SIZES
def test_several_publishers(hub: ChannelHub, client: Make, size: int) -> None:
    members = room(hub, client, size)

    def publish(name: bytes) -> None:
        for payload in numbers(100):
            hub.publish("room", TEXT, name + payload)
            if payload.endswith(b"7"):
                gevent.sleep(0)

    gevent.joinall([gevent.spawn(publish, name) for name in (b"a", b"b", b"c")], raise_error=True)
    for member in members:
        heard = member.hear(300)
        for name in (b"a", b"b", b"c"):
            assert [payload[1:] for payload in heard if payload.startswith(name)] == numbers(100)


@SIZES
def test_who_leaves_hears_no_more_and_who_joins_hears_what_follows(hub: ChannelHub, client: Make, size: int) -> None:
    members = room(hub, client, size)
    leaver, back, *others = members
    newcomer = client()
    hub.publish("room", TEXT, b"before")
    hub.leave("room", leaver.connection)
    hub.leave("room", back.connection)
    hub.join("room", back.connection)
    hub.join("room", newcomer.connection)
    hub.publish("room", TEXT, b"after")
    for member in others:
        assert member.hear(2) == [b"before", b"after"]
    assert newcomer.hear(1) == [b"after"]
    # Who has left may miss what was published just before, but never hears it after having joined again.
    assert back.hear(1) in ([b"after"], [b"before", b"after"])
    assert leaver.payloads() in ([], [b"before"])


def test_a_peer_that_is_gone_leaves_at_once(hub: ChannelHub, client: Make) -> None:
    first, second = room(hub, client, 2)
    queue = Queue(SETTINGS)
    hub.join_queue("room", queue, second.connection)
    assert hub.local_count("room") == 3
    second.vanish()
    with gevent.Timeout(20):
        while hub.local_count("room") != 1:
            gevent.sleep(0.001)
    assert queue.closed
    hub.publish("room", TEXT, b"alone")
    assert first.hear(1) == [b"alone"]


def test_a_channel_without_members_is_forgotten(hub: ChannelHub, client: Make) -> None:
    (member,) = room(hub, client, 1)
    hub.leave("room", member.connection)
    hub.publish("room", TEXT, b"nobody")
    hub.leave("room", member.connection)
    assert hub.statistics() == {}
    assert member.connection.channels == []


@SIZES
def test_exclude(hub: ChannelHub, client: Make, size: int) -> None:
    members = room(hub, client, size)
    queue = Queue(SETTINGS)
    hub.join_queue("room", queue)
    hub.publish("room", TEXT, b"1")
    hub.publish("room", TEXT, b"2", (members[0].connection.writer, queue))
    hub.publish("room", TEXT, b"3")
    for member in members[1:]:
        assert member.hear(3) == [b"1", b"2", b"3"]
    assert members[0].hear(2) == [b"1", b"3"]
    assert [queue.get(0), queue.get(0), queue.get(0)] == [b"1", b"3", None]


def test_text_and_binary(hub: ChannelHub, client: Make) -> None:
    (member,) = room(hub, client, 1)
    hub.publish("room", TEXT, b"t")
    hub.publish("room", BINARY, b"b")
    hub.publish("room", TEXT, b"")
    member.hear(3)
    assert member.frames == [(0x81, b"t"), (0x82, b"b"), (0x81, b"")]


@SIZES
@pytest.mark.parametrize("history", [1, 3, 100])
def test_history_and_then_live_without_gap_or_repetition(client: Make, size: int, history: int) -> None:
    hub = make_hub(history=history)
    members = room(hub, client, size)
    for payload in numbers(10):
        hub.publish("room", TEXT, payload)
    late, queue = client(), Queue(SETTINGS)
    hub.join("room", late.connection)  # nothing of a large room has been sent yet
    hub.join_queue("room", queue)
    for payload in numbers(5, 10):
        hub.publish("room", TEXT, payload)
    first = max(0, 10 - history)
    assert late.hear(15 - first) == numbers(15 - first, first)
    assert [queue.get(0) for _ in range(15 - first)] == numbers(15 - first, first)
    for member in members:
        assert member.hear(15) == numbers(15)
    hub.stop()


def test_history_survives_its_members(client: Make) -> None:
    hub = make_hub(history=2)
    (member,) = room(hub, client, 1)
    for payload in numbers(3):
        hub.publish("room", TEXT, payload)
    hub.leave("room", member.connection)
    hub.publish("room", TEXT, b"3", ())
    late = client()
    hub.join("room", late.connection)
    assert late.hear(2) == [b"2", b"3"]
    hub.stop()


def test_history_is_kept_for_so_many_channels(client: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geuwsgi.channels.hub.KEPT", 3)
    hub = make_hub(history=2)
    member = client()
    hub.join("peopled", member.connection)
    names = [f"room {number}" for number in range(5)]
    for name in ("peopled", "left", *names[:3], "room 0", *names[3:]):
        hub.publish(name, TEXT, name.encode())
    assert [name for name in hub._channels if name != "peopled"] == ["room 0", "room 3", "room 4"]
    hub._recall("recalled", [Message(TEXT, b"past", b"0123456789abcdef")])
    hub.deliver("heard", Message(TEXT, b"live", b"0123456789abcdeg"))
    late = client()
    hub.join("room 4", late.connection)  # is no longer one of those that nobody is in
    hub.publish("room 5", TEXT, b"5")
    assert list(hub._channels) == ["peopled", "room 4", "recalled", "heard", "room 5"]
    hub.leave("room 4", late.connection)
    hub.leave("peopled", member.connection)
    assert list(hub._channels) == ["peopled", "room 4", "room 5"]
    assert late.hear(1) == [b"room 4"]
    hub.stop()


def test_what_is_asked_for_and_comes_by_itself_later_is_heard_once(client: Make) -> None:
    """A new worker gets the history from another one, or from Redis, while some of it is still on its way from the publishers."""
    hub = make_hub(history=4)
    past = [Message(TEXT, b"%d" % number, b"%015d%d" % (0, number)) for number in range(6)]
    hub.deliver("room", past[2])
    hub._recall("room", past[1:5])
    members = room(hub, client, 2)
    for number in (1, 3, 4, 5):
        hub.deliver("room", Message(TEXT, past[number].payload, past[number].identity))
    late = client()
    hub.join("room", late.connection)
    for member in members:
        assert member.hear(5) == [b"1", b"2", b"3", b"4", b"5"]
    assert late.hear(4) == [b"2", b"3", b"4", b"5"]
    hub.stop()


def test_strict(client: Make) -> None:
    hub = make_hub(declared=("known",), strict=True)
    member = client().connection
    for call in (
        lambda: hub.join("no", member),
        lambda: hub.join_queue("no", Queue(SETTINGS)),
        lambda: hub.leave("no", member),
        lambda: hub.publish("no", TEXT, b""),
        lambda: hub.count("no"),
    ):
        with pytest.raises(ChannelError, match="unable to find channel"):
            call()
    hub.join("known", member)
    hub.leave("known", member)
    assert list(hub.statistics()) == ["known"]
    hub.stop()


def test_names_that_are_none(hub: ChannelHub, client: Make) -> None:
    member = client().connection
    for name, text in (("x" * 1025, "1024 bytes"), ("é" * 513, "1024 bytes"), ("\ud800", "no valid Unicode")):
        for call in (
            lambda name=name: hub.join(name, member),
            lambda name=name: hub.publish(name, TEXT, b""),
            lambda name=name: hub.count(name),
        ):
            with pytest.raises(ChannelError, match=text):
                call()
    for name in ("", "x" * 1024, "\udcff"):
        hub.join(name, member)
    assert len(hub.statistics()) == 3


def test_max_size(client: Make) -> None:
    hub = make_hub(max_size=10)
    hub.publish("room", TEXT, b"x" * 10)
    with pytest.raises(ChannelError, match="may have 10 bytes, this one has 11"):
        hub.publish("room", TEXT, b"x" * 11)
    hub.stop()


def test_a_websocket_that_is_over_cannot_join(hub: ChannelHub, client: Make) -> None:
    member = client().connection
    member.close()
    with pytest.raises(ChannelError, match="over"):
        hub.join("room", member)
    assert hub.statistics() == {}


def test_a_publisher_in_a_loop_lets_the_loop_turn(hub: ChannelHub, client: Make) -> None:
    room(hub, client, 20)
    turns = []
    timer = get_hub().loop.timer(0.001, 0.001)
    timer.start(lambda: turns.append(time.process_time()))  # what others have of the processor does not count
    start = time.monotonic()
    while len(turns) < 50 and time.monotonic() - start < 20:
        hub.publish("room", TEXT, b"x" * 64)
    timer.stop()
    timer.close()
    gaps = [b - a for a, b in zip(turns, turns[1:])]
    assert len(turns) >= 50
    assert sorted(gaps)[len(gaps) // 2] < 0.02


def test_a_large_room_is_served_between_turns(hub: ChannelHub, client: Make) -> None:
    members = room(hub, client, 3 * BATCH)
    hub.publish("room", TEXT, b"x")
    served = []
    for _ in range(4):
        gevent.sleep(1e-9)  # one turn
        served.append(sum(len(member.payloads()) for member in members))
    assert served[0] <= BATCH
    assert served[-1] == 3 * BATCH


def test_what_is_published_in_one_turn_goes_out_together(hub: ChannelHub, client: Make) -> None:
    members = room(hub, client, DIRECT + 1)
    before = members[0].connection.writer.bytes_sent
    for payload in numbers(LINE):
        hub.publish("room", TEXT, payload)
    assert members[0].connection.writer.bytes_sent == before
    assert members[0].hear(LINE) == numbers(LINE)


def test_publishers_of_a_large_room_wait_for_each_other_and_not_for_ever(hub: ChannelHub, client: Make) -> None:
    members = room(hub, client, BATCH + 1)
    done = []

    def publish(name: int) -> None:
        for number in range(100):
            hub.publish("room", TEXT, b"%d-%d" % (name, number))
        done.append(name)

    publishers = [gevent.spawn(publish, name) for name in range(5)]
    gevent.sleep(0)
    assert not done
    victim = publishers.pop()
    victim.kill()
    gevent.joinall(publishers, timeout=10, raise_error=True)
    assert sorted(done) == [0, 1, 2, 3]
    heard = members[-1].hear(400)
    for name in range(4):
        assert [payload for payload in heard if payload.startswith(b"%d-" % name)] == [b"%d-%d" % (name, number) for number in range(100)]


def test_publishing_in_the_hub(hub: ChannelHub, client: Make) -> None:
    members = room(hub, client, BATCH + 1)

    def burst() -> None:
        for payload in numbers(LINE + 20):
            hub.publish("room", TEXT, payload)

    get_hub().loop.run_callback(burst)
    assert members[0].hear(LINE + 20) == numbers(LINE + 20)
    assert members[-1].hear(LINE + 20) == numbers(LINE + 20)


def test_threads(hub: ChannelHub, client: Make) -> None:
    """In order, with errors, and without a word getting lost; counting and receiving too."""
    members = room(hub, client, DIRECT + 1)
    queue = Queue(SETTINGS)

    def work() -> Any:
        for payload in numbers(3000):
            hub.publish("room", TEXT, payload)
        hub.join_queue("thread", queue)
        hub.publish("thread", TEXT, b"to myself")
        heard = hub.receive(queue, 5)
        hub.leave("thread", queue)
        with pytest.raises(ChannelError):
            hub.publish("x" * 2000, TEXT, b"")
        with pytest.raises(ChannelError):
            hub.count("x" * 2000)
        return heard, hub.count("room"), hub.receive(queue, 0)

    assert get_hub().threadpool.apply(work) == (b"to myself", DIRECT + 1, None)
    assert members[-1].hear(3000) == numbers(3000)


@pytest.mark.parametrize("payload", [b"short", b"compressible " * 50])
def test_compressed_once_for_each_kind(hub: ChannelHub, client: Make, payload: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = [client() for _ in range(3)]
    shared = [client(deflate=DeflateParameters()) for _ in range(3)]
    narrow = [client(deflate=DeflateParameters(server_max_window_bits=9)) for _ in range(3)]
    takeover = [client(deflate=DeflateParameters(server_no_context_takeover=False)) for _ in range(3)]
    members = [*plain, *shared, *narrow, *takeover]
    for member in members:
        hub.join("room", member.connection)
    encoded = []
    published: list[Any] = []

    def spread(writers: Any, start: int, stop: int, messages: Any, *limits: int) -> Any:
        published.extend(messages)
        return real(writers, start, stop, messages, *limits)

    real = hub._spread
    monkeypatch.setattr(hub, "_spread", spread)
    hub.publish("room", TEXT, payload)
    for member in members:
        member.hear(1)
    (message,) = published
    assert sorted(message.frames) == [0, 9, 15]
    encoded = [member.frames[0] for member in members]
    compressed = len(payload) > 128
    assert encoded[:3] == [(0x81, payload)] * 3
    # A connection with a context gets it as it is: a frame that refers to earlier ones could not be dropped.
    assert encoded[9:] == [(0x81, payload)] * 3
    for group in (encoded[3:6], encoded[6:9]):
        assert len(set(group)) == 1
        head, data = group[0]
        assert head == (0xC1 if compressed else 0x81)
        assert (Inflater(15, False).inflate(data, True, 10_000) if compressed else data) == payload


def test_an_own_message_after_one_of_a_channel_on_a_connection_with_context(hub: ChannelHub, client: Make) -> None:
    member = client(deflate=DeflateParameters(server_no_context_takeover=False))
    hub.join("room", member.connection)
    inflater = Inflater(15, True)
    payload = b"compressible " * 50
    for _ in range(3):
        member.connection.send(TEXT, payload)
        hub.publish("room", TEXT, payload)
    member.hear(6)
    assert [(head, inflater.inflate(data, True, 10_000) if head & 0x40 else data) for head, data in member.frames] == [
        (0xC1, payload),
        (0x81, payload),
    ] * 3


def test_what_is_too_large_for_this_server_is_counted(client: Make) -> None:
    hub = make_hub(max_size=10)
    hub.join("room", client().connection)
    hub.deliver("room", Message(1, b"x" * 11))
    hub.deliver("nobody-here", Message(1, b"x" * 11))
    assert hub.statistics()["room"]["lost"] == 1
    assert "nobody-here" not in hub.statistics()
    hub.stop()
