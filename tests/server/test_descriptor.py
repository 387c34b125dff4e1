"""geuwsgi/server/descriptor.py: a number that is readable exactly when `receive_nowait` has something to say"""

from __future__ import annotations

import os
import select
import socket
from pathlib import Path
from typing import Any, Callable

import gevent
import gevent.select
import gevent.socket
import pytest

from geuwsgi.errors import ConnectionClosed
from geuwsgi.protocol.frames import TEXT
from geuwsgi.server.descriptor import Readiness
from geuwsgi.server.request import find_request
from geuwsgi.server.settings import WebSocketSettings
from geuwsgi.server.upgrade import accept
from geuwsgi.server.websocket import WebSocketConnection
from tests.conformance.client import Event, RawClient
from tests.protocol.wire import BINARY, CONTINUATION, PING, close_frame, frame
from tests.server.serving import serving, wait_for
from tests.server.test_websocket import Script, receive_nowait
from tests.server.websockets import WebSocketServing, echo, websockets

END = Event("end")


@pytest.fixture(params=["eventfd", "pipe"] if hasattr(os, "eventfd") else ["pipe"], autouse=True)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With an eventfd, and as on systems that have none."""
    if request.param == "pipe":
        monkeypatch.delattr(os, "eventfd", raising=False)
    return str(request.param)


def readable(fd: int) -> bool:
    """Whether the kernel calls the number readable, now and without anything running meanwhile."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def connection_fd(connection: WebSocketConnection) -> int:
    return connection.connection_fd()


def exchange(client: RawClient) -> None:
    """A ping and its pong: what was sent before has been read by the server."""
    client.send(frame(PING, b"sync"))
    assert client.event() == Event("pong", b"sync")


# -- what makes it readable


def test_nothing_yet() -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        fd = script.do(connection_fd)
        exchange(client)
        assert not readable(fd)
        assert script.do(receive_nowait) == b""
        assert not readable(fd)


def test_the_number_is_the_sockets_own_and_stays() -> None:
    script = Script()
    with websockets(script) as server:
        server.open()
        (connection,) = server.server.connections
        del connection
        before = {int(name) for name in os.listdir("/proc/self/fd")}
        fd = script.do(connection_fd)
        assert fd in before
        assert script.do(connection_fd) == fd
        assert fd < 1024


def test_a_message() -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        fd = script.do(connection_fd)
        for payload in (b"one", b"", b"\xff" * 70_000):
            client.send(frame(BINARY, payload))
            exchange(client)
            assert readable(fd)
            assert script.do(receive_nowait) == payload
            assert not readable(fd)


def test_two_messages_take_two_calls() -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        fd = script.do(connection_fd)
        client.send(frame(TEXT, b"a") + frame(TEXT, b"b"))
        exchange(client)
        assert readable(fd)
        assert script.do(receive_nowait) == b"a"
        assert readable(fd)
        assert script.do(receive_nowait) == b"b"
        assert not readable(fd)


def test_messages_before_the_number_is_asked_for() -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        client.send(frame(TEXT, b"early"))
        exchange(client)
        assert readable(script.do(connection_fd))


def test_half_a_message() -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        fd = script.do(connection_fd)
        client.send(frame(TEXT, b"a", fin=False))
        exchange(client)
        data = frame(CONTINUATION, b"b")
        client.send(data[:-1])
        gevent.sleep(0.02)
        assert not readable(fd)
        client.send(data[-1:])
        exchange(client)
        assert readable(fd)
        assert script.do(receive_nowait) == b"ab"


def test_pings_and_pongs_are_nothing_to_the_application() -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        fd = script.do(connection_fd)
        client.send(frame(0xA, b"unsolicited"))
        for _ in range(10):
            exchange(client)
            assert not readable(fd)


def test_a_message_taken_by_a_waiting_greenlet() -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        fd = script.do(connection_fd)
        script.start(lambda connection: connection.receive())
        gevent.sleep(0.01)
        client.send(frame(TEXT, b"a"))
        assert script.result() == b"a"
        assert not readable(fd)


# -- the end


def ends(server: WebSocketServing, client: RawClient) -> dict[str, Callable[[], Any]]:
    return {
        "a close frame": lambda: client.send(close_frame(1001)),
        "an error": lambda: client.send(b"\xff"),
        "the end of TCP": lambda: client.sock.shutdown(socket.SHUT_WR),
        "this side": lambda: server.talks[0].close(4000),
    }


@pytest.mark.parametrize(("how", "code"), [("a close frame", 1001), ("an error", 1002), ("the end of TCP", 1006), ("this side", 4000)])
def test_the_end(how: str, code: int) -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        fd = script.do(connection_fd)
        ends(server, client)[how]()
        wait_for(lambda: readable(fd))
        for _ in range(3):
            assert script.do(receive_nowait)[0] == code
            assert readable(fd)
        # A number asked for only now tells the same.
        assert script.do(connection_fd) == fd


@pytest.mark.parametrize(("how", "code"), [("a close frame", 1001), ("an error", 1002), ("the end of TCP", 1006)])
def test_the_end_behind_messages(how: str, code: int) -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        fd = script.do(connection_fd)
        client.send(frame(TEXT, b"a") + frame(TEXT, b"b"))
        ends(server, client)[how]()
        wait_for(lambda: readable(fd))
        assert script.do(receive_nowait) == b"a"
        assert readable(fd)
        assert script.do(receive_nowait) == b"b"
        wait_for(lambda: readable(fd))
        assert script.do(receive_nowait)[0] == code
        assert readable(fd)


def test_asked_for_after_the_end() -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        client.send(close_frame(1000))
        assert [client.event(), client.event()] == [Event("close", b"", 1000), END]
        fd = script.do(connection_fd)
        assert readable(fd)
        client.sock.close()
        wait_for(lambda: not len(server.server.keepalive))
        assert readable(fd)
        assert script.do(connection_fd) == fd


def test_asked_for_after_tcp() -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        client.sock.close()
        wait_for(lambda: not len(server.server.keepalive))
        fd = script.do(connection_fd)
        assert readable(fd)
        assert script.do(receive_nowait)[0] == 1006


# -- before the handshake


def test_asked_for_before_the_handshake() -> None:
    numbers: list[int] = []

    def application(environ: Any, start_response: Any) -> Any:
        request = find_request()
        assert request is not None
        fd = request.connection_fd()
        with socket.socket(fileno=os.dup(fd)) as true_socket:
            assert true_socket.getpeername()[0] == "127.0.0.1"
        connection = accept(request)
        numbers.extend((fd, request.connection_fd()))
        for _ in range(3):
            gevent.select.select([fd], [], [], 20)
            connection.send(TEXT, connection.receive_nowait())
        return []

    with serving(application, websocket=WebSocketSettings()) as server:
        sock = gevent.socket.create_connection(server.listener.sock.getsockname())
        with RawClient(sock, 20) as client:
            client.handshake(early=frame(TEXT, b"early"))
            assert client.event() == Event("text", b"early")
            for payload in (b"a", b"b"):
                client.send(frame(PING, b"?"))
                assert client.event() == Event("pong", b"?")
                client.send(frame(TEXT, payload))
                assert client.event() == Event("text", payload)
    assert numbers[0] == numbers[1]


def test_a_plain_request_has_its_true_socket() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        request = find_request()
        assert request is not None
        with socket.socket(fileno=os.dup(request.connection_fd())) as true_socket:
            port = true_socket.getpeername()[1]
        start_response("200 OK", [("Content-Length", "5")])
        return [b"%05d" % port]

    with serving(application) as server:
        client = server.connect()
        assert int(client.ask("/").body) == client.sock.getsockname()[1]


# -- waiting on it


def by_select(fd: int) -> None:
    assert gevent.select.select([fd], [], [], 20)[0] == [fd]


def by_poll(fd: int) -> None:
    poll = gevent.select.poll()
    poll.register(fd, select.POLLIN)
    assert poll.poll(20_000)


def by_wait_read(fd: int) -> None:
    gevent.socket.wait_read(fd, timeout=20)


def by_epoll(fd: int) -> None:
    with select.epoll() as epoll:
        epoll.register(fd, select.EPOLLIN)
        while not epoll.poll(0):
            gevent.sleep(0.001)


WAYS = [by_select, by_poll, by_wait_read, by_epoll]


@pytest.mark.parametrize("wait", WAYS)
def test_one_call_per_event(wait: Callable[[int], None]) -> None:
    empty: list[int] = []

    def talk(connection: WebSocketConnection) -> None:
        fd = connection.connection_fd()
        try:
            while True:
                wait(fd)
                message = connection.receive_nowait()
                if not message:
                    empty.append(1)
                connection.send(TEXT, message)
        except ConnectionClosed:
            pass

    with websockets(talk) as server:
        client = server.open()
        for number in range(50):
            client.send(frame(PING) + frame(TEXT, b"%d" % number))
        got = [client.event() for _ in range(100)]
        assert [event for event in got if event.kind == "text"] == [Event("text", b"%d" % number) for number in range(50)]
        client.send(close_frame(1000))
        assert [client.event(), client.event()] == [Event("close", b"", 1000), END]
    assert not empty


def test_asked_for_in_the_callback_that_delivered() -> None:
    # The application runs inside the read watcher's own callback then, and the watcher is exchanged under it.
    def talk(connection: WebSocketConnection) -> None:
        connection.send(TEXT, connection.receive())
        fd = connection.connection_fd()
        for _ in range(5):
            by_select(fd)
            connection.send(TEXT, connection.receive_nowait())
        echo(connection)

    with websockets(talk) as server:
        client = server.open()
        gevent.sleep(0.01)
        for number in range(10):
            client.send(frame(TEXT, b"%d" % number))
            assert client.event() == Event("text", b"%d" % number)


def test_a_write_that_waits_moves_along() -> None:
    script = Script()
    with websockets(script, outbox_high=1 << 30) as server:
        client = server.open(receive_buffer=8192)
        payload = os.urandom(1 << 20) * 8
        script.do(lambda connection: connection.send(BINARY, payload))
        assert server.talks[0].writer.size
        script.do(connection_fd)
        script.do(lambda connection: connection.send(TEXT, b"behind"))
        assert client.event() == Event("binary", payload)
        assert client.event() == Event("text", b"behind")


def test_a_full_inbox_moves_along() -> None:
    script = Script()
    with websockets(script, inbox_messages=2) as server:
        client = server.open()
        client.send(frame(TEXT, b"x") * 3)
        gevent.sleep(0.02)
        client.send(frame(TEXT, b"x") * 3)
        fd = script.do(connection_fd)
        for _ in range(6):
            wait_for(lambda: readable(fd))
            assert script.do(receive_nowait) == b"x"
        exchange(client)
        assert not readable(fd)


# -- leftovers


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_churn_crosses_no_connections(no_leaks: Any) -> None:
    """Numbers are reused all the time: each client must hear its own messages, and nothing may be left open."""

    def talk(connection: WebSocketConnection) -> None:
        fd = connection.connection_fd()
        try:
            while True:
                by_select(fd)
                message = connection.receive_nowait()
                assert message, "woken for nothing"
                connection.send(TEXT, message)
        except ConnectionClosed:
            pass

    with websockets(talk) as server:
        before = descriptors()

        def play(player: int) -> int:
            for number in range(25):
                client = server.open()
                server.clients.remove(client)
                with client:
                    for turn in range(3):
                        payload = b"%d %d %d" % (player, number, turn)
                        client.send(frame(TEXT, payload))
                        assert client.event() == Event("text", payload)
                    if number % 2:
                        client.send(close_frame(1000))
                        assert client.event() == Event("close", b"", 1000)
            return 25

        players = [gevent.spawn(play, player) for player in range(8)]
        gevent.joinall(players, timeout=60, raise_error=True)
        assert [player.value for player in players] == [25] * 8
        wait_for(lambda: not server.server.connections and not len(server.server.keepalive))
        wait_for(lambda: descriptors() <= before, f"{before} descriptors")


def test_who_still_waits_when_the_request_ends_is_woken() -> None:
    outcome: list[BaseException] = []

    def lag(fd: int) -> None:
        try:
            gevent.socket.wait_read(fd, timeout=60)
            outcome.append(AssertionError("readable"))
        except BaseException as error:
            outcome.append(error)

    def talk(connection: WebSocketConnection) -> None:
        fd = connection.connection_fd()
        gevent.spawn(lag, fd)
        gevent.sleep(0.02)

    with websockets(talk) as server:
        client = server.open()
        assert client.event() == Event("close", b"", 1000)
        client.send(close_frame(1000))
        assert client.event() == END
        client.sock.close()
        wait_for(lambda: outcome)
    # Either it saw the end of the websocket, or the number was closed under it; it did not sit there for its whole minute.
    assert not isinstance(outcome[0], gevent.Timeout)
    assert not isinstance(outcome[0], TimeoutError)


def test_an_application_that_closes_the_number_gets_its_messages_all_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    readiness = Readiness(os.dup(0))
    os.close(readiness.fd)
    readiness.set()
    readiness.clear()
    readiness.close()
    assert capfd.readouterr().err.startswith("the application has closed connection_fd() of a websocket, which the server does ")
