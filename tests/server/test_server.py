"""geuwsgi/server/server.py: beginning and end"""

from __future__ import annotations

import socket
import time
from typing import Any

import gevent
import gevent.event
import pytest

from geuwsgi.server.listener import open_listener
from geuwsgi.server.request import find_request
from geuwsgi.server.server import Server
from geuwsgi.server.settings import ServerSettings
from geuwsgi.server.upgrade import accept
from tests.harness.exhaustion import no_descriptors
from tests.harness.leaks import LeakCheck
from tests.server.serving import PLAIN, Client, serving, wait_for


def hello(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [PLAIN])
    return [b"hello"]


def test_several_listeners(tmp_path: Any) -> None:
    listeners = [open_listener("127.0.0.1:0"), open_listener(str(tmp_path / "socket"))]
    server = Server(hello, listeners, ServerSettings(log_requests=False))
    server.start()
    for listener in listeners:
        client = Client(listener.sock.getsockname(), listener.sock.family)
        assert client.ask().body == b"hello"
        client.close()
    server.stop(1)


def test_small_segments_are_not_held_back() -> None:
    with serving(hello) as server:
        client = server.connect()
        client.ask()
        (connection,) = server.server.connections
        assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_nothing_is_left() -> None:
    check = LeakCheck()
    with serving(hello) as server:
        for _ in range(20):
            server.ask()
        server.connect().send(b"GET / HT")
    check.check()


def test_many_connections_at_once() -> None:
    with serving(hello) as server:
        clients = [server.connect() for _ in range(300)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [client.answer().body for client in clients] == [b"hello"] * 300
        assert server.server.total_requests == 300


# -- the end


def stopped(server: Server, timeout: float) -> float:
    """Seconds that `stop` took."""
    began = time.monotonic()
    server.stop(timeout)
    return time.monotonic() - began


def test_idle_connections_are_closed_at_once() -> None:
    with serving(hello) as server:
        idle = [server.connect() for _ in range(3)]
        idle[0].ask()
        idle[1].ask()
        wait_for(lambda: len(server.server.connections) == 3, "three connections")
        assert stopped(server.server, 60) < 30
        assert [client.closed() for client in idle] == [True] * 3
        assert server.listener.sock.fileno() == -1


def test_running_requests_finish() -> None:
    go = gevent.event.Event()

    def application(environ: Any, start_response: Any) -> Any:
        go.wait(60)
        return hello(environ, start_response)

    with serving(application) as server:
        client = server.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /never HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: server.server.running, "the request to run")
        stopping = gevent.spawn(stopped, server.server, 60)
        wait_for(lambda: server.server.stopping, "the stop")
        go.set()
        answer = client.answer()
        assert (answer.body, answer.headers["connection"]) == (b"hello", "close")
        assert client.closed()
        assert stopping.get(timeout=30) < 30


def test_requests_in_line_are_served_too() -> None:
    go = gevent.event.Event()

    def application(environ: Any, start_response: Any) -> Any:
        go.wait(60)
        return hello(environ, start_response)

    with serving(application, cores=1) as server:
        clients = [server.connect() for _ in range(3)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: server.server.cores.waiting == 2, "the others to wait")
        stopping = gevent.spawn(stopped, server.server, 60)
        wait_for(lambda: server.server.stopping, "the stop")
        go.set()
        assert [client.answer().body for client in clients] == [b"hello"] * 3
        assert stopping.get(timeout=30) < 30


def test_requests_that_do_not_finish_are_killed(capfd: pytest.CaptureFixture[str]) -> None:
    ends: list[str] = []

    def application(environ: Any, start_response: Any) -> Any:
        try:
            gevent.sleep(60)
        finally:
            ends.append(environ["PATH_INFO"])

    with serving(application) as server:
        client = server.connect()
        client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: server.server.running, "the request to run")
        assert 0.1 <= stopped(server.server, 0.1) < 30
        assert ends == ["/slow"]
        assert not server.server.running
        assert not server.server.connections
        assert client.closed()
    assert capfd.readouterr().err == "1 connections did not end within 0.1 seconds: killed\n"


def test_an_application_that_will_not_die(capfd: pytest.CaptureFixture[str]) -> None:
    go = gevent.event.Event()

    def application(environ: Any, start_response: Any) -> Any:
        while not go.is_set():
            try:
                go.wait(60)
            except gevent.GreenletExit:
                pass
        return hello(environ, start_response)

    with serving(application) as server:
        client = server.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: server.server.running, "the request to run")
        assert stopped(server.server, 0.05) < 30
        assert not server.server.connections
        go.set()
        wait_for(lambda: not server.server.running, "the request to end")


def test_open_websockets_are_told_goodbye(capfd: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        request = find_request()
        assert request is not None
        websocket = accept(request)
        while True:
            websocket.send(1, websocket.receive())

    with serving(application, log_requests=True) as server:
        client = server.connect()
        client.send(
            b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            # An early frame, in the same packet.
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        )
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        assert client.exactly(7) == b"\x81\x05Hello"
        stopping = gevent.spawn(stopped, server.server, 60)
        assert client.exactly(4)[2:] == b"\x03\xe9"  # 1001
        client.until(b"server is shutting down")
        client.send(b"\x88\x82\x00\x00\x00\x00\x03\xe9")
        assert client.rest() == b""
        client.close()
        assert stopping.get(timeout=30) < 30
        assert server.server.total_requests == 1
    assert " GET /ws => generated " in capfd.readouterr().err


# -- accept


def test_running_out_of_descriptors_neither_spins_nor_floods_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []
    with serving(hello) as server:
        # Sockets first, so that only the server's side has none left.
        first = server.connect()
        first.ask()
        waiting = [socket.socket() for _ in range(3)]
        with no_descriptors():
            for sock in waiting:
                sock.setblocking(False)
                sock.connect_ex(server.listener.sock.getsockname())
            wait_for(lambda: "cannot accept" in _peek(capfd, seen), "the complaint")
            used = time.process_time()
            gevent.sleep(0.3)
            assert time.process_time() - used < 0.2
            assert first.ask().body == b"hello"
        wait_for(lambda: len(server.server.connections) == 4, "the waiting connections to be accepted")
        for sock in waiting:
            sock.close()
    log = "".join(seen) + capfd.readouterr().err
    assert log.count("cannot accept connections for the moment: Too many open files") == 1
    assert len(log.splitlines()) == 1


def _peek(capfd: pytest.CaptureFixture[str], seen: list[str]) -> str:
    seen.append(capfd.readouterr().err)
    return "".join(seen)
