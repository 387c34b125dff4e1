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
from tests.server.websockets import Clock, echo, websockets

PINGED = Event("ping", b"")


def asleep(connection: WebSocketConnection) -> None:
    """An application that does nothing with its websocket."""
    while connection.open:
        gevent.sleep(0.02)


def pong(client: RawClient, connection: WebSocketConnection) -> None:
    """Answer a ping, and wait until the server has read that."""
    assert client.event() == PINGED
    connection.heard = False
    client.send(frame(PONG))
    wait_for(lambda: connection.heard, "the pong to be read")


def dropped(client: RawClient) -> None:
    """Wait for the server to give up. Pings may come before."""
    event = client.event()
    while event == PINGED:
        event = client.event()
    assert (event.kind, event.code) == ("close", 1011)
    assert b"pong" in (event.payload or b"")
    assert client.event() == Event("end")


def test_pings_flow_while_the_application_sleeps() -> None:
    with websockets(asleep, ping_freq=0.1, pong_tolerance=20) as server:
        start = time.monotonic()
        client = server.open()
        for number in range(1, 6):
            assert client.event() == PINGED
            # Never before their time; how much later is the machine's affair.
            assert time.monotonic() - start >= 0.1 * number
            client.send(frame(PONG))
        assert server.talks[0].open


def test_pings_are_about_their_frequency_apart() -> None:
    with websockets(asleep, ping_freq=0.3, pong_tolerance=0.2) as server:
        clock = Clock(server.server.keepalive)
        client = server.open()
        (connection,) = server.talks
        for _ in range(3):
            clock.forward(0.28)
            assert not connection.ping_sent
            clock.forward(0.03)
            assert connection.ping_sent
            pong(client, connection)


def test_a_silent_peer_is_closed(capfd: pytest.CaptureFixture[str]) -> None:
    with websockets(asleep, ping_freq=0.2, pong_tolerance=0.2) as server:
        start = time.monotonic()
        client = server.open()
        dropped(client)
        assert time.monotonic() - start >= 0.4
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
        clock = Clock(server.server.keepalive)
        client = server.open()
        pings = 0
        for _ in range(20):
            client.send(frame(TEXT, b"data, but never a pong"))
            event = client.event()
            while event == PINGED:
                pings += 1
                event = client.event()
            assert event == Event("text", b"data, but never a pong")
            clock.forward(0.05)
        assert pings >= 3
        assert server.talks[0].open


def test_a_frame_that_trickles_in_is_a_sign_of_life() -> None:
    with websockets(echo, ping_freq=0.1, pong_tolerance=0.1) as server:
        clock = Clock(server.server.keepalive)
        client = server.open()
        (connection,) = server.talks
        data = frame(TEXT, b"slow but steady")
        for position in range(len(data) - 1):
            client.send(data[position : position + 1])
            wait_for(lambda: connection.heard, "the octet to be read")
            clock.forward(0.06)
            assert connection.open
        client.send(data[-1:])
        event = client.event()
        while event == PINGED:
            event = client.event()
        assert event == Event("text", b"slow but steady")


def test_half_a_frame_and_then_silence() -> None:
    with websockets(echo, ping_freq=0.1, pong_tolerance=0.2) as server:
        client = server.open()
        client.send(frame(TEXT, b"never finished")[:9])
        dropped(client)


def test_unsolicited_pongs_are_a_sign_of_life() -> None:
    with websockets(asleep, ping_freq=0.15, pong_tolerance=0.15) as server:
        clock = Clock(server.server.keepalive)
        client = server.open()
        (connection,) = server.talks
        for _ in range(20):
            client.send(frame(PONG, b"heartbeat"))
            wait_for(lambda: connection.heard, "the pong to be read")
            clock.forward(0.05)
            assert connection.open
        assert client.event() == PINGED


def test_no_pings_with_a_frequency_of_nothing() -> None:
    with websockets(asleep, ping_freq=0, pong_tolerance=0.05) as server:
        clock = Clock(server.server.keepalive)
        client = server.open()
        clock.forward(3600)
        with pytest.raises(Silence):
            client.event(0.2)
        assert server.talks[0].open


def test_a_pong_that_waits_in_the_kernel_behind_a_full_inbox() -> None:
    script = Script()
    with websockets(script, ping_freq=0.1, pong_tolerance=0.1, inbox_messages=2) as server:
        clock = Clock(server.server.keepalive)
        client = server.open()
        (connection,) = server.talks
        client.send(frame(TEXT, b"x") * 10)
        wait_for(lambda: connection.heard, "the messages to be read")
        # Reading has stopped by now: what comes next stays in the kernel.
        clock.forward(0.11)
        assert client.event() == PINGED
        client.send(frame(PONG))
        wait_for(connection.unread, "the pong")
        for _ in range(5):
            clock.forward(0.11)
            assert connection.open
        for _ in range(10):
            assert script.do(receive) == b"x"


def test_a_pong_that_came_while_the_hub_was_blocked() -> None:
    with websockets(asleep, ping_freq=0.1, pong_tolerance=0.1) as server:
        clock = Clock(server.server.keepalive)
        client = server.open()
        (connection,) = server.talks
        for _ in range(5):
            clock.forward(0.11)
            assert client.event() == PINGED
            client.send(frame(PONG))
            # Nothing has run since.
            while not connection.unread():
                time.sleep(0.001)
            clock.forward(0.4)
            assert connection.open
            wait_for(lambda: connection.heard, "the pong to be read")


def test_a_slow_reader_is_alive() -> None:
    # The ping waits behind megabytes in two kernels, for longer than any tolerance; that they move is a sign of life.
    script = Script()
    with websockets(script, ping_freq=0.1, pong_tolerance=0.4, outbox_high=1 << 30) as server:
        clock = Clock(server.server.keepalive)
        client = server.open(receive_buffer=1 << 16)
        size = 8 << 20
        script.do(lambda connection: connection.send(BINARY, b"x" * size))
        taken = 0
        while taken < size - (1 << 20):
            data = client.sock.recv(1 << 16)
            assert data
            taken += len(data)
            gevent.sleep(0.001)
            clock.forward(0.015)
            assert server.talks[0].open
        assert server.talks[0].ping_sent


def test_a_reader_that_has_stopped_is_dead() -> None:
    script = Script()
    with websockets(script, ping_freq=0.1, pong_tolerance=0.2) as server:
        client = server.open(receive_buffer=8192)
        script.start(lambda connection: connection.send(BINARY, b"x" * (24 << 20)))
        assert script.result()[0] == 1006
        assert client is not None


def test_one_greenlet_for_all(no_leaks: Any) -> None:
    with websockets(asleep, ping_freq=0.2, pong_tolerance=0.5) as server:
        clock = Clock(server.server.keepalive)
        clients = [server.open() for _ in range(50)]
        assert len(server.server.keepalive) == 50
        assert len(server.server.keepalive.connections()) == 50
        clock.forward(0.21)
        for client, connection in zip(clients, server.talks):
            pong(client, connection)
        clock.forward(0.6)
        assert all(connection.open for connection in server.talks)


def test_a_closing_peer_is_not_pinged() -> None:
    script = Script()
    with websockets(script, ping_freq=0.1, pong_tolerance=0.1, close_timeout=0.6) as server:
        client = server.open(early=frame(TEXT, b"not read for long") + close_frame(1001))
        # The close frame is answered when the application has had its time, and properly.
        assert [client.event(), client.event()] == [Event("close", b"", 1001), Event("end")]


def test_connections_come_and_go() -> None:
    with websockets(echo, ping_freq=0.1, pong_tolerance=20) as server:
        for _ in range(3):
            client = server.open()
            assert len(server.server.keepalive) == 1
            assert client.event() == PINGED
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
        clock = Clock(server.server.keepalive)
        silent = [server.open() for _ in range(3)]
        client = server.open()
        connection = server.talks[-1]
        for _ in range(3):
            clock.forward(0.11)
            pong(client, connection)
        assert connection.open
        for other in silent:
            dropped(other)
