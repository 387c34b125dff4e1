"""geuwsgi/server/keepalive.py: pings in the background, silent peers, and peers that only seem silent"""

from __future__ import annotations

import time
from typing import Any

import gevent
import pytest

from geuwsgi.errors import ConnectionClosed
from geuwsgi.server.websocket import WebSocketConnection
from tests.conformance.client import Event, RawClient, Silence
from tests.protocol.wire import BINARY, PONG, TEXT, close_frame, frame
from tests.server.serving import wait_for
from tests.server.test_websocket import Script, receive
from tests.server.websockets import echo, websockets

PINGED = Event("ping", b"")


def asleep(connection: WebSocketConnection) -> None:
    """An application that does nothing with its websocket."""
    while connection.open:
        gevent.sleep(0.02)


def lives(client: RawClient, seconds: float, answer: bool = True) -> int:
    """Answer pings for a while; how many there were. Anything else that comes is a failure."""
    end = time.monotonic() + seconds
    count = 0
    while time.monotonic() < end:
        try:
            event = client.event(max(0.001, end - time.monotonic()))
        except Silence:
            break
        assert event == PINGED
        count += 1
        if answer:
            client.send(frame(PONG, event.payload or b""))
    return count


def dropped(client: RawClient, seconds: float = 3.0) -> float:
    """Wait for the server to give up; seconds that it took. Pings may come before."""
    start = time.monotonic()
    event = client.event(seconds)
    while event == PINGED:
        event = client.event(seconds)
    assert (event.kind, event.code) == ("close", 1011)
    assert b"pong" in (event.payload or b"")
    assert client.event(1) == Event("end")
    return time.monotonic() - start


def test_pings_flow_while_the_application_sleeps() -> None:
    with websockets(asleep, ping_freq=0.1, pong_tolerance=0.2) as server:
        client = server.open()
        assert 3 <= lives(client, 1.0) <= 10
        assert server.talks[0].open


def test_pings_are_about_their_frequency_apart() -> None:
    with websockets(asleep, ping_freq=0.3, pong_tolerance=0.2) as server:
        client = server.open()
        start = time.monotonic()
        times = []
        for _ in range(3):
            assert client.event(2) == PINGED
            times.append(time.monotonic() - start)
            client.send(frame(PONG))
        for number, moment in enumerate(times, 1):
            assert 0.3 * number - 0.05 <= moment <= 0.3 * number + 0.25


def test_a_silent_peer_is_closed(capfd: pytest.CaptureFixture[str]) -> None:
    with websockets(asleep, ping_freq=0.2, pong_tolerance=0.2) as server:
        client = server.open()
        assert 0.35 < dropped(client) < 1.0
        assert not server.talks[0].open
        wait_for(lambda: not len(server.server.keepalive))
    log = capfd.readouterr().err
    assert log.count("websocket of 127.0.0.1 dropped: no pong received in 0.2 seconds") == 1
    assert "Traceback" not in log


def test_the_application_is_told() -> None:
    script = Script()
    with websockets(script, ping_freq=0.1, pong_tolerance=0.1) as server:
        server.open()
        code, reason = script.do(receive)
        assert code == 1006
        assert "pong" in reason


def test_a_peer_that_sends_data_is_alive() -> None:
    with websockets(echo, ping_freq=0.1, pong_tolerance=0.1) as server:
        client = server.open()
        pings = 0
        for _ in range(20):
            client.send(frame(TEXT, b"data, but never a pong"))
            gevent.sleep(0.05)
            event = client.event()
            while event == PINGED:
                pings += 1
                event = client.event()
            assert event == Event("text", b"data, but never a pong")
        assert pings >= 3
        assert server.talks[0].open


def test_a_frame_that_trickles_in_is_a_sign_of_life() -> None:
    with websockets(echo, ping_freq=0.1, pong_tolerance=0.1) as server:
        client = server.open()
        data = frame(TEXT, b"slow but steady")
        for position in range(len(data)):
            client.send(data[position : position + 1])
            gevent.sleep(0.04)
        event = client.event()
        while event == PINGED:
            event = client.event()
        assert event == Event("text", b"slow but steady")


def test_half_a_frame_and_then_silence() -> None:
    with websockets(echo, ping_freq=0.1, pong_tolerance=0.2) as server:
        client = server.open()
        client.send(frame(TEXT, b"never finished")[:9])
        assert dropped(client) < 1.5


def test_unsolicited_pongs_are_a_sign_of_life() -> None:
    with websockets(asleep, ping_freq=0.15, pong_tolerance=0.15) as server:
        client = server.open()
        for _ in range(20):
            client.send(frame(PONG, b"heartbeat"))
            gevent.sleep(0.05)
        assert server.talks[0].open


def test_no_pings_with_a_frequency_of_nothing() -> None:
    with websockets(asleep, ping_freq=0, pong_tolerance=0.05) as server:
        client = server.open()
        assert lives(client, 0.6) == 0
        assert server.talks[0].open


def test_a_pong_that_waits_in_the_kernel_behind_a_full_inbox() -> None:
    script = Script()
    with websockets(script, ping_freq=0.1, pong_tolerance=0.1, inbox_messages=2) as server:
        client = server.open()
        client.send(frame(TEXT, b"x") * 10)
        gevent.sleep(0.05)
        # Reading has stopped by now: what comes next stays in the kernel.
        assert lives(client, 0.8) >= 1
        assert server.talks[0].open
        for _ in range(10):
            assert script.do(receive) == b"x"


def test_a_pong_that_came_while_the_hub_was_blocked() -> None:
    with websockets(asleep, ping_freq=0.1, pong_tolerance=0.1) as server:
        client = server.open()
        for _ in range(5):
            assert client.event(1) == PINGED
            client.send(frame(PONG))
            time.sleep(0.4)  # nothing runs meanwhile
        assert server.talks[0].open


def test_a_slow_reader_is_alive() -> None:
    # The ping waits behind megabytes in two kernels, for longer than any tolerance; that they move is a sign of life.
    script = Script()
    with websockets(script, ping_freq=0.1, pong_tolerance=0.4, outbox_high=1 << 30) as server:
        client = server.open(receive_buffer=1 << 16)
        size = 8 << 20
        script.do(lambda connection: connection.send(BINARY, b"x" * size))
        taken = 0
        while taken < size - (1 << 20):
            data = client.sock.recv(1 << 16)
            assert data
            taken += len(data)
            gevent.sleep(0.015)
            assert server.talks[0].open


def test_a_reader_that_has_stopped_is_dead() -> None:
    script = Script()
    with websockets(script, ping_freq=0.1, pong_tolerance=0.2) as server:
        client = server.open(receive_buffer=8192)
        script.start(lambda connection: connection.send(BINARY, b"x" * (24 << 20)))
        assert script.result()[0] == 1006
        assert client is not None


def test_one_greenlet_for_all(no_leaks: Any) -> None:
    with websockets(asleep, ping_freq=0.2, pong_tolerance=0.5) as server:
        clients = [server.open() for _ in range(50)]
        assert len(server.server.keepalive) == 50
        assert len(server.server.keepalive.connections()) == 50
        for client in clients:
            assert client.event(2) == PINGED
            client.send(frame(PONG))
        gevent.sleep(0.3)
        assert all(connection.open for connection in server.talks)


def test_a_closing_peer_is_not_pinged() -> None:
    script = Script()
    with websockets(script, ping_freq=0.1, pong_tolerance=0.1, close_timeout=0.6) as server:
        client = server.open()
        client.send(frame(TEXT, b"not read for long") + close_frame(1001))
        # The close frame is answered when the application has had its time, and properly.
        assert [client.event(2), client.event(2)] == [Event("close", b"", 1001), Event("end")]


def test_connections_come_and_go() -> None:
    with websockets(echo, ping_freq=0.1, pong_tolerance=0.2) as server:
        for _ in range(3):
            client = server.open()
            assert len(server.server.keepalive) == 1
            assert client.event(1) == PINGED
            client.send(close_frame(1000))
            assert [client.event(), client.event()] == [Event("close", b"", 1000), Event("end")]
            client.sock.close()
            wait_for(lambda: not len(server.server.keepalive))


def test_a_failing_peer_does_not_stop_the_others() -> None:
    def talk(connection: WebSocketConnection) -> None:
        try:
            connection.receive()
        except ConnectionClosed:
            pass

    with websockets(talk, ping_freq=0.1, pong_tolerance=0.1) as server:
        silent = [server.open() for _ in range(3)]
        client = server.open()
        assert lives(client, 1.0) >= 3
        for other in silent:
            assert dropped(other) < 1
