"""geuwsgi/server/http2/carrier.py: websockets over HTTP/2. To the application they are as others; see the conformance suite, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

import gevent
import gevent.select
import pytest

from geuwsgi.errors import ConnectionClosed
from geuwsgi.protocol.frames import encode_frame
from geuwsgi.server.request import find_request
from geuwsgi.server.settings import HTTPSettings, ServerSettings, WebSocketSettings
from geuwsgi.server.upgrade import accept
from geuwsgi.server.websocket import WebSocketConnection
from tests.conformance.client import Event, RawClient
from tests.harness.h2socket import H2Socket
from tests.server.http2client import H2Client
from tests.server.serving import Serving, serving, still, wait_for
from tests.server.websockets import echo


class Talks:
    """The server under test.

    Attributes:
        talks: its websockets so far.
        environs: their requests.
    """

    def __init__(self, running: Serving, talks: list[WebSocketConnection], environs: list[dict[str, Any]]) -> None:
        self.serving = running
        self.server = running.server
        self.talks = talks
        self.environs = environs
        self.sockets: list[Any] = []

    @property
    def address(self) -> Any:
        return self.serving.listener.sock.getsockname()

    def open(self, **changes: Any) -> RawClient:
        """A client behind its handshake, on a connection of its own."""
        self.sockets.append(gevent.socket.create_connection(self.address, 10))
        client = RawClient(H2Socket(self.sockets[-1]), 20)
        client.handshake(**changes)
        return client


@contextmanager
def websockets(talk: Callable[[WebSocketConnection], Any], log_requests: bool = False, **options: Any) -> Iterator[Talks]:
    talks: list[WebSocketConnection] = []
    environs: list[dict[str, Any]] = []

    def application(environ: Any, start_response: Any) -> Any:
        if "HTTP_SEC_WEBSOCKET_KEY" not in environ:
            start_response("200 OK", [])
            return [b"plain"]
        request = find_request()
        assert request is not None
        environs.append(dict(environ))
        connection = accept(request)
        talks.append(connection)
        talk(connection)
        return []

    with serving(application, http={"http2": True}, websocket=WebSocketSettings(**options), log_requests=log_requests) as running:
        found = Talks(running, talks, environs)
        try:
            yield found
        finally:
            for sock in found.sockets:
                sock.close()


def masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame."""
    frame = encode_frame(opcode, payload)
    return bytes((frame[0], frame[1] | 0x80)) + frame[2 : len(frame) - len(payload)] + bytes(4) + payload


def connect(client: H2Client, *headers: tuple[str, str]) -> int:
    """An extended CONNECT on a connection that other streams use as well."""
    return client.ask(
        "/chat", "CONNECT", [("sec-websocket-version", "13"), ("origin", "http://test"), *headers], end=False, protocol="websocket"
    )


def test_the_settings_offer_it() -> None:
    with websockets(echo) as found:
        client = H2Client(found.address)
        client.until(lambda: client.h2.remote_settings.enable_connect_protocol)
        client.close()


def test_beside_requests_on_the_same_connection() -> None:
    with websockets(echo, log_requests=True) as found:
        client = H2Client(found.address)
        one, other = connect(client), connect(client)
        for number in (one, other):
            client.until(lambda number=number: client.answers[number].headers)
            assert client.answers[number].headers == {":status": "200", "sec-websocket-origin": "http://test"}
        client.send(one, masked(1, b"first"))
        assert client.get("/plain").body == b"plain"
        client.send(other, masked(2, b"second"))
        client.until(lambda: client.answers[one].body and client.answers[other].body)
        assert client.answers[one].body == encode_frame(1, b"first")
        assert client.answers[other].body == encode_frame(2, b"second")
        assert found.environs[0]["REQUEST_METHOD"] == "GET"
        assert found.environs[0]["HTTP_UPGRADE"] == "websocket"
        client.send(one, masked(8, b"\x03\xe8"))
        assert client.answer(one).reset is None
        assert client.answers[one].body.endswith(b"\x88\x02\x03\xe8")
        client.h2.end_stream(one)
        client.flush()
        # The other one goes on.
        client.send(other, masked(1, b"on"))
        client.until(lambda: client.answers[other].body.endswith(b"on"))
        client.close()


def test_a_subprotocol() -> None:
    with websockets(echo) as found:
        client = H2Client(found.address)
        number = connect(client, ("sec-websocket-protocol", "chat"))
        client.until(lambda: client.answers[number].headers)
        assert client.answers[number].headers["sec-websocket-protocol"] == "chat"
        client.close()


def test_compression_is_agreed_on() -> None:
    with websockets(echo, deflate=True) as found:
        client = H2Client(found.address)
        number = connect(client, ("sec-websocket-extensions", "permessage-deflate"))
        client.until(lambda: client.answers[number].headers)
        assert client.answers[number].headers["sec-websocket-extensions"].startswith("permessage-deflate")
        client.close()


@pytest.mark.parametrize(("header", "status"), [(("sec-websocket-version", "8"), 426), (("sec-websocket-protocol", "a b"), 400)])
def test_a_handshake_that_cannot_be_granted(header: tuple[str, str], status: int, capfd: pytest.CaptureFixture[str]) -> None:
    with websockets(echo) as found:
        client = H2Client(found.address)
        number = client.ask("/", "CONNECT", [header], end=False, protocol="websocket")
        assert client.answer(number).status == status
        client.close()
    capfd.readouterr()


def test_a_get_cannot_become_one(capfd: pytest.CaptureFixture[str]) -> None:
    with websockets(echo) as found:
        client = H2Client(found.address)
        number = client.ask("/", "GET", [("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="), ("sec-websocket-version", "13")])
        assert client.answer(number).status == 400
        client.close()
    assert "RFC 8441" in capfd.readouterr().err


def test_pings_go_on_while_the_application_is_busy() -> None:
    def busy(connection: WebSocketConnection) -> None:
        gevent.sleep(0.4)
        echo(connection)

    with websockets(busy, ping_freq=0.1, pong_tolerance=20) as found:
        client = found.open()
        for _ in range(3):
            assert client.event() == Event("ping")
            client.send(masked(10, b""))


def test_a_silent_peer_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    with websockets(echo, ping_freq=0.1, pong_tolerance=0.2) as found:
        client = found.open()
        kinds = []
        while not kinds or kinds[-1] not in ("end", "reset"):
            kinds.append(client.event().kind)
        assert kinds == ["ping", "close", "reset"]
        wait_for(lambda: not len(found.server.keepalive) and not found.server.running)
    assert "dropped: no pong received in 0.2 seconds" in capfd.readouterr().err


def test_the_application_sends_faster_than_the_client_reads() -> None:
    sent = 0

    def flood(connection: WebSocketConnection) -> None:
        nonlocal sent
        while True:
            connection.send(2, bytes(10_000))
            sent += 1

    with websockets(flood, outbox_high=50_000, outbox_low=10_000) as found:
        client = H2Client(found.address)
        client.credit = False
        number = connect(client)
        client.until(lambda: len(client.answers[number].body) == 65535)
        assert still(lambda: sent) <= 14
        # Another stream is not held up.
        client.h2.increment_flow_control_window(100_000)
        client.flush()
        assert client.get("/plain").body == b"plain"
        client.h2.increment_flow_control_window(100_000, number)
        client.flush()
        client.until(lambda: len(client.answers[number].body) > 100_000)
        client.close()


def test_the_client_sends_faster_than_the_application_reads() -> None:
    go = gevent.event.Event()

    def lazy(connection: WebSocketConnection) -> None:
        go.wait(10)
        echo(connection)

    with websockets(lazy, inbox_bytes=100_000) as found:
        client = H2Client(found.address)
        number = connect(client)
        client.until(lambda: client.answers[number].headers)
        data = masked(2, bytes(1000)) * 1000
        sent = 0
        while True:
            room = min(client.h2.local_flow_control_window(number), 16384, len(data) - sent)
            if room:
                client.send(number, data[sent : sent + room])
                sent += room
                continue
            try:
                with gevent.Timeout(0.3):
                    client.more()
            except gevent.Timeout:
                break
        assert sent < 600_000
        go.set()
        while sent < len(data):
            room = min(client.h2.local_flow_control_window(number), 16384, len(data) - sent)
            if room:
                client.send(number, data[sent : sent + room])
                sent += room
            else:
                client.more()
        client.until(lambda: len(client.answers[number].body) == 1000 * 1004)
        client.close()


def test_a_reset_is_the_end() -> None:
    ends: list[ConnectionClosed] = []

    def talk(connection: WebSocketConnection) -> None:
        try:
            connection.receive()
        except ConnectionClosed as error:
            ends.append(error)

    with websockets(talk) as found:
        client = H2Client(found.address)
        number = connect(client)
        client.until(lambda: client.answers[number].headers)
        client.h2.reset_stream(number, 8)
        client.flush()
        wait_for(lambda: ends)
        assert ends[0].code == 1006
        wait_for(lambda: not len(found.server.keepalive))
        assert client.get("/plain").body == b"plain"
        client.close()


@pytest.mark.parametrize("early", [False, True])
def test_the_descriptor(early: bool) -> None:
    """Readable exactly when there is something to take; asked for before the handshake, it keeps its number."""
    seen: list[Any] = []

    def readable(fd: int, seconds: float) -> bool:
        return bool(gevent.select.select([fd], [], [], seconds)[0])

    def application(environ: Any, start_response: Any) -> Any:
        request = find_request()
        assert request is not None
        before = request.connection_fd() if early else -1
        connection = accept(request)
        fd = request.connection_fd()
        seen.append(fd == before or not early)
        seen.append(readable(fd, 0.05))
        seen.append(readable(fd, 20))
        seen.append((connection.receive_nowait(), connection.receive_nowait()))
        seen.append(readable(fd, 0))
        seen.append(readable(fd, 20))
        try:
            connection.receive_nowait()
        except ConnectionClosed as error:
            seen.append(error.code)
        return []

    with serving(application, http={"http2": True}) as running:
        sock = gevent.socket.create_connection(running.listener.sock.getsockname(), 10)
        client = RawClient(H2Socket(sock), 20)
        client.handshake()
        wait_for(lambda: len(seen) == 2)
        client.send(masked(9, b"ping") + masked(1, b"one") + masked(1, b"two"))
        wait_for(lambda: len(seen) == 5)
        client.send(masked(8, b"\x0f\xa0"))
        wait_for(lambda: len(seen) == 7)
        assert seen == [True, False, True, (b"one", b"two"), False, True, 4000]
        sock.close()
        wait_for(lambda: not running.server.connections)


def test_a_retiring_worker_says_1012() -> None:
    with websockets(echo) as found:
        client = found.open()
        retiring = gevent.spawn(found.server.retire, 5, 0)
        assert client.event() == Event("close", b"service restart", 1012)
        client.send(masked(8, b"\x03\xf4"))
        assert client.event() == Event("end")
        found.sockets[0].close()
        retiring.join(20)
        assert retiring.ready()


def test_a_thousand_on_ten_connections() -> None:
    with websockets(echo) as found:
        clients = [H2Client(found.address) for _ in range(10)]
        numbers = [(client, connect(client)) for client in clients for _ in range(100)]
        for client, number in numbers:
            client.until(lambda client=client, number=number: client.answers[number].headers)
        for client, number in numbers:
            client.send(number, masked(1, b"%d" % number))
        for client, number in numbers:
            client.until(lambda client=client, number=number: client.answers[number].body)
            assert client.answers[number].body == encode_frame(1, b"%d" % number)
        assert len(found.server.keepalive) == 1000
        for client in clients:
            client.close()
        wait_for(lambda: not len(found.server.keepalive) and not found.server.connections)


def test_settings_are_small() -> None:
    """The defaults of what this file relies on."""
    assert HTTPSettings().http2 is False
    assert ServerSettings().http.http2_streams == 100
