"""Websockets through real front servers."""

from __future__ import annotations

import socket
import threading

import pytest

from tests.conformance.client import Event, RawClient, request
from tests.harness.wait import wait_until
from tests.protocol.wire import BINARY, PING, PONG, TEXT, close_frame, frame
from tests.proxies.fronts import ALL, ROUTER, Fronts
from tests.proxies.test_http import ask


@pytest.fixture(params=[name for name in ALL if "streaming" not in name])
def front(request: pytest.FixtureRequest, behind: Fronts) -> str:
    """Each front server in turn; how it handles bodies is all the same to websockets."""
    behind.port(request.param)
    return str(request.param)


def connect(behind: Fronts, front: str) -> RawClient:
    return RawClient(socket.create_connection(("127.0.0.1", behind.port(front)), 10))


def next_message(client: RawClient) -> Event:
    """What comes next besides the server's pings."""
    while True:
        event = client.event()
        if event.kind != "ping":
            return event
        client.send(frame(PONG, event.payload or b""))


def test_messages(behind: Fronts, front: str) -> None:
    with connect(behind, front) as client:
        response = client.handshake("/ws")
        assert response.status == 101
        for kind, opcode in (("text", TEXT), ("binary", BINARY)):
            for size in (0, 1, 125, 126, 65535, 65536):
                client.send(frame(opcode, b"x" * size))
                assert next_message(client) == Event(kind, b"x" * size)
        client.send(frame(TEXT, b"one", fin=False) + frame(PING, b"between") + frame(0, b" two"))
        answers = {(event.kind, event.payload) for event in (next_message(client), next_message(client))}
        assert answers == {("pong", b"between"), ("text", b"one two")}


def test_a_message_of_eight_megabytes(behind: Fronts, front: str) -> None:
    data = bytes(range(256)) * (8 << 12)
    with connect(behind, front) as client:
        client.handshake("/ws")
        sender = threading.Thread(target=client.sock.sendall, args=(frame(BINARY, data),))
        sender.start()
        event = client.event()
        while event.kind == "ping":  # not answered: that would stand in the middle of what is being sent
            event = client.event()
        assert event.kind == "binary", str(event)
        assert event.payload == data
        sender.join()


def test_pings_in_both_directions(behind: Fronts, front: str) -> None:
    with connect(behind, front) as client:
        client.handshake("/ws")
        for payload in (b"", b"payload", b"x" * 125):
            client.send(frame(PING, payload))
            assert next_message(client) == Event("pong", payload)
        for _ in range(2):
            ping = client.event()
            assert ping.kind == "ping"
            client.send(frame(PONG, ping.payload or b""))


@pytest.mark.parametrize(("code", "reason"), [(1000, b""), (3001, "grüß".encode()), (4999, b"x" * 123)])
def test_the_clients_close(behind: Fronts, front: str, name: str, code: int, reason: bytes) -> None:
    with connect(behind, front) as client:
        client.handshake(f"/ws/{name}")
        client.send(close_frame(code, reason))
        event = next_message(client)
        assert (event.kind, event.code) == ("close", code)
        assert next_message(client).kind in ("end", "reset")
    gone = wait_until(lambda: ask(behind, front, "GET", f"/gone?name={name}")[1], 20, "the application hears of it")
    assert gone == f"{code} ".encode() + reason


@pytest.mark.parametrize(("code", "reason"), [(1000, "bye"), (4000, "come back later")])
def test_the_servers_close(behind: Fronts, front: str, code: int, reason: str) -> None:
    with connect(behind, front) as client:
        client.handshake(f"/ws/close/{code}/{reason}".replace(" ", "%20"))
        assert next_message(client) == Event("close", reason.encode(), code)
        client.send(close_frame(code))
        assert next_message(client).kind in ("end", "reset")


def test_a_client_that_leaves_without_a_word(behind: Fronts, front: str, name: str) -> None:
    with connect(behind, front) as client:
        client.handshake(f"/ws/{name}")
        client.send(frame(TEXT, b"a"))
        assert next_message(client) == Event("text", b"a")
    gone = wait_until(lambda: ask(behind, front, "GET", f"/gone?name={name}")[1], 20, "the application hears of it")
    assert gone.startswith(b"1006 ")


def test_frames_behind_the_handshake(behind: Fronts, front: str) -> None:
    if front == ROUTER:
        pytest.skip("uWSGI's router loses what comes in the packet of the handshake")
    with connect(behind, front) as client:
        client.handshake("/ws", early=frame(TEXT, b"early") + frame(TEXT, b"birds"))
        assert [next_message(client).payload for _ in range(2)] == [b"early", b"birds"]


def test_many_at_once(behind: Fronts, front: str) -> None:
    clients = [connect(behind, front) for _ in range(30)]
    try:
        for client in clients:
            client.handshake("/ws")
        for number, client in enumerate(clients):
            client.send(frame(TEXT, b"%d" % number))
        for number, client in enumerate(clients):
            assert next_message(client) == Event("text", b"%d" % number)
    finally:
        for client in clients:
            client.sock.close()


def test_a_real_client(behind: Fronts, front: str) -> None:
    import websockets.sync.client

    with websockets.sync.client.connect(f"ws://127.0.0.1:{behind.port(front)}/ws", compression=None) as client:
        client.send("grüß")
        assert client.recv(10) == "grüß"
        client.send(b"\x00\xff")
        assert client.recv(10) == b"\x00\xff"


def test_a_handshake_that_is_none(behind: Fronts, front: str) -> None:
    if front.startswith("haproxy") and front != "haproxy-tcp":
        expected = {400}  # HAProxy's own
    else:
        expected = {400, 500}
    with connect(behind, front) as client:
        client.send(request("/ws", "too short")[0])
        assert client.response().status in expected
