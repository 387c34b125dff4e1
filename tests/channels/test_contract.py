"""What channels promise, over every backend."""

from __future__ import annotations

import urllib.request
from typing import Callable

import websocket

from tests.channels.remote import Member
from tests.harness.servers import Geuwsgi

Connect = Callable[..., Member]
Start = Callable[..., Geuwsgi]


def get(server: Geuwsgi, path: str) -> None:
    with urllib.request.urlopen(server.url.rstrip("/") + path, timeout=20) as answer:
        assert answer.read() == b"done\n"


def test_everybody_hears_everything_once(channel_server: Start, members: Connect) -> None:
    server = channel_server()
    room = members(server, 8, "room")
    for index, member in enumerate(room):
        member.call("send", "room", f"from {index}")
    for member in room:
        assert sorted(member.hear(8)) == [f"from {index}" for index in range(8)]
    for member in room:
        member.nothing()


def test_in_order_per_publisher(channel_server: Start, members: Connect) -> None:
    server = channel_server()
    room = members(server, 6, "room")
    for index, member in enumerate(room[:2]):
        member.call("send_many", "room", index, 300)
    for member in room:
        heard = member.hear(600)
        for index in range(2):
            assert [message for message in heard if len(message) == 6 + index] == [f"{n:06}" + "x" * index for n in range(300)]
    for member in room:
        member.nothing()


def test_text_and_binary(channel_server: Start, members: Connect) -> None:
    server = channel_server()
    room = members(server, 4, "room")
    room[0].call("send", "room", "gr\u00fc\u00df \U0001f600")
    room[0].call("send_bytes", "room", "68c3a9")
    room[0].call("send_bytes", "room", "ff00fe")
    room[0].call("send_binary", "room", "6162")
    room[0].call("send", "room", "")
    for member in room:
        assert member.hear(5) == ["gr\u00fc\u00df \U0001f600", "h\u00e9", b"\xff\x00\xfe", b"ab", ""]


def test_large_messages_keep_their_boundaries(channel_server: Start, members: Connect) -> None:
    server = channel_server()
    room = members(server, 4, "room")
    for member in room[:2]:
        member.call("send_many", "room", 300_000, 4)
    for member in room:
        assert sorted(member.hear(8)) == sorted(2 * [f"{n:06}" + "x" * 300_000 for n in range(4)])


def test_rooms_do_not_mix(channel_server: Start, members: Connect) -> None:
    server = channel_server()
    here, there, both = members(server, 3)
    here.call("join", "here")
    there.call("join", "there")
    both.call("join", "here")
    both.call("join", "there")
    both.call("send", "here", "h")
    assert here.hear() == ["h"]
    assert both.hear() == ["h"]
    both.call("send", "there", "t")
    assert there.hear() == ["t"]
    assert both.hear() == ["t"]
    for member in (here, there, both):
        member.nothing()


#: Names that mean something to somebody else: to Redis, to file systems, to the backends themselves.
ODD_NAMES = ["", " ", "a b\r\nPUBLISH x", "\x00", "\x00control", "\x00\x00control", "\x00history:room", "*?[x]", "é" * 512, "../etc", "%s"]


def test_any_name_will_do(channel_server: Start, members: Connect) -> None:
    server = channel_server()
    room = members(server, 4)
    for name in ODD_NAMES:
        for member in room:
            member.call("join", name)
    for name in ODD_NAMES:
        room[0].call("send", name, f"to {name!r}")
        for member in room:
            assert member.hear() == [f"to {name!r}"]
        room[1].counts(name, 4)
        for member in room:
            member.call("leave", name)
        assert room[1].call("count", name) == 0
    assert "1025" in room[0].fails("join", "x" * 1025)
    assert "no valid Unicode" in room[0].fails("send", "\ud800", "x")
    for member in room:
        member.nothing()


def test_joining_twice_is_one_membership(channel_server: Start, members: Connect) -> None:
    server = channel_server()
    member = members(server, 1, "room", "room")
    member.call("send", "room", "once")
    assert member.hear() == ["once"]
    assert member.call("count", "room") == 1
    member.call("leave", "room")
    assert member.call("count", "room") == 0
    member.call("leave", "room")
    member.call("send", "room", "nobody")
    member.nothing()


def test_no_need_to_join_to_send(channel_server: Start, members: Connect) -> None:
    server = channel_server()
    room = members(server, 4, "room")
    outside = members(server)
    outside.call("send", "room", "from outside")
    get(server, "/say/room/from-a-request")
    outside.call("later", "room", "from a greenlet")
    for member in room:
        assert sorted(member.hear(3)) == ["from a greenlet", "from outside", "from-a-request"]
    outside.nothing()


def test_without_the_sender(channel_server: Start, members: Connect) -> None:
    server = channel_server()
    room = members(server, 4, "room")
    room[0].call("queue", "room")
    room[0].call("send_others", "room", "psst")
    for member in room[1:]:
        assert member.hear() == ["psst"]
    room[0].nothing()
    assert room[0].call("recv", "room", 0.05) is None


def test_receiving_in_the_application(channel_server: Start, members: Connect) -> None:
    server = channel_server()
    reader, writer = members(server, 2)
    assert reader.fails("recv", "room") == "OSError: unable to receive channel message"
    reader.call("queue", "room")
    assert reader.call("recv", "room", 0.05) is None
    assert reader.call("recv", "room", 0) is None
    writer.call("send", "room", "one")
    writer.call("send", "room", "two")
    assert reader.call("recv", "room", 20) == "one"
    assert reader.call("recv", "room") == "two"
    reader.nothing()
    reader.call("unqueue", "room")
    assert reader.fails("recv", "room") == "OSError: unable to receive channel message"


def test_a_reader_that_never_looks_at_its_websocket(channel_server: Start, members: Connect) -> None:
    """The end of its websocket ends the wait for the channel, and is nothing to complain of in the log (which the harness checks)."""
    server = channel_server()
    other = members(server)
    reader = websocket.create_connection(server.ws_url + "/reader", timeout=10)
    other.counts("reader", 1)
    other.call("send", "room", "news")
    assert reader.recv() == "news"
    reader.close()
    other.counts("room", 0)


def test_who_leaves_is_gone(channel_server: Start, members: Connect) -> None:
    server = channel_server()
    room = members(server, 6, "room")
    room[0].counts("room", 6)
    room[5].close()
    room[4].socket.shutdown()
    room[3].call("queue", "room")
    room[3].close()
    room[0].counts("room", 3)
    room[0].call("send", "room", "still here")
    for member in room[:3]:
        assert member.hear() == ["still here"]


def test_a_membership_that_outlives_its_websocket(channel_server: Start, members: Connect) -> None:
    """And ends when the server stops, so that the request that has it finds out, and nothing has to be killed."""
    server = channel_server()
    host, *others = members(server, 4)
    host.call("host", "inbox")
    for member in others:
        member.call("join", "inbox again")
    host.close()
    for number, member in enumerate(others):
        member.call("send", "inbox", f"question {number}")
    for member in others:
        assert sorted(member.hear(3)) == ["question 0", "question 1", "question 2"]
    others[0].counts("inbox", 1)
    for member in others:
        member.close()
    status, seconds = server.interrupt()
    assert (status, "killed" in server.log) == (0, False), server.log
    assert seconds < 5


def test_from_a_thread_in_order(channel_server: Start, members: Connect) -> None:
    server = channel_server()
    room = members(server, 3, "room")
    get(server, "/thread/room/500")
    for member in room:
        assert member.hear(500) == [str(number) for number in range(500)]


def test_strict(channel_server: Start, members: Connect) -> None:
    server = channel_server("--channel", "known", "--channel", "other", "--channel-strict")
    member = members(server, 1, "known")
    member.call("send", "known", "fine")
    assert member.hear() == ["fine"]
    for call in (("join", "no"), ("leave", "no"), ("send", "no", "x"), ("queue", "no"), ("count", "no")):
        assert member.fails(*call) == "ValueError: unable to find channel"


def test_a_message_may_be_too_large(channel_server: Start, members: Connect) -> None:
    server = channel_server("--channel-max-size", "1")
    room = members(server, 2, "room")
    room[0].call("send", "room", "x" * 1024)
    assert "1024 bytes" in room[0].fails("send", "room", "x" * 1025)
    for member in room:
        assert member.hear() == ["x" * 1024]


def test_history(channel_server: Start, members: Connect) -> None:
    server = channel_server("--channel-history", "3")
    first = members(server, 1, "room")
    for number in range(5):
        first.call("send", "room", str(number))
    assert first.hear(5) == list("01234")
    late = members(server)
    # A worker that has only just got its first member has heard nothing before: with Redis it was not subscribed.
    while late.call("worker") != first.call("worker"):
        late = members(server)
    late.call("join", "room")
    assert late.hear(3) == list("234")
    first.call("send", "room", "live")
    assert late.hear() == ["live"]
    late.nothing()
