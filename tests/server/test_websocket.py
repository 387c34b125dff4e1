"""geuwsgi/server/websocket.py: what happens in the background of an application, on real sockets"""

from __future__ import annotations

import gc
import socket
import struct
import sys
import time
import weakref
from typing import Any

import gevent
import gevent.event
import gevent.queue
import pytest

from geuwsgi.errors import ConnectionClosed
from geuwsgi.protocol.frames import BINARY, TEXT, encode_frame
from geuwsgi.protocol.handshake import HandshakeError
from geuwsgi.server.request import find_request
from geuwsgi.server.settings import WebSocketSettings
from geuwsgi.server.upgrade import accept
from geuwsgi.server.websocket import WebSocketConnection
from tests.conformance.client import Event, Silence
from tests.protocol.wire import PING, PONG, close_frame, frame, pieces
from tests.server.serving import serving, still, wait_for
from tests.server.websockets import echo, websockets

END = Event("end")


def closed(code: int, reason: bytes = b"") -> Event:
    return Event("close", reason, code)


def text(payload: bytes) -> Event:
    return Event("text", payload)


class Script:
    """An application that a test drives: it calls what the test puts in, and the test gets what came of it."""

    def __init__(self) -> None:
        self.calls: Any = gevent.queue.Queue()
        self.results: Any = gevent.queue.Queue()

    def __call__(self, connection: WebSocketConnection) -> None:
        while True:
            call = self.calls.get()
            if call is None:
                return
            try:
                self.results.put(call(connection))
            except ConnectionClosed as error:
                self.results.put((error.code, error.reason))

    def start(self, call: Any) -> None:
        self.calls.put(call)

    def do(self, call: Any) -> Any:
        self.start(call)
        return self.result()

    def result(self) -> Any:
        return self.results.get(timeout=20)

    def finish(self) -> None:
        self.calls.put(None)


def receive(connection: WebSocketConnection) -> bytes:
    return connection.receive()


def receive_nowait(connection: WebSocketConnection) -> bytes:
    return connection.receive_nowait()


# -- receiving


def test_an_echo_and_its_counters() -> None:
    with websockets(echo) as server:
        client = server.open()
        client.send(frame(TEXT, b"hello") + frame(BINARY, b"\xff"))
        assert client.event() == text(b"hello")
        assert client.event() == Event("binary", b"\xff")
        (connection,) = server.talks
        assert connection.messages_received == connection.messages_sent == 2
        assert connection.writer.bytes_sent == 7 + 3
        assert connection.opcode == BINARY
        assert connection.open
        client.send(close_frame(1000))
        assert [client.event(), client.event()] == [closed(1000), END]
        assert not connection.open


def test_messages_wait_for_the_application() -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        client.send(frame(TEXT, b"a") + frame(BINARY, b"") + frame(TEXT, b"c") + frame(PING, b"?"))
        assert client.event() == Event("pong", b"?")
        connection = server.talks[0]
        assert connection.opcode == 0
        assert script.do(receive) == b"a"
        assert connection.opcode == TEXT
        assert script.do(receive_nowait) == b""
        assert connection.opcode == BINARY
        assert script.do(receive) == b"c"
        assert script.do(receive_nowait) == b""
        assert connection.messages_received == 3


def test_polling_without_ever_yielding_sees_what_comes() -> None:
    seen = []

    def poll(connection: WebSocketConnection) -> None:
        client.send(frame(TEXT, b"now"))  # gevent's sockets do not yield while there is room
        end = time.monotonic() + 20  # a busy kernel has it at the other end a while later
        while time.monotonic() < end:
            message = connection.receive_nowait()
            if message:
                seen.append(message)
                return

    script = Script()
    with websockets(script) as server:
        client = server.open()
        script.do(poll)
        assert seen == [b"now"]


def test_after_the_end_every_call_raises() -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        client.send(frame(TEXT, b"last") + close_frame(4321, b"so long"))
        assert script.do(receive) == b"last"
        for call in (receive, receive_nowait, receive, lambda connection: connection.send(TEXT, b"x")):
            assert script.do(call) == (4321, "so long")
        assert script.do(lambda connection: connection.close(1000)) is None
        assert [client.event(), client.event()] == [closed(4321, b"so long"), END]


def test_two_greenlets_receiving() -> None:
    got: list[bytes] = []
    ends: list[int] = []

    def reader(connection: WebSocketConnection) -> None:
        try:
            while True:
                got.append(connection.receive())
        except ConnectionClosed as error:
            ends.append(error.code)

    def talk(connection: WebSocketConnection) -> None:
        gevent.joinall([gevent.spawn(reader, connection) for _ in range(2)])

    with websockets(talk) as server:
        client = server.open()
        wanted = [b"%d" % number for number in range(100)]
        for one in wanted[:50]:
            client.send(frame(TEXT, one))
        client.send(b"".join(frame(TEXT, one) for one in wanted[50:]))
        wait_for(lambda: len(got) == 100)
        assert sorted(got) == sorted(wanted)
        client.send(close_frame(1001))
        assert [client.event(), client.event()] == [closed(1001), END]
        wait_for(lambda: len(ends) == 2)
        assert ends == [1001, 1001]


def test_polling_beside_a_waiting_greenlet_leaves_nobody_asleep() -> None:
    got: list[bytes] = []
    script = Script()
    with websockets(script) as server:
        client = server.open()
        waiter = gevent.spawn(lambda: got.append(server.talks[0].receive()))
        gevent.sleep(0.01)
        # Both messages are read by the poll, which takes one of them.

        def poll(connection: WebSocketConnection) -> bytes:
            client.send(frame(TEXT, b"one") + frame(TEXT, b"two"))
            end = time.monotonic() + 20
            while not (message := connection.receive_nowait()) and time.monotonic() < end:
                pass
            return message

        assert script.do(poll) == b"one"
        waiter.join(20)
        assert got == [b"two"]


def test_a_timeout_loses_nothing() -> None:
    def talk(connection: WebSocketConnection) -> None:
        for _ in range(20):
            with gevent.Timeout(0.002, False):
                connection.receive()
                raise AssertionError("nothing was sent")
        gevent.sleep(0)
        connection.send(TEXT, b"ready")
        echo(connection)

    with websockets(talk) as server:
        client = server.open()
        assert client.event() == text(b"ready")
        for number in range(20):
            client.send(frame(TEXT, b"%d" % number))
            assert client.event() == text(b"%d" % number)


def test_timeouts_that_race_with_messages() -> None:
    got: list[bytes] = []

    def talk(connection: WebSocketConnection) -> None:
        try:
            while True:
                with gevent.Timeout(0.001, False):
                    got.append(connection.receive())
        except ConnectionClosed:
            pass

    with websockets(talk) as server:
        client = server.open()
        for number in range(300):
            client.send(frame(TEXT, b"%d" % number))
            gevent.sleep(0.0007)
        client.send(close_frame(1000))
        assert [client.event(), client.event()] == [closed(1000), END]
    assert got == [b"%d" % number for number in range(300)]


def test_a_stray_switch_wakes_nobody_for_nothing() -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        script.start(receive)
        gevent.sleep(0.01)
        (connection,) = server.server.connections
        gevent.get_hub().loop.run_callback(connection.greenlet.switch)
        gevent.sleep(0.01)
        client.send(frame(TEXT, b"a"))
        assert script.result() == b"a"


# -- ends


def test_the_application_returns() -> None:
    with websockets(lambda connection: None) as server:
        client = server.open()
        assert client.event() == closed(1000)
        client.send(close_frame(1000))
        assert client.event() == END


def test_the_application_raises(capfd: pytest.CaptureFixture[str]) -> None:
    def talk(connection: WebSocketConnection) -> None:
        raise RuntimeError("out of order")

    with websockets(talk) as server:
        client = server.open()
        event = client.event()
        assert (event.kind, event.code) == ("close", 1011)
        assert b"out of order" not in (event.payload or b"")
        client.send(close_frame(1011))
        assert client.event() == END
    assert capfd.readouterr().err.count("RuntimeError: out of order") == 1


@pytest.mark.parametrize(("error", "code"), [(gevent.Timeout(1), 1011), (gevent.GreenletExit(), 1000)], ids=["time-out", "kill"])
def test_what_ends_a_greenlet_ends_the_websocket(error: BaseException, code: int) -> None:
    # gevent counts GreenletExit as a regular end.
    started = gevent.event.Event()

    def talk(connection: WebSocketConnection) -> None:
        started.set()
        connection.receive()

    with websockets(talk) as server:
        client = server.open()
        started.wait(20)
        (connection,) = server.server.connections
        connection.greenlet.kill(error, block=False)
        event = client.event()
        assert (event.kind, event.code) == ("close", code)
        client.send(close_frame(code))
        assert client.event() == END
        assert not server.server.running


def test_close_from_another_greenlet() -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        script.start(receive)
        gevent.sleep(0.01)
        gevent.spawn(server.talks[0].close, 4000, "enough")
        assert script.result() == (4000, "enough")
        assert client.event() == closed(4000, b"enough")
        with pytest.raises(Silence):
            client.event(0.05)  # TCP waits for the client's half
        client.send(close_frame(4000))
        assert client.event() == END


def test_a_peer_that_never_answers_a_close_frame() -> None:
    with websockets(lambda connection: None, close_timeout=0.2) as server:
        client = server.open()
        assert client.event() == closed(1000)
        assert client.event() == END
        wait_for(lambda: not len(server.server.keepalive))


def test_a_peer_that_goes_on_after_a_close_frame() -> None:
    with websockets(lambda connection: None, close_timeout=0.3) as server:
        client = server.open()
        assert client.event() == closed(1000)
        for _ in range(1000):
            client.send(frame(TEXT, b"x" * 1000))
            gevent.sleep(0.001)
            if not len(server.server.keepalive):
                break
        assert not len(server.server.keepalive)


@pytest.mark.parametrize("reset", [False, True])
def test_a_peer_that_just_goes(reset: bool) -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        script.start(receive)
        gevent.sleep(0.01)
        if reset:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.sock.close()
        assert script.result() == (1006, "")


def test_a_peer_that_closes_and_goes_while_the_application_is_busy() -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        client.send(frame(TEXT, b"last") + close_frame(1001, b"leaving"))
        client.sock.close()
        gevent.sleep(0.05)
        assert script.do(receive) == b"last"
        assert script.do(receive) == (1001, "leaving")


def test_a_peer_that_has_closed_its_half_still_gets_the_answers() -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        big = b"x" * 300_000
        client.send(frame(TEXT, b"one") + frame(TEXT, b"two") + frame(TEXT, big))
        client.sock.shutdown(socket.SHUT_WR)

        def answer(connection: WebSocketConnection) -> None:
            gevent.sleep(0.05)
            echo(connection)

        script.start(answer)
        assert [client.event() for _ in range(4)] == [text(b"one"), text(b"two"), text(big), END]
        wait_for(lambda: not len(server.server.keepalive))


@pytest.mark.parametrize(("last", "code"), [(close_frame(1001), 1001), (b"\xff", 1002)], ids=["close", "mistake"])
def test_a_peer_that_closes_its_half_behind_a_message_that_was_taken(last: bytes, code: int, capfd: pytest.CaptureFixture[str]) -> None:
    script = Script()
    with websockets(script) as server:
        client = server.open()
        client.send(frame(TEXT, b"taken") + last)
        assert script.do(receive) == b"taken"
        client.sock.shutdown(socket.SHUT_WR)
        event = client.event()
        assert (event.kind, event.code) == ("close", code)
        assert client.event() == END
        assert script.do(receive)[0] == code
    assert capfd.readouterr().err.count("dropped: 1002") == (code == 1002)


def test_a_peer_that_closes_while_the_application_reads_nothing() -> None:
    script = Script()
    with websockets(script, close_timeout=0.2) as server:
        client = server.open()
        client.send(frame(TEXT, b"never read") + close_frame(1001))
        assert [client.event(), client.event()] == [closed(1001), END]
        assert script.do(receive) == b"never read"
        assert script.do(receive) == (1001, "")


def test_an_error_while_the_application_reads_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    script = Script()
    with websockets(script, close_timeout=0.2) as server:
        client = server.open()
        client.send(frame(TEXT, b"never read") + b"\xff")
        event = client.event()
        assert (event.kind, event.code) == ("close", 1002)
        assert client.event() == END
        assert script.do(receive) == b"never read"
        assert script.do(receive)[0] == 1002
    assert capfd.readouterr().err.count("dropped: 1002") == 1


def test_tcp_ends_although_the_application_stays() -> None:
    script = Script()
    with websockets(script, close_timeout=0.2) as server:
        client = server.open()
        client.send(close_frame(1000))
        assert [client.event(), client.event()] == [closed(1000), END]
        # Also when the peer never closes its own half.
        wait_for(lambda: not len(server.server.keepalive))
        assert server.server.running
        assert script.do(receive) == (1000, "")


def test_nothing_is_left_of_a_websocket() -> None:
    with websockets(echo) as server:
        for number in range(5):
            client = server.open()
            client.send(frame(TEXT, b"x"))
            client.event()
            if number % 2:
                client.send(close_frame(1000))
                client.event()
            client.sock.close()
        wait_for(lambda: not server.server.connections and not len(server.server.keepalive))
        left = [weakref.ref(connection) for connection in server.talks]
        server.talks.clear()
        gevent.sleep(0)
        gc.collect()
        assert [ref() for ref in left] == [None] * 5


# -- back-pressure


def test_a_full_inbox_pushes_back() -> None:
    script = Script()
    with websockets(script, inbox_messages=10, max_size=100_000) as server:
        client = server.open()
        message = frame(BINARY, b"x" * 50_000)
        sender = gevent.spawn(client.send, message * 400)
        gevent.sleep(0.2)
        assert not sender.dead, "20 MB went in, although nobody reads"
        connection = server.talks[0]
        for _ in range(400):
            assert len(script.do(receive)) == 50_000
        sender.join(20)
        assert sender.dead
        assert connection.messages_received == 400


def test_a_full_inbox_by_bytes() -> None:
    script = Script()
    with websockets(script, inbox_bytes=100_000, max_size=1 << 20) as server:
        client = server.open()
        sender = gevent.spawn(client.send, frame(BINARY, b"x" * 60_000) * 400)
        gevent.sleep(0.2)
        assert not sender.dead
        for _ in range(400):
            assert len(script.do(receive)) == 60_000
        sender.join(20)
        assert sender.dead


def test_the_end_is_seen_behind_a_full_inbox() -> None:
    script = Script()
    with websockets(script, inbox_messages=2) as server:
        client = server.open()
        client.send(frame(TEXT, b"x") * 5 + close_frame(1001))
        for _ in range(5):
            assert script.do(receive) == b"x"
        assert script.do(receive) == (1001, "")
        assert client.event() == closed(1001)


def test_closing_with_a_full_inbox() -> None:
    script = Script()
    with websockets(script, inbox_messages=2) as server:
        client = server.open()
        client.send(frame(TEXT, b"x") * 50)
        gevent.sleep(0.02)
        client.send(frame(TEXT, b"y") * 50)
        script.do(lambda connection: connection.close(4000))
        assert client.event() == closed(4000)
        client.send(close_frame(4000))
        assert client.event() == END


def test_a_client_that_never_reads_stops_only_its_own_sender() -> None:
    progress: dict[int, int] = {}

    def flood(connection: WebSocketConnection) -> None:
        mine = len(progress)
        progress[mine] = 0
        try:
            for _ in range(500):
                connection.send(BINARY, b"x" * 50_000)
                progress[mine] += 1
        except ConnectionClosed:
            pass

    with websockets(flood, outbox_high=100_000, outbox_low=20_000) as server:
        stuck = server.open(receive_buffer=8192)
        before = still(lambda: progress.get(0))
        assert before < 500
        assert server.talks[0].writer.size <= 150_014
        reading = server.open()
        for _ in range(500):
            assert reading.event() == Event("binary", b"x" * 50_000)
        assert progress == {0: before, 1: 500}
        # And when it reads at last, all of it is there.
        for _ in range(500):
            assert stuck.event() == Event("binary", b"x" * 50_000)
        assert stuck.event() == closed(1000)


def test_a_sender_that_waits_is_told_of_the_end() -> None:
    script = Script()
    with websockets(script, outbox_high=1000, outbox_low=100) as server:
        client = server.open(receive_buffer=8192)
        script.start(lambda connection: connection.send(BINARY, b"x" * (8 << 20)))
        gevent.sleep(0.1)
        client.sock.close()
        assert script.result()[0] == 1006


def test_a_sender_that_waits_may_be_timed_out() -> None:
    script = Script()

    def send(connection: WebSocketConnection) -> str:
        with gevent.Timeout(0.05, False):
            connection.send(BINARY, b"x" * (8 << 20))
            return "sent"
        return "timed out"

    with websockets(script, outbox_high=1000, outbox_low=100) as server:
        client = server.open(receive_buffer=8192)
        assert script.do(send) == "timed out"
        # The message was accepted, and stays whole.
        script.start(lambda connection: connection.send(TEXT, b"next"))
        assert client.event() == Event("binary", b"x" * (8 << 20))
        assert client.event() == text(b"next")


def test_frames_keep_their_order_behind_a_full_kernel() -> None:
    script = Script()
    with websockets(script, outbox_high=1 << 30) as server:
        client = server.open(receive_buffer=8192)

        def send(connection: WebSocketConnection) -> None:
            for number in range(300):
                connection.send(BINARY, b"%d " % number * 20_000)
                connection.writer.send_frame(encode_frame(TEXT, b"%d" % number))

        script.do(send)
        assert server.talks[0].writer.size > 1 << 20
        for number in range(300):
            assert client.event() == Event("binary", b"%d " % number * 20_000)
            assert client.event() == text(b"%d" % number)
        wait_for(lambda: not server.talks[0].writer.size)


def test_of_many_pings_a_slow_reader_may_get_only_the_last_answer() -> None:
    script = Script()
    with websockets(script, outbox_high=10_000, outbox_low=1000) as server:
        client = server.open(receive_buffer=8192)
        script.start(lambda connection: connection.send(BINARY, b"x" * (8 << 20)))
        gevent.sleep(0.05)
        for number in range(5000):
            client.send(frame(PING, b"%d" % number))
        wait_for(lambda: not server.talks[0].unread(), "all of them to be read")
        assert server.talks[0].writer.size < (8 << 20) + 1000
        assert client.event() == Event("binary", b"x" * (8 << 20))
        assert client.event() == Event("pong", b"4999")


class Scripted:
    """A stream whose bytes come when a test says so.

    Attributes:
        asked: the amounts that were asked for.
        sent: what was taken, as it was handed over.
        takes: how much is taken at once.
    """

    number = -1

    def __init__(self) -> None:
        self.native = self
        self.asked: list[int] = []
        self.sent: list[bytes] = []
        self.takes = sys.maxsize
        self._data = b""
        self._callback: Any = None

    def come(self, data: bytes) -> None:
        self._data = data
        while self._data:
            self._callback()

    def receive(self, size: int) -> bytes:
        self.asked.append(size)
        data, self._data = self._data[:size], self._data[size:]
        return data

    def transmit(self, data: Any) -> int:
        data = bytes(data)[: self.takes]
        if data:
            self.sent.append(data)
        return len(data)

    def watcher(self, events: int) -> Any:
        return self

    def start(self, callback: Any) -> None:
        self._callback = callback

    def stop(self) -> None: ...

    end = shutdown = close = stop


def test_a_flood_of_tiny_frames_is_read_in_small_amounts() -> None:
    """What was read is gone through at once, and everybody else waits meanwhile."""
    with websockets(echo) as server:
        stream = Scripted()
        connection = WebSocketConnection(stream, "", WebSocketSettings(), server.server.keepalive)
        stream.come(frame(BINARY, b"x" * 600_000))
        assert stream.asked == [65536, 262144, 262144, 262144]
        del stream.asked[:]
        stream.come(frame(PONG, b"") * 100_000)
        assert stream.asked == [262144] + [65536] * 6
        connection.finish(None)
        connection.expired()


def test_pings_that_came_together_are_answered_together() -> None:
    with websockets(echo) as server:
        stream = Scripted()
        connection = WebSocketConnection(stream, "", WebSocketSettings(), server.server.keepalive)
        stream.come(b"".join(frame(PING, b"%d" % number) for number in range(100)) + close_frame(1000))
        assert stream.sent == [b"".join(b"\x8a%c%d" % (len(str(number)), number) for number in range(100)), b"\x88\x02\x03\xe8"]
        connection.finish(None)
        connection.expired()


def test_many_small_frames_wait_in_few_pieces() -> None:
    """Their bytes are bounded, so what an object takes besides must be."""
    with websockets(echo) as server:
        stream = Scripted()
        connection = WebSocketConnection(stream, "", WebSocketSettings(), server.server.keepalive)
        stream.takes = 0
        frames = [encode_frame(TEXT, b"%d" % number) for number in range(40_000)]
        before = sys.getallocatedblocks()
        for number in range(40_000):
            connection.writer.send_message(TEXT, b"%d" % number)
        assert sys.getallocatedblocks() - before < 2000
        assert connection.writer.size == sum(map(len, frames))
        stream.takes = 1000
        while connection.writer.size:
            connection.writer.uncork()
        assert b"".join(stream.sent) == b"".join(frames)
        connection.finish(None)
        connection.expired()


def test_answers_to_messages_that_came_together_do_not_wait_for_a_slow_application() -> None:
    def talk(connection: WebSocketConnection) -> None:
        for _ in range(3):
            connection.send(TEXT, connection.receive())
            released.wait(60)

    released = gevent.event.Event()
    with websockets(talk) as server:
        client = server.open()
        gevent.sleep(0.01)
        client.send(frame(TEXT, b"a") + frame(TEXT, b"b") + frame(TEXT, b"c"))
        assert client.event() == text(b"a")
        released.set()
        assert [client.event(), client.event()] == [text(b"b"), text(b"c")]


def test_a_conversation_octet_by_octet() -> None:
    with websockets(echo) as server:
        client = server.open()
        for octet in pieces(frame(TEXT, b"hello") + frame(BINARY, b"\0" * 200) + close_frame(1000), 1):
            client.send(octet)
            gevent.sleep(0)
        assert [client.event() for _ in range(4)] == [text(b"hello"), Event("binary", b"\0" * 200), closed(1000), END]


# -- the handshake


def test_a_handshake_cannot_be_had_twice() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        request = find_request()
        assert request is not None
        connection = accept(request)
        with pytest.raises(HandshakeError):
            accept(request)
        connection.send(TEXT, b"once")
        return []

    with serving(application) as server:
        client = server.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        assert client.exactly(6) == b"\x81\x04once"


def test_a_handshake_behind_a_response() -> None:
    errors: list[BaseException] = []

    def application(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [("Content-Length", "2")])
        write(b"a")
        try:
            accept(find_request())  # type: ignore[arg-type]
        except HandshakeError as error:
            errors.append(error)
        return [b"b"]

    with serving(application) as server:
        assert server.ask("/", "GET", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==").body == b"ab"
    assert len(errors) == 1
