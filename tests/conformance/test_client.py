"""The suite's own client must refuse what a server may not send: a lenient judge would prove nothing."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.conformance.case import Case, Late, play, text, valid
from tests.conformance.client import Event, RawClient, Silence, Violation
from tests.protocol.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

Pair = tuple[RawClient, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A client and the server's end of its connection."""
    ours, theirs = socket.socketpair()
    with RawClient(ours, 20) as client, theirs:
        yield client, theirs


def unmasked(opcode: int, payload: bytes = b"", **options: int) -> bytes:
    return frame(opcode, payload, key=None, **options)


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"masked"),
        frame(TEXT, b""),
        unmasked(TEXT, b"a", rsv=4),
        unmasked(TEXT, b"a", rsv=2),
        unmasked(PING, b"a", rsv=1),
        unmasked(3, b"a"),
        unmasked(11),
        unmasked(TEXT, b"a", width=2),
        unmasked(TEXT, bytes(125), width=2),
        unmasked(TEXT, bytes(126), width=8),
        unmasked(TEXT, size=1 << 63, width=8),
        unmasked(PING, bytes(126)),
        unmasked(PONG, fin=False),
        unmasked(CLOSE, b"\x03"),
        unmasked(CLOSE, b"\x03\xed"),
        unmasked(CLOSE, b"\x03\xee"),
        unmasked(CLOSE, b"\x03\xe8\xff"),
        unmasked(TEXT, b"\xff"),
        unmasked(TEXT, b"\xed\xa0\x80"),
        unmasked(TEXT, b"\xe2", fin=False) + unmasked(CONTINUATION, b"a"),
        unmasked(CONTINUATION, b"a"),
        unmasked(TEXT, b"a", fin=False) + unmasked(TEXT, b"a"),
    ],
)
def test_a_server_that_breaks_the_rules(pair: Pair, data: bytes) -> None:
    client, server = pair
    server.sendall(data)
    with pytest.raises(Violation):
        client.event()


def test_octets_behind_the_close_frame(pair: Pair) -> None:
    client, server = pair
    server.sendall(unmasked(CLOSE, b"\x03\xe8") + unmasked(TEXT, b"a"))
    assert client.event() == Event("close", b"", 1000)
    with pytest.raises(Violation):
        client.event()


@pytest.mark.parametrize("data", [b"\x81", b"\x81\x05abc", b"\x82\x7e\x01"])
def test_an_end_within_a_frame(pair: Pair, data: bytes) -> None:
    client, server = pair
    server.sendall(data)
    server.close()
    with pytest.raises(Violation):
        client.event()


def test_silence_keeps_what_has_come(pair: Pair) -> None:
    client, server = pair
    server.sendall(b"\x81\x02a")
    with pytest.raises(Silence):
        client.event(0.05)
    server.sendall(b"b")
    assert client.event() == Event("text", b"ab")


def test_what_is_right(pair: Pair) -> None:
    client, server = pair
    server.sendall(unmasked(TEXT, b"a", fin=False) + unmasked(PING, b"p") + unmasked(CONTINUATION, b"b") + unmasked(PONG, b"q"))
    server.sendall(unmasked(BINARY, bytes(70000)) + unmasked(CLOSE))
    server.close()
    kinds = [client.event() for _ in range(6)]
    assert kinds == [
        Event("ping", b"p"),
        Event("text", b"ab"),
        Event("pong", b"q"),
        Event("binary", bytes(70000)),
        Event("close", b"", 1005),
        Event("end"),
    ]


def test_a_reset_is_told_from_an_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = RawClient(socket.create_connection(listener.getsockname()), 20)
        server, _ = listener.accept()
        with client:
            client.send(b"never read")
            server.recv(1)
            server.close()  # with octets unread
            assert client.event() == Event("reset")


def played(case: Case, *answers: bytes) -> str:
    """The grade of a case against a server that sends these octets, one for each thing received, and then closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            server, _ = listener.accept()
            with server, suppress(OSError):  # a client that has seen enough leaves
                request = b""
                while b"\r\n\r\n" not in request:
                    request += server.recv(4096)
                key = request.split(b"sec-websocket-key: ")[1].split(b"\r\n")[0]
                accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
                server.sendall(
                    b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
                )
                for answer in answers:
                    server.recv(4096)
                    server.sendall(answer)
                server.shutdown(socket.SHUT_WR)
                while server.recv(4096):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        result = play(case, lambda: socket.create_connection(listener.getsockname()), 5)
        thread.join(20)
    return result.grade


def test_the_grades() -> None:
    goodbye = unmasked(CLOSE, b"\x03\xe8")
    case = valid("an echo", frame(TEXT, b"a"), text("a"))
    assert played(case, unmasked(TEXT, b"a"), goodbye) == "passed"
    assert played(case, unmasked(TEXT, b"b"), goodbye) == "failed"
    assert played(case, unmasked(BINARY, b"a"), goodbye) == "failed"
    assert played(case, unmasked(TEXT, b"a") * 2, goodbye) == "failed"
    assert played(case, goodbye) == "failed"
    assert played(case, unmasked(TEXT, b"a"), unmasked(CLOSE, b"\x03\xe9")) == "failed"
    late = Case("late", (b"\x83", Late(Event("close", None, 1002), b"\x80abcd"), Event("end")))
    assert played(late, unmasked(CLOSE, b"\x03\xea")) == "passed"
    assert played(late, b"", unmasked(CLOSE, b"\x03\xea")) == "non-strict"
    assert played(late, b"", unmasked(CLOSE, b"\x03\xe8")) == "failed"
