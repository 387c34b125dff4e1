"""Websockets over TLS have every property of plain ones. The conformance suite runs over TLS, too; here is what is about records."""

from __future__ import annotations

import select
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

import gevent
import gevent.event
import gevent.subprocess
import pytest

from geuwsgi.errors import ConnectionClosed
from geuwsgi.protocol.frames import BINARY, TEXT
from geuwsgi.server import tlsstream, tlstransport
from geuwsgi.server.request import find_request
from geuwsgi.server.settings import WebSocketSettings
from geuwsgi.server.upgrade import accept
from geuwsgi.server.websocket import WebSocketConnection
from tests.conformance.client import Event, RawClient, request
from tests.harness.programs import find_program
from tests.protocol.wire import frame
from tests.server.secured import Peer, SecureServing, serving_tls
from tests.server.serving import wait_for
from tests.server.websockets import Clock, echo


@pytest.fixture(autouse=True, params=["chosen", "pure"])
def _twin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both twins, where there are two."""
    if request.param == "pure":
        monkeypatch.setattr(tlstransport, "TLSStream", getattr(tlsstream, "PureTLSStream", tlsstream.TLSStream))


class Secure:
    """A server whose websockets are given to a function.

    Attributes:
        talks: the connections so far.
    """

    def __init__(self, serving: SecureServing, talks: list[WebSocketConnection]) -> None:
        self.serving = serving
        self.server = serving.server
        self.talks = talks
        self.clients: list[RawClient] = []

    def open(self, early: bytes = b"", **options: Any) -> RawClient:
        """A client behind its handshake; options are those of Peer."""
        client = RawClient(Peer(self.serving.address, **options), 20)
        self.clients.append(client)
        client.handshake(early=early)
        return client


@contextmanager
def secure(talk: Callable[[WebSocketConnection], Any], ask: bool = False, **options: Any) -> Iterator[Secure]:
    talks: list[WebSocketConnection] = []

    def application(environ: Any, start_response: Any) -> Any:
        request = find_request()
        assert request is not None
        if ask:
            request.connection_fd()
        connection = accept(request)
        talks.append(connection)
        talk(connection)
        return []

    with serving_tls(application, websocket=WebSocketSettings(**options)) as serving:
        found = Secure(serving, talks)
        try:
            yield found
        finally:
            for client in found.clients:
                client.sock.close()


def _readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def test_two_messages_in_one_record_and_the_readiness_descriptor() -> None:
    taken: list[bytes] = []
    steps: list[str] = []
    go = gevent.event.Event()

    def talk(connection: WebSocketConnection) -> None:
        fd = connection.connection_fd()
        while len(taken) < 4:
            while not _readable(fd):
                gevent.sleep(0.001)
            steps.append("readable")
            message = connection.receive_nowait()
            if message:
                taken.append(message)
            if len(taken) == 2:
                assert not _readable(fd)
                go.set()
        echo(connection)

    with secure(talk) as server:
        client = server.open()
        client.sock.sendall(frame(TEXT, b"one") + frame(TEXT, b"two"))
        assert go.wait(20)
        client.sock.sendall(frame(TEXT, b"three") + frame(TEXT, b"four"))
        wait_for(lambda: len(taken) == 4, "all messages")
    assert taken == [b"one", b"two", b"three", b"four"]
    assert steps == ["readable"] * 4  # each time with one message: never without, for no ping and no record


@pytest.mark.parametrize("ask", [False, True])
def test_messages_behind_the_request_in_its_record(ask: bool) -> None:
    with secure(echo, ask) as server:
        client = server.open(early=frame(TEXT, b"early") + frame(BINARY, b"bird"))
        assert client.event() == Event("text", b"early")
        assert client.event() == Event("binary", b"bird")


def test_a_message_in_the_segment_of_the_request_but_in_another_record() -> None:
    with secure(echo) as server:
        peer = Peer(server.serving.address)
        client = RawClient(peer, 20)
        server.clients.append(client)
        data, _ = request("/")
        peer.sock.sendall(peer.records(data) + peer.records(frame(TEXT, b"next")))
        assert client.response().status == 101
        assert client.event() == Event("text", b"next")


def test_the_number_of_the_descriptor_is_the_sockets_of_before() -> None:
    numbers: list[int] = []

    def talk(connection: WebSocketConnection) -> None:
        numbers.append(connection.connection_fd())
        echo(connection)

    with secure(talk) as server:
        client = server.open()
        for text in (b"a", b"b" * 100_000):
            client.sock.sendall(frame(TEXT, text))
            assert client.event() == Event("text", text)
        assert numbers[0] < 4096


def test_a_record_byte_by_byte() -> None:
    with secure(echo) as server:
        client = server.open()
        for byte in client.sock.records(frame(TEXT, b"slowly")):  # type: ignore[attr-defined]
            client.sock.sock.sendall(bytes([byte]))  # type: ignore[attr-defined]
            gevent.sleep(0)
        assert client.event() == Event("text", b"slowly")


def test_two_thousand_messages_at_once() -> None:
    with secure(echo) as server:
        client = server.open()
        sent = [b"%d" % number for number in range(2000)]
        client.sock.sendall(b"".join(frame(TEXT, text) for text in sent))
        assert [client.event().payload for _ in sent] == sent


@pytest.mark.parametrize("size", [16382, 16383, 16384, 16385, 65536, 200_000, 1_000_000])
def test_big_frames(size: int) -> None:
    with secure(echo) as server:
        client = server.open()
        payload = bytes(range(256)) * (size // 256 + 1)
        client.sock.sendall(frame(BINARY, payload[:size]))
        assert client.event() == Event("binary", payload[:size])


def test_the_outbox_is_bounded_and_everything_comes() -> None:
    sizes: list[int] = []

    def talk(connection: WebSocketConnection) -> None:
        for number in range(200):
            connection.send(BINARY, bytes([number]) * 30_000)
            sizes.append(connection.writer.size)
        echo(connection)

    with secure(talk, outbox_high=100_000, outbox_low=50_000) as server:
        client = server.open(receive_buffer=4096)
        wait_for(lambda: sizes and max(sizes) > 50_000, "a full outbox")
        gevent.sleep(0.05)
        assert len(sizes) < 200  # it waits
        assert [client.event() for _ in range(200)] == [Event("binary", bytes([number]) * 30_000) for number in range(200)]
        assert max(sizes) <= 130_100


def test_pings_go_on_while_the_application_sleeps() -> None:
    over = gevent.event.Event()
    with secure(lambda connection: over.wait(60), ping_freq=0.1, pong_tolerance=20) as server:
        client = server.open()
        assert client.event().kind == "ping"
        client.sock.sendall(frame(9, b"mine"))
        assert client.event() == Event("pong", b"mine")
        over.set()


def test_a_silent_peer_is_dropped_and_a_peer_in_the_middle_of_a_record_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    with secure(echo, ping_freq=0.05, pong_tolerance=0.25) as server:
        clock = Clock(server.server.keepalive)
        silent, slow = server.open(), server.open()
        record = slow.sock.records(frame(10, b"") + frame(TEXT, b"x" * 40))  # type: ignore[attr-defined]
        for byte in record:
            slow.sock.sock.sendall(bytes([byte]))  # type: ignore[attr-defined]
            gevent.sleep(0.001)
            clock.forward(0.012)
        assert len(server.server.keepalive) == 1
        assert silent.sock is not slow.sock
    assert capfd.readouterr().err.count("no pong received in 0.25 seconds") == 1


def test_what_has_come_and_was_not_read() -> None:
    """The keepalive asks this of a connection whose pong is overdue: an old message is no sign of life, a part of a record is."""
    with secure(echo) as server:
        client = server.open()
        client.sock.sendall(frame(TEXT, b"one"))
        assert client.event() == Event("text", b"one")
        connection = server.talks[0]
        assert not connection.unread()
        record = client.sock.records(frame(TEXT, b"two"))  # type: ignore[attr-defined]
        client.sock.sock.sendall(record[:10])  # type: ignore[attr-defined]
        wait_for(connection.unread, "a part of a record")
        gevent.sleep(0)
        client.sock.sock.sendall(record[10:])  # type: ignore[attr-defined]
        assert client.event() == Event("text", b"two")
        assert not connection.unread()


def test_half_closed() -> None:
    """A client that has said everything still hears the answers, in TLS 1.3 as in TCP."""
    with secure(echo) as server:
        client = server.open()
        client.sock.sendall(frame(TEXT, b"last words"))
        client.sock.shutdown(socket.SHUT_WR)
        assert client.event() == Event("text", b"last words")
        wait_for(lambda: not server.server.connections, "the end")


def test_the_end_is_clean_on_both_layers() -> None:
    with secure(echo) as server:
        client = server.open()
        client.sock.sendall(frame(8, b"\x03\xe8"))
        assert client.event().kind == "close"
        assert client.sock.recv(10) == b""
        assert client.sock.goodbye  # type: ignore[attr-defined]
        client.sock.close()
        wait_for(lambda: not server.server.connections, "the end")
        assert not server.talks[0].open


def test_told_to_go_on_reload() -> None:
    with secure(echo) as server:
        client = server.open()
        gevent.spawn(server.server.retire, 2, 0)
        event = client.event()
        assert event.kind == "close"
        assert event.code == 1012


def test_a_broken_record_is_one_line_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    errors: list[ConnectionClosed] = []

    def talk(connection: WebSocketConnection) -> None:
        try:
            connection.receive()
        except ConnectionClosed as error:
            errors.append(error)

    with secure(talk) as server:
        client = server.open()
        client.sock.sock.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)  # type: ignore[attr-defined]
        wait_for(lambda: errors, "the end")
        assert errors[0].code == 1006
    log = capfd.readouterr().err
    assert log.count("\n") == 1, log
    assert log.startswith("127.0.0.1: TLS broken off: ")


def test_a_reset() -> None:
    with secure(echo) as server:
        client = server.open()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sock.close()
        wait_for(lambda: not server.server.connections, "the end")


def test_compression_does_not_let_a_bomb_through_at_once() -> None:
    """At most 4 KiB of plain bytes are looked at in one go, also when a record holds more."""
    with secure(echo, deflate=True, inbox_messages=4) as server:
        client = RawClient(Peer(server.serving.address), 20)
        server.clients.append(client)
        data, _ = request("/", sec_websocket_extensions="permessage-deflate")
        client.send(data)
        assert client.response().get("sec-websocket-extensions")
        sent = [b"%05d" % number for number in range(1500)]
        client.sock.sendall(b"".join(frame(TEXT, text) for text in sent))
        assert [client.event().payload for _ in sent] == sent


def test_key_updates_by_openssl() -> None:
    """`K` asks both sides for new keys; s_client has no frames, so this is HTTP."""
    program = find_program("openssl")

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode() * 2000]

    with serving_tls(application) as server:
        command = [program, "s_client", "-connect", f"127.0.0.1:{server.address[1]}", "-tls1_3", "-brief"]
        client = gevent.subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            assert client.stdin is not None
            assert client.stdout is not None
            seen = b""
            for number in range(3):
                client.stdin.write(b"K\n")
                client.stdin.flush()
                # It is a command only when it is all that there is to read.
                with gevent.Timeout(10):
                    while seen.count(b"KEYUPDATE") <= number:
                        seen += client.stdout.read1(65536)
                client.stdin.write(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
                client.stdin.flush()
                with gevent.Timeout(10):
                    while seen.count(b"/%d" % number) < 2000:
                        seen += client.stdout.read1(65536)
        finally:
            client.kill()
            client.communicate()


def test_key_updates_while_writing_is_blocked() -> None:
    """The answer to an update has to go out between what was encrypted with the old key and what follows with the new one."""
    tlslite: Any = pytest.importorskip("tlslite.api")
    constants: Any = pytest.importorskip("tlslite.constants")

    def talk(connection: WebSocketConnection) -> None:
        connection.send(BINARY, b"z" * 150_000)
        echo(connection)

    with secure(talk, outbox_high=10_000, outbox_low=5_000) as server:
        server.serving.listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)  # those that are accepted inherit it
        sock = gevent.socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(server.serving.address)
        peer = tlslite.TLSConnection(sock)
        peer.closeSocket, peer.family = True, socket.AF_INET
        peer.handshakeClientCert(serverName="localhost")
        assert peer.version == (3, 4)
        client = RawClient(peer, 20)
        server.clients.append(client)
        peer.sendall(request("/")[0])
        wait_for(lambda: server.talks and server.talks[0].writer.size, "a full kernel")
        for _ in range(3):
            for _ in peer.send_keyupdate_request(constants.KeyUpdateMessageType.update_requested):
                pass
        peer.sendall(frame(TEXT, b"behind it"))
        assert client.response().status == 101
        assert client.event() == Event("binary", b"z" * 150_000)
        assert client.event() == Event("text", b"behind it")
