"""The ways in which people write websocket applications for uWSGI, each on a real process and with two clients from PyPI."""

from __future__ import annotations

import select
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Callable

import pytest
import websocket

from tests.harness.clients import CLIENTS, WebsocketClientClient, client_factory
from tests.harness.patterns import PATTERNS, Pattern
from tests.harness.redis import RedisServer
from tests.harness.servers import Geuwsgi

BY_NAME = {pattern.name: pattern for pattern in PATTERNS}

StartServer = Callable[..., Geuwsgi]


def serve(pattern: Pattern, start: StartServer, redis_server: RedisServer) -> Geuwsgi:
    return start(pattern.app, *pattern.arguments, env={"REDIS_URL": redis_server.url}, lasting=pattern.lasting)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
def test_conversation(pattern: Pattern, client: str, shared_server: StartServer, redis_server: RedisServer) -> None:
    server = serve(pattern, shared_server, redis_server)
    with client_factory(client, server.ws_url) as connect:
        assert pattern.talk(connect) == pattern.expected


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
def test_leaves_nothing(pattern: Pattern, server: StartServer, redis_server: RedisServer) -> None:
    """A process of its own, whose end the fixture looks at: no descriptor, no child, nothing in the log."""
    running = serve(pattern, server, redis_server)
    with client_factory("websocket-client", running.ws_url) as connect:
        assert pattern.talk(connect) == pattern.expected


def frames(*messages: str) -> bytes:
    return b"".join(websocket.ABNF.create_frame(message, websocket.ABNF.OPCODE_TEXT).format() for message in messages)


#: What the application says first, and what it answers to a and b.
IN_ONE_PACKET = {
    "blocking_echo": ("", "a", "b"),
    "redis_select": ("welcome", "player: a", "player: b"),
    "async_suspend": ("ready", "[a]", "[b]"),
    "async_yield": ("ready", "[a]", "[b]"),
    "spawned_senders": ("", "you said a", "you said b"),
    "asyncio_reader": ("ready", "a", "b"),
}


@pytest.mark.parametrize("name", IN_ONE_PACKET)
def test_two_frames_in_one_packet(name: str, shared_server: StartServer, redis_server: RedisServer) -> None:
    """One `websocket_recv_nb()` an event is enough, however the frames arrive."""
    greeting, *answers = IN_ONE_PACKET[name]
    client = WebsocketClientClient(f"{serve(BY_NAME[name], shared_server, redis_server).ws_url}/{uuid.uuid4().hex}")
    try:
        if greeting:
            assert client.receive() == ("text", greeting)
        client.socket.sock.sendall(frames("a", "b"))
        assert [client.receive(), client.receive()] == [("text", answer) for answer in answers]
    finally:
        client.abort()


@pytest.mark.parametrize("name", IN_ONE_PACKET)
def test_frames_in_the_packet_of_the_handshake(name: str, shared_server: StartServer, redis_server: RedisServer) -> None:
    server = serve(BY_NAME[name], shared_server, redis_server)
    head = (
        f"GET /{uuid.uuid4().hex} HTTP/1.1\r\nHost: {server.address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    greeting, *answers = IN_ONE_PACKET[name]
    expected = [text for text in (greeting, *answers) if text]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw, raw.makefile("rb") as stream:
        raw.sendall(head.encode() + frames("a", "b"))
        assert stream.readline().startswith(b"HTTP/1.1 101 ")
        while stream.readline() != b"\r\n":
            pass
        heard = []
        for _ in expected:
            first, length = stream.read(2)
            assert first == 0x81
            heard.append(stream.read(length).decode())
        assert heard == expected


def test_time_out_of_four_seconds(shared_server: StartServer, redis_server: RedisServer) -> None:
    """The application wakes without an event, calls `websocket_recv_nb()`, gets b"" and goes on."""
    names = ["redis_select", "async_suspend", "async_yield", "asyncio_reader"]
    clients = [WebsocketClientClient(f"{serve(BY_NAME[name], shared_server, redis_server).ws_url}/{uuid.uuid4().hex}") for name in names]
    try:
        for name, client in zip(names, clients):
            assert client.receive() == ("text", IN_ONE_PACKET[name][0])
        sockets = [client.socket.sock for client in clients]
        assert select.select(sockets, [], [], 4.3)[0] == []
        for name, client in zip(names, clients):
            client.text("a")
            assert client.receive() == ("text", IN_ONE_PACKET[name][1])
    finally:
        for client in clients:
            client.abort()


def test_many_players(server: StartServer, redis_server: RedisServer) -> None:
    """Forty at once, each with a number of its own; everybody hears everybody."""
    count = 40
    running = serve(BY_NAME["redis_select"], server, redis_server)
    with client_factory("websocket-client", running.ws_url) as connect, ThreadPoolExecutor(8) as pool:
        players = list(pool.map(lambda _: connect(), range(count)))
        assert [player.receive() for player in players] == [("text", "welcome")] * count
        for player in players:
            player.text("number")
        numbers = {player.receive() for player in players}
        assert len(numbers) == count
        for turn in range(3):
            for player in players:
                player.text(f"turn {turn}")
            expected = [("text", f"player: turn {turn}")] * count
            for player in players:
                assert [player.receive() for _ in range(count)] == expected


def test_the_application_hears_of_the_end(server: StartServer, redis_server: RedisServer) -> None:
    """Every kind of end wakes a `select` on the descriptor: close frame, end of file, reset."""
    running = serve(BY_NAME["redis_select"], server, redis_server)
    with client_factory("websocket-client", running.ws_url) as connect:
        witness = connect()
        assert witness.receive() == ("text", "welcome")
        for end in ("close", "eof", "reset"):
            leaver = connect()
            assert leaver.receive() == ("text", "welcome")
            leaver.text("name:" + end)
            assert witness.receive() == ("text", end + " joined")
            if end == "close":
                leaver.close()
            elif end == "reset":
                # With a linger time of 0 the kernel sends RST.
                leaver.socket.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            leaver.abort()
            assert witness.receive() == ("text", end + " left")
