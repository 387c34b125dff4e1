"""`uwsgi.channel_*` inside real requests; the contract over all backends is in tests/channels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from geuwsgi.channels.hub import ChannelHub
from tests.channels.local import make_hub


@pytest.fixture
def hub(requests: Any) -> Iterator[ChannelHub]:
    made = make_hub(queue=3)
    requests.server.channels = made
    yield made
    made.stop()


def test_before_the_server_runs(install: Any) -> None:
    uwsgi = install()
    with pytest.raises(OSError, match="channels work once the server runs"):
        uwsgi.channel_send("room", "x")


def test_joining_needs_a_request(requests: Any, hub: ChannelHub) -> None:
    with pytest.raises(SystemError):
        requests.uwsgi.channel_join("room")
    requests.uwsgi.channel_send("room", "nobody")
    assert requests.uwsgi.channel_count("room") == 0


def test_receiving(requests: Any, hub: ChannelHub) -> None:
    uwsgi = requests.uwsgi

    def talk(environ: Any) -> Any:
        uwsgi.channel_join("room")
        uwsgi.channel_join(b"room")
        assert uwsgi.channel_count("room") == 1
        heard = [uwsgi.channel_recv("room", 0), uwsgi.channel_recv("room", 0.01)]
        uwsgi.channel_send("room", "one")
        uwsgi.channel_send("room", b"\xff", exclude_self=True)
        uwsgi.channel_send_binary("room", "two")
        heard += [uwsgi.channel_recv("room"), uwsgi.channel_recv(b"room", -1), uwsgi.channel_recv("room", 0)]
        return heard

    assert requests.call(talk) == [None, None, b"one", b"two", None]
    assert hub.local_count("room") == 0, "the end of the request leaves"


def test_without_having_joined(requests: Any, hub: ChannelHub) -> None:
    uwsgi = requests.uwsgi

    def never(environ: Any) -> None:
        uwsgi.channel_recv("room", 0)

    def no_more(environ: Any) -> None:
        uwsgi.channel_join("room")
        uwsgi.channel_leave("room")
        uwsgi.channel_leave("room")
        uwsgi.channel_recv("room", 0)

    for call in (never, no_more):
        with pytest.raises(OSError, match="unable to receive channel message"):
            requests.call(call)

    def plain(environ: Any) -> None:
        uwsgi.websocket_channel_join("room")

    with pytest.raises(OSError, match="unable to join channel"):
        requests.call(plain)


def test_leaving_ends_a_wait(requests: Any, hub: ChannelHub) -> None:
    uwsgi = requests.uwsgi

    def talk(environ: Any) -> Any:
        uwsgi.channel_join("room")
        context = uwsgi.request_context()

        def wait() -> str:
            with pytest.raises(OSError) as error:
                uwsgi.channel_recv("room", None, context)
            return str(error.value)

        waiting = gevent.spawn(wait)
        gevent.sleep(0)
        uwsgi.channel_leave("room")
        return waiting.get(timeout=20)

    assert requests.call(talk) == "unable to receive channel message"


@pytest.mark.parametrize("message", [None, 7, bytearray(b"x"), memoryview(b"x")])
def test_neither_text_nor_bytes(requests: Any, hub: ChannelHub, message: Any) -> None:
    for send in (requests.uwsgi.channel_send, requests.uwsgi.channel_send_binary):
        with pytest.raises(TypeError, match="str or bytes"):
            send("room", message)
    with pytest.raises(TypeError, match="name is str or bytes"):
        requests.uwsgi.channel_send(message, "x")


def test_losses_are_counted_and_logged(requests: Any, hub: ChannelHub, capfd: Any) -> None:
    uwsgi = requests.uwsgi

    def talk(environ: Any) -> Any:
        uwsgi.channel_join("room")
        for number in range(5):
            uwsgi.channel_send("room", str(number))
        return uwsgi.channels()["room"]

    assert requests.call(talk) == {"subscribers": 1, "published": 5, "delivered": 3, "dropped": 2, "lost": 0}
    assert uwsgi.channels() == {"room": {"subscribers": 0, "published": 5, "delivered": 3, "dropped": 2, "lost": 0}}
    assert "GET /: 2 channel messages were dropped because channel_recv was called too rarely" in capfd.readouterr().err
    hub.stop()
    assert "2 deliveries were dropped because somebody read too slowly" in capfd.readouterr().err
