"""The known attacks on HTTP/2: each ends the connection with the right code and one line in the log, and costs the others nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent
import hpack
import pytest
from h2.settings import SettingCodes

from tests.server.http2.test_requests import Site, echo, site
from tests.server.http2client import PREFACE, frame
from tests.server.serving import Client, wait_for

CALM = 11


def hello(found: Site) -> Client:
    client = found.serving.connect()
    client.send(PREFACE + frame(4, 0, 0))
    return client


def goaway(client: Client) -> int:
    """The error code of the GOAWAY frame with which the server ends the connection."""
    try:
        data = client.rest()
    except ConnectionError:
        data = client.buffer
    code = -1
    while len(data) >= 9:
        size = int.from_bytes(data[:3], "big")
        if data[3] == 7:
            code = int.from_bytes(data[13:17], "big")
        data = data[9 + size :]
    return code


def flood(client: Client, data: bytes) -> None:
    try:
        client.send(data)
    except ConnectionError:
        pass


def block(path: str = "/", *more: tuple[str, str]) -> bytes:
    encoder = hpack.Encoder()
    fields = [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a"), *more]
    return encoder.encode(fields)


def requests(count: int, flags: int = 5) -> list[bytes]:
    encoder = hpack.Encoder()
    fields = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")]
    return [frame(1, flags, 2 * index + 1, encoder.encode(fields)) for index in range(count)]


def rapid_reset() -> bytes:
    return b"".join(head + frame(3, 0, 2 * index + 1, b"\0\0\0\x08") for index, head in enumerate(requests(2000)))


def reset_made_by_the_server() -> bytes:
    """Its kin: the client provokes the server's resets, here by a window that overflows."""
    return b"".join(head + frame(8, 0, 2 * index + 1, b"\x7f\xff\xff\xff") for index, head in enumerate(requests(1500, 4)))


def continuation_flood() -> bytes:
    return frame(1, 1, 1, block()) + frame(9, 0, 1, b"") * 10_000


def large_block() -> bytes:
    return frame(1, 1, 1, block()) + frame(9, 0, 1, bytes(16384)) * 20


def hpack_bomb() -> bytes:
    """One large header in the table, and one byte for each further time."""
    return frame(1, 5, 1, block() + b"\x40\x01a\x7f\x81\x1e" + b"b" * 4000 + b"\xbe" * 10_000)


FLOODS: dict[str, tuple[Callable[[], bytes], str]] = {
    "rapid reset": (rapid_reset, "too many streams were reset"),
    "windows that overflow": (reset_made_by_the_server, "too many streams had to be refused or reset"),
    "continuation": (continuation_flood, "a header block in more than 32 pieces"),
    "large block": (large_block, "a header block of more than 81920 bytes"),
    "hpack": (hpack_bomb, "Oversized header block: A header list larger than 81920 has been received"),
    "settings": (lambda: frame(4, 0, 0, b"\0\x04\0\0\xff\xff") * 10_000, "too many frames without content"),
    "ping": (lambda: frame(6, 0, 0, bytes(8)) * 10_000, "too many frames without content"),
    "empty data": (lambda: requests(1, 4)[0] + frame(0, 0, 1) * 10_000, "too many frames without content"),
    "padding": (lambda: requests(1, 4)[0] + frame(0, 8, 1, b"\x05" + bytes(5)) * 10_000, "too many frames without content"),
    "priority": (lambda: frame(2, 0, 1, b"\0\0\0\x03\x01") * 10_000, "too many frames without content"),
    "window update": (lambda: frame(8, 0, 0, b"\0\0\0\1") * 10_000, "too many frames without content"),
    "unknown": (lambda: frame(200, 0, 0, b"x") * 10_000, "too many frames without content"),
    "streams beyond the limit": (lambda: b"".join(requests(5000)), "too many streams had to be refused or reset"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, reason = FLOODS[name]
    data = make()
    served = 0

    def application(environ: Any, start_response: Any) -> Any:
        nonlocal served
        served += 1
        gevent.sleep(0.05)
        return echo(environ, start_response)

    with site(application) as found:
        client = hello(found)
        started = time.process_time()
        sender = gevent.spawn(flood, client, data)
        assert goaway(client) == CALM
        spent = time.process_time() - started
        sender.kill()
        # The others are served all the same.
        assert found.connect().get().status == 200
        wait_for(lambda: not found.serving.server.running)
    lines = [line for line in capfd.readouterr().err.splitlines() if "HTTP/2 connection closed" in line]
    assert lines == [f"127.0.0.1: HTTP/2 connection closed: {reason} (ENHANCE_YOUR_CALM)"]
    assert served <= 1000
    assert spent < 5.0  # it is some tenths; without the limits many seconds


def test_a_large_frame() -> None:
    with site(echo) as found:
        client = hello(found)
        client.send(b"\xff\xff\xff\0\0\0\0\0\1")
        assert goaway(client) == 6


def test_a_head_that_never_ends(capfd: pytest.CaptureFixture[str]) -> None:
    with site(echo, http={"headers_timeout": 1.0}) as found:
        inside, between, dripping = hello(found), hello(found), hello(found)
        inside.send(frame(1, 5, 1, block())[:-1])
        between.send(frame(1, 1, 1, block()))
        dripping.send(frame(1, 1, 1, block()))
        drip = gevent.spawn(lambda: [(gevent.sleep(0.1), flood(dripping, frame(9, 0, 1, b"")) or None) for _ in range(20)])
        assert [goaway(client) for client in (inside, between, dripping)] == [CALM] * 3
        drip.kill()
    assert capfd.readouterr().err.count("a request head did not arrive in time (ENHANCE_YOUR_CALM)") == 3


def test_silence_after_the_preface() -> None:
    with site(echo, http={"headers_timeout": 0.5}) as found:
        client = found.serving.connect()
        client.send(PREFACE)
        assert goaway(client) == 0
        client = found.serving.connect()
        client.send(PREFACE[:20])
        assert goaway(client) in (0, -1)


def large(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [])
    return [bytes(2_000_000)]


def test_a_window_that_stays_shut(capfd: pytest.CaptureFixture[str]) -> None:
    with site(large, http={"socket_timeout": 0.3}) as found:
        client = found.connect(settings={SettingCodes.INITIAL_WINDOW_SIZE: 0})
        numbers = [client.ask() for _ in range(5)]
        assert {client.answer(number).reset for number in numbers} == {8}
        wait_for(lambda: not found.serving.server.running)
    assert capfd.readouterr().err.count("GET /: the client has taken nothing for 0.3 seconds") == 5


def test_the_window_of_the_connection_that_stays_shut(capfd: pytest.CaptureFixture[str]) -> None:
    with site(large, http={"socket_timeout": 0.3}) as found:
        client = found.connect()
        client.credit = False
        numbers = [client.ask() for _ in range(5)]
        assert {client.answer(number).reset for number in numbers} == {8}
    assert capfd.readouterr().err.count("GET /: the client has taken nothing for 0.3 seconds") == 5


def test_a_window_that_opens_by_bytes(capfd: pytest.CaptureFixture[str]) -> None:
    with site(large, http={"socket_timeout": 0.5}) as found:
        client = found.connect(settings={SettingCodes.INITIAL_WINDOW_SIZE: 0})
        client.credit = False
        number = client.ask()

        def drip() -> None:
            while not client.answers[number].done:
                client.h2.increment_flow_control_window(1, number)
                client.flush()
                gevent.sleep(0.05)

        dripping = gevent.spawn(drip)
        with gevent.Timeout(20):
            assert client.answer(number).reset == 8
        dripping.kill()
    assert "the client has taken nothing for 0.5 seconds" in capfd.readouterr().err


def test_a_client_that_reads_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Windows wide open, and TCP full."""
    with site(large, http={"socket_timeout": 0.5}) as found:
        client = found.connect(settings={SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
        client.h2.increment_flow_control_window(2**31 - 1 - 65535)
        client.flush()
        for _ in range(20):
            client.ask()
        wait_for(lambda: found.serving.server.running)
        wait_for(lambda: not found.serving.server.running and not found.serving.server.connections, "the end", 20)
    # Whose time is over first, that of the streams or that of the connection, is a matter of luck; after the latter nobody is left.
    lines = capfd.readouterr().err.splitlines()
    assert lines
    assert all(line.endswith("the client has taken nothing for 0.5 seconds") for line in lines)


def test_pings_of_a_client_that_reads_nothing() -> None:
    """What answers them cannot grow: nothing more is read until they are written."""
    with site(echo, http={"socket_timeout": 1.0}) as found:
        client = hello(found)
        sender = gevent.spawn(lambda: [flood(client, frame(6, 0, 0, bytes(8)) * 100) or gevent.sleep(0.02) for _ in range(30)])
        sender.join(10)
        assert found.serving.server.connections


def test_streams_beyond_the_limit_are_refused_one_by_one() -> None:
    go = gevent.event.Event()

    def application(environ: Any, start_response: Any) -> Any:
        go.wait(60)
        return echo(environ, start_response)

    with site(application, http={"http2_streams": 3}) as found:
        client = found.connect()
        client.until(lambda: client.h2.remote_settings.max_concurrent_streams == 3)
        # As a client does that has not heard of the limit yet.
        client.h2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 100
        client.h2.remote_settings.acknowledge()
        numbers = [client.ask() for _ in range(5)]
        assert [client.answer(number).reset for number in numbers[3:]] == [7, 7]
        go.set()
        assert [client.answer(number).status for number in numbers[:3]] == [200] * 3
        assert client.get().status == 200


def test_applications_of_streams_that_were_reset_are_bounded() -> None:
    go = gevent.event.Event()
    running = most = 0

    def application(environ: Any, start_response: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        go.wait(60)
        running -= 1
        return echo(environ, start_response)

    with site(application, http={"http2_streams": 10}) as found:
        client = found.connect()
        for turn in range(10):
            numbers = [client.ask() for _ in range(10)]
            if turn < 2:
                wait_for(lambda expected=10 * (turn + 1): running == expected)  # type: ignore[misc]
            gevent.sleep(0.01)
            for number in numbers:
                client.h2.reset_stream(number, 8)
            client.flush()
            gevent.sleep(0.01)
        assert most == 20
        go.set()
        wait_for(lambda: not running)
        assert client.get().status == 200


def test_cores_bound_what_runs() -> None:
    running = most = 0

    def application(environ: Any, start_response: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        gevent.sleep(0.01)
        running -= 1
        return echo(environ, start_response)

    with site(application, cores=3) as found:
        client = found.connect()
        numbers = [client.ask() for _ in range(20)]
        assert [client.answer(number).status for number in numbers] == [200] * 20
    assert most == 3


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(0, 0, 0, b"x"), 1),  # DATA without a stream
        (frame(1, 4, 2, block()), 1),  # a stream that only the server may open
        (frame(9, 4, 1, b""), 1),  # CONTINUATION of nothing
        (frame(1, 1, 1, block()) + frame(6, 0, 0, bytes(8)), 1),  # something between the pieces of a head
        (frame(1, 5, 1, b"\xff\xff\xff\xff\xff"), 9),  # no HPACK
        (frame(1, 5, 1, b"\x80"), 9),
        (frame(1, 5, 1, b"\xff" + b"\x80" * 100 + b"\1"), 9),
        (frame(4, 0, 0, b"\0\4\xff\xff\xff\xff"), 3),  # a window that is too large
        (frame(5, 4, 1, bytes(8)), 1),  # a client pushes nothing
        (frame(8, 0, 0, bytes(4)), 1),  # a window opened by nothing
        (frame(6, 0, 0, b"short"), 6),
    ],
)
def test_broken_rules(data: bytes, code: int, capfd: pytest.CaptureFixture[str]) -> None:
    with site(echo) as found:
        client = hello(found)
        client.send(data)
        assert goaway(client) == code
    err = capfd.readouterr().err
    assert err.count("\n") == 1, err
    assert "HTTP/2 connection closed" in err


def test_what_h2_quotes_is_cut_short(capfd: pytest.CaptureFixture[str]) -> None:
    with site(echo) as found:
        client = found.connect()
        client.ask("/", "POST", [("content-length", "9" * 5000)], end=False)
        client.until(lambda: client.goaways)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("127.0.0.1: HTTP/2 connection closed: Invalid content-length header: b'999")
    assert len(line) < 300


def test_noise(capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever comes: no traceback, and the others are served."""
    import random

    noise = random.Random(7)
    with site(echo, http={"headers_timeout": 1.0, "socket_timeout": 1.0, "keepalive": 1.0}) as found:
        for _ in range(150):
            client = hello(found)
            data = b"".join(
                frame(
                    noise.choice([0, 1, 1, 3, 4, 6, 8, 9, noise.randrange(256)]),
                    noise.randrange(256),
                    noise.randrange(6),
                    noise.choice([block(), noise.randbytes(noise.randrange(40)), bytes(noise.randrange(12))]),
                )
                for _ in range(noise.randrange(1, 8))
            )
            flood(client, data)
            client.close()
        assert found.connect().get().status == 200
        wait_for(lambda: not found.serving.server.running)
    err = capfd.readouterr().err
    assert "Traceback" not in err, err
