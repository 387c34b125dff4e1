"""Backends and clients that break off, stall, or talk nonsense: the right status, one line in the log, nothing left behind."""

from __future__ import annotations

import resource
import socket as stdlib_socket
import struct
from typing import Any

import gevent
import gevent.event
import pytest

from geuwsgi.server.gateway import exchange
from geuwsgi.server.gateway.backend import FAILURES
from tests.harness.exhaustion import no_descriptors
from tests.server.serving import Client, wait_for

from .fronting import Backends, Peer, fronting
from .test_exchange import KEY, OK, http


def reset(sock: Any) -> None:
    """Have the next close break the connection off."""
    sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, struct.pack("ii", 1, 0))


def push(client: Client, data: bytes) -> None:
    """Send as much as is taken."""
    try:
        client.send(data)
    except OSError:
        pass


def lines(capfd: pytest.CaptureFixture[str]) -> list[str]:
    return capfd.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "has closed the connection unanswered"),
        (b"garbage\r\n\r\n", "not an HTTP response"),
        (b"\0\0\0\0" * 50_000, "not an HTTP response"),
        (b"HTTP/1.1 200 OK\r\nContent-", "has closed the connection in the middle of a response head"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "a response head of more than 65536 bytes"),
        (OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "not an HTTP response"),
        (OK + b"Transfer-Encoding: gzip\r\n\r\n", "transfer coding 'gzip'"),
        (b"HTTP/1.1 200 O\x1bK\r\n\r\n", "control characters behind the status"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n", ""),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "changes the protocol unasked"),
    ],
)
def test_no_response(backends: Backends, capfd: pytest.CaptureFixture[str], said: bytes, why: str) -> None:
    backend = backends(http(said))
    with fronting("http://" + backend.address) as front:
        client = front.connect()
        client.send(b"GET /x HTTP/1.1\r\nHost: test\r\n\r\n")
        assert client.answer().code == 502
    (line,) = lines(capfd)
    assert line.startswith("127.0.0.1: GET /x: 502 Bad Gateway: ")
    assert why in line


@pytest.mark.parametrize(
    ("said", "end"),
    [
        (OK + b"Content-Length: 10\r\n\r\nhello", b"\r\n\r\nhello"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"\r\n5\r\nhello\r\n"),
    ],
)
def test_dies_in_the_middle_of_a_response(backends: Backends, capfd: pytest.CaptureFixture[str], said: bytes, end: bytes) -> None:
    """The client can tell that something is missing."""
    with fronting("http://" + backends(http(said)).address) as front:
        assert front.talk(b"GET /x HTTP/1.1\r\nHost: test\r\n\r\n").endswith(end)
    assert len(lines(capfd)) == 1


def test_breaks_off_a_response_without_a_length(backends: Backends, capfd: pytest.CaptureFixture[str]) -> None:
    heard = gevent.event.Event()

    def handle(peer: Peer) -> None:
        peer.variables()
        peer.send(OK + b"\r\nhello")
        heard.wait(20)  # what has not been read when a reset comes is lost
        reset(peer.sock)

    with fronting(backends(handle).address) as front:
        client = front.connect()
        client.send(b"GET /x HTTP/1.1\r\nHost: test\r\n\r\n")
        client.until(b"5\r\nhello\r\n")
        heard.set()
        assert client.rest() == b""  # no last chunk
    (line,) = lines(capfd)
    assert "has broken the connection off" in line


def test_never_answers(backends: Backends, capfd: pytest.CaptureFixture[str]) -> None:
    ended: list[bytes] = []

    def handle(peer: Peer) -> None:
        ended.append(peer.rest())

    with fronting(backends(handle).address, timeout=0.2) as front:
        client = front.connect()
        assert client.ask("/x").code == 504
        assert client.ask("/x").code == 504  # the client's connection is none the worse
        wait_for(lambda: len(ended) == 2)
    assert [line.partition(": ")[2] for line in lines(capfd)] == [
        f"GET /x: 504 Gateway Timeout: {front.server.front.backends[0].name} is silent for 0.2 seconds"
    ] * 2


def test_nobody_there(backends: Backends, capfd: pytest.CaptureFixture[str]) -> None:
    address = backends.dead()
    with fronting(address) as front:
        client = front.connect()
        assert client.ask().code == 503
        assert client.ask().code == 503
    first, *rest = lines(capfd)
    assert first == f"backend {address}: Connection refused: left alone for 30 seconds, as far as there are others"
    assert rest == [f"127.0.0.1: GET /: 503 Service Unavailable: no backend can be reached: {address}: Connection refused"] * 2


def test_no_descriptor_for_a_connection(backends: Backends, capfd: pytest.CaptureFixture[str]) -> None:
    """It is no backend's fault, so none is left alone for it."""
    backend = backends(http(OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nok"))
    with fronting("http://" + backend.address) as front:
        client = front.connect()
        assert client.ask("/x").body == b"ok"
        with no_descriptors():
            assert client.ask("/x").code == 503
        assert client.ask("/x").body == b"ok"
        assert front.server.front.backends[0].counts[FAILURES] == 0
    what = f"no connection to http://{backend.address} can be made: Too many open files"
    assert lines(capfd) == [f"127.0.0.1: GET /x: 503 Service Unavailable: {what}"]


def test_takes_nothing_of_a_body(backends: Backends, capfd: pytest.CaptureFixture[str]) -> None:
    def handle(peer: Peer) -> None:
        peer.variables()
        gevent.sleep(0.6)

    with fronting(backends(handle).address, http={"keepalive": 0.4}, timeout=0.2) as front:
        client = front.connect()
        size = 20_000_000
        sender = gevent.spawn(push, client, b"POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        assert client.answer().code in (502, 504)
        client.close()
        gevent.joinall([sender])
    assert len(lines(capfd)) == 1


def test_answers_before_it_has_all_and_closes(backends: Backends) -> None:
    heard = gevent.event.Event()

    def handle(peer: Peer) -> None:
        peer.variables()
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!")
        heard.wait(20)  # closing with bytes that nobody has read is a reset

    with fronting(backends(handle).address) as front:
        client = front.connect()
        size = 5_000_000
        sender = gevent.spawn(push, client, b"POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        answer = client.answer()
        assert (answer.code, answer.body) == (413, b"no!")
        heard.set()
        client.close()
        gevent.joinall([sender])


def test_client_leaves_in_the_middle_of_an_upload(backends: Backends, capfd: pytest.CaptureFixture[str]) -> None:
    got: list[bytes] = []

    def handle(peer: Peer) -> None:
        assert peer.variables()[1]["CONTENT_LENGTH"] == "100"
        got.append(peer.rest())

    with fronting(backends(handle).address) as front:
        client = front.connect()
        client.send(b"POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nhello")
        wait_for(lambda: front.server.front.backends[0].counts[2] == 1)
        client.close()
        wait_for(lambda: bool(got))
        wait_for(lambda: not front.server.connections)
    assert got == [b"hello"]
    assert lines(capfd) == ["127.0.0.1: POST /x: the client has closed the connection in the middle of its request body"]


def test_client_leaves_before_the_answer(backends: Backends, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_LOOK", 0.05)
    ended: list[bytes] = []

    def handle(peer: Peer) -> None:
        peer.variables()
        ended.append(peer.rest())

    backend = backends(handle)
    with fronting(backend.address, http={"keepalive": 0.4}) as front:
        client = front.connect()
        client.send(b"GET /x HTTP/1.1\r\nHost: test\r\n\r\nGET /and-more")
        wait_for(lambda: backend.connections == 1)
        client.close()
        wait_for(lambda: bool(ended))
    assert lines(capfd) == [f"127.0.0.1: GET /x: the client has left before {backend.address} has answered"]


def test_dead_backend_is_skipped_and_comes_back(backends: Backends, capfd: pytest.CaptureFixture[str]) -> None:
    dead = backends.dead()
    alive = backends(http(OK + b"Content-Length: 1\r\n\r\na"))
    with fronting("http://" + dead, "http://" + alive.address, grace=30) as front:
        client = front.connect()
        assert [client.ask().body for _ in range(4)] == [b"a"] * 4
        first = front.server.front.backends[0]
        assert first.counts[1] == 1
        host, _, port = dead.rpartition(":")
        server = gevent.server.StreamServer((host, int(port)), lambda sock, _: (Peer(sock).head(), sock.sendall(OK + b"\r\nb")))
        server.start()
        first.dead_until = gevent.get_hub().loop.now()  # it is over
        try:
            wait_for(lambda: client.ask().body == b"b")
        finally:
            server.stop()
    skipped, back = lines(capfd)
    assert skipped == f"backend http://{dead}: Connection refused: left alone for 30 seconds, as far as there are others"
    assert back == f"backend http://{dead} is back"


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_body_for_the_next_backend(backends: Backends, scheme: str) -> None:
    """What was collected for one that is dead is there for another, whatever that speaks."""

    def handle(peer: Peer) -> None:
        if scheme:
            assert b"\r\nContent-Length: 5\r\n" in peer.head()
        else:
            assert peer.variables()[1]["CONTENT_LENGTH"] == "5"
        peer.send(OK + b"\r\n" + peer.take(5))

    with fronting(backends.dead(), scheme + backends(handle).address, quiet=True) as front:
        client = front.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
        assert client.answer().body == b"hello"


def test_turns(backends: Backends) -> None:
    three = [backends(http(OK + b"Content-Length: 1\r\n\r\n%d" % number)) for number in range(3)]
    with fronting(*["http://" + backend.address for backend in three]) as front:
        client = front.connect()
        assert [client.ask().body for _ in range(6)] == [b"0", b"1", b"2"] * 2


def upgrade(client: Client) -> None:
    client.send("\r\n".join(["GET /ws HTTP/1.1", "Host: test", *KEY, "", ""]).encode())
    assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")


SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


@pytest.mark.parametrize("how", ["end", "reset", "goodbye"])
def test_dies_in_the_middle_of_a_websocket(backends: Backends, capfd: pytest.CaptureFixture[str], how: str) -> None:
    heard = gevent.event.Event()

    def handle(peer: Peer) -> None:
        peer.variables()
        peer.send(SWITCHING + b"\x81\x02hi" + (b"\x88\x02\x03\xe8" if how == "goodbye" else b""))
        if how == "reset":
            heard.wait(20)
            reset(peer.sock)

    backend = backends(handle)
    with fronting(backend.address) as front:
        client = front.connect()
        upgrade(client)
        assert client.exactly(4) == b"\x81\x02hi"
        heard.set()
        client.rest()
        client.close()
        wait_for(lambda: not front.server.tunnels)
    expected = [] if how == "goodbye" else [f"127.0.0.1: {backend.address} has ended a websocket without a close frame"]
    assert lines(capfd) == expected


def test_client_dies_in_the_middle_of_a_websocket(backends: Backends, capfd: pytest.CaptureFixture[str]) -> None:
    got: list[bytes] = []

    def handle(peer: Peer) -> None:
        peer.variables()
        peer.send(SWITCHING)
        got.append(peer.rest())

    with fronting(backends(handle).address) as front:
        client = front.connect()
        upgrade(client)
        client.send(b"bye")
        client.close()
        wait_for(lambda: bool(got))
        wait_for(lambda: not front.server.tunnels)
    assert got == [b"bye"]
    assert lines(capfd) == []


def test_nobody_reads_at_the_end_of_a_tunnel(backends: Backends, capfd: pytest.CaptureFixture[str]) -> None:
    def handle(peer: Peer) -> None:
        peer.variables()
        peer.send(SWITCHING)
        try:
            while True:
                peer.send(b"x" * 65536)
        except OSError:
            pass

    backend = backends(handle)
    with fronting(backend.address, timeout=0.2) as front:
        client = front.connect()
        upgrade(client)
        wait_for(lambda: not front.server.tunnels)
    assert lines(capfd) == [f"127.0.0.1: tunnel to {backend.address}: the client has taken nothing for 0.2 seconds"]


def test_stopping_ends_tunnels(backends: Backends, capfd: pytest.CaptureFixture[str]) -> None:
    def handle(peer: Peer) -> None:
        peer.variables()
        peer.send(SWITCHING)
        peer.rest()

    with fronting(backends(handle).address) as front:
        upgrade(front.connect())
        wait_for(lambda: len(front.server.tunnels) == 1)
        front.server.stop(5)
        assert not front.server.connections
    assert lines(capfd) == []


def test_two_at_once(backends: Backends) -> None:
    """A slow backend holds up nobody but who waits for it."""

    go = gevent.event.Event()

    def handle(peer: Peer) -> None:
        slow = peer.variables()[1]["PATH_INFO"] == "/slow"
        if slow:
            go.wait(20)
        peer.send(OK + b"\r\n" + (b"slow" if slow else b"fast"))

    with fronting(backends(handle).address) as front:
        slow, fast = front.connect(), front.connect()
        slow.send(b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n")
        assert fast.ask().body == b"fast"
        go.set()
        assert slow.answer().body == b"slow"


def test_no_room_for_a_body_that_is_collected(backends: Backends, capfd: pytest.CaptureFixture[str]) -> None:
    def answer(peer: Peer) -> None:
        peer.variables()
        peer.send(OK + b"Content-Length: 2\r\n\r\nok")

    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with fronting(backends(answer).address) as front:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_500_000, before[1]))  # no file may become larger, as on a disk that is full
        try:
            client = front.connect()
            push(client, b"POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 3)
            assert client.answer().code == 507
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        again = front.connect()
        push(again, b"POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 3 + b"0\r\n\r\n")
        assert again.answer().body == b"ok"
    (line,) = lines(capfd)
    assert line.startswith("127.0.0.1: POST /x: 507 Insufficient Storage: the body cannot be collected in ")
    assert line.endswith(": File too large")
