"""geuwsgi/server/body.py, as an application sees it"""

from __future__ import annotations

import io
import resource
from contextlib import suppress
from typing import Any

import gevent
import gevent.event
import gevent.queue
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geuwsgi.server.body import DRAIN_LIMIT, MAX_CHUNK
from tests.server.serving import PLAIN, Client, serving, wait_for

CHUNKED = b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def reading(read: Any) -> Any:
    """An application that answers with the repr of what `read(wsgi.input)` returns."""

    def application(environ: Any, start_response: Any) -> Any:
        found = repr(read(environ["wsgi.input"])).encode()
        start_response("200 OK", [PLAIN])
        return [found]

    return application


BODY = b"first\nsecond line\n\nlast without end"


@pytest.mark.parametrize("coding", ["length", "chunked", "dripping"])
@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda body: body.read(), BODY),
        (lambda body: body.read(-1), BODY),
        (lambda body: body.read(None), BODY),
        (lambda body: body.read(1000), BODY),
        (lambda body: (body.read(0), body.read(5), body.read(3), body.read(), body.read(), body.read(1)), None),
        (lambda body: [body.read(1) for _ in range(40)], None),
        (lambda body: (body.readline(), body.readline(), body.read(4), body.readline(), body.readline()), None),
        (lambda body: [body.readline(4) for _ in range(12)], None),
        (lambda body: (body.readline(0), body.readline(6), body.readline(5), body.readline(-1), body.readline(None)), None),
        (lambda body: body.readlines(), None),
        (lambda body: (body.readlines(8), body.readlines(1), body.readlines()), None),
        (lambda body: (list(body), body.read(), body.readline(), body.readlines()), None),
        (lambda body: (next(body), next(body), body.read()), None),
    ],
)
def test_it_reads_as_a_file_does(read: Any, expected: Any, coding: str) -> None:
    expected = read(io.BytesIO(BODY)) if expected is None else expected
    with serving(reading(read)) as server:
        client = server.connect()
        if coding == "length":
            answer = client.ask("/", "POST", body=BODY)
        else:
            client.send(CHUNKED % b"/")
            for start in range(0, len(BODY), 7):
                client.send(b"%x\r\n%b\r\n" % (len(BODY[start : start + 7]), BODY[start : start + 7]))
                if coding == "dripping":
                    gevent.sleep(0)
            client.send(b"0\r\n\r\n")
            answer = client.answer()
        assert answer.body == repr(expected).encode()
        assert client.ask("/", "POST", body=BODY).body == answer.body  # what was behind it was found


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 40)),
        st.tuples(st.just("readline"), st.integers(-1, 20)),
        st.tuples(st.just("readlines"), st.integers(0, 40)),
    ),
    max_size=10,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.binary(min_size=1, max_size=30), st.just(b"a\n\nb\r\n")), max_size=6), OPERATIONS, st.booleans())
def test_any_sequence_of_calls(pieces: list[bytes], operations: Any, by_chunks: bool) -> None:
    def read(body: Any) -> Any:
        return [getattr(body, name)(size) for name, size in operations], body.read()

    body = b"".join(pieces)
    expected = repr(read(io.BytesIO(body))).encode()
    with serving(reading(read)) as server:
        client = server.connect()
        if by_chunks:
            client.send(CHUNKED % b"/" + chunked(*pieces))
        else:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        assert client.answer().body == expected


def test_no_body() -> None:
    def read(body: Any) -> Any:
        return body.read(), body.read(3), body.readline(), body.readlines(), list(body)

    with serving(reading(read)) as server:
        assert server.ask().body == b"(b'', b'', b'', [], [])"
        assert server.ask("/", "POST", "Content-Length: 0").body == b"(b'', b'', b'', [], [])"


def test_the_environ_tells_that_it_ends() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return [repr((environ["wsgi.input_terminated"], environ.get("CONTENT_LENGTH"))).encode()]

    with serving(application) as server:
        client = server.connect()
        client.send(CHUNKED % b"/" + chunked(b"abc"))
        assert client.answer().body == b"(True, None)"


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_large_upload_is_never_in_memory(coding: str) -> None:
    size = 300 * 1024 * 1024
    block = bytes(1 << 20)

    def read(body: Any) -> int:
        total = 0
        while True:
            data = body.read(65536)
            if not data:
                return total
            total += len(data)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with serving(reading(read)) as server:
        client = server.connect()
        if coding == "length":
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(300):
                client.send(block)
        else:
            client.send(CHUNKED % b"/")
            for _ in range(300):
                client.send(b"100000\r\n%b\r\n" % block)
            client.send(b"0\r\n\r\n")
        assert client.answer().body == str(size).encode()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024


# -- Expect: 100-continue


def expecting(target: str = "/", length: int = 3) -> bytes:
    return f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n".encode()


def test_continue_is_sent_when_the_body_is_first_read() -> None:
    go = gevent.event.Event()

    def read(body: Any) -> Any:
        go.wait(60)
        return body.read(1), body.read()

    with serving(reading(read)) as server:
        client = server.connect()
        client.send(expecting())
        wait_for(lambda: server.server.running, "the application to be called")
        client.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.sock.recv(1)
        client.sock.settimeout(20)
        go.set()
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"abc")
        assert client.answer().body == b"(b'a', b'bc')"
        assert client.ask("/", "POST", body=b"xyz").body == b"(b'x', b'yz')"


def test_no_continue_when_the_body_is_there_already() -> None:
    with serving(reading(lambda body: body.read())) as server:
        client = server.connect()
        client.send(expecting() + b"abc")
        assert client.answer().body == b"b'abc'"


def test_no_continue_when_the_body_is_not_read() -> None:
    with serving(reading(lambda body: "unread")) as server:
        client = server.connect()
        client.send(expecting())
        answer = client.answer()
        assert answer.body == b"'unread'"
        # It may send the body or not: nobody can tell what comes next.
        assert answer.headers["connection"] == "close"
        assert client.closed()


def test_no_continue_after_the_response_has_begun() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        yield b"early "
        yield environ["wsgi.input"].read()

    with serving(application) as server:
        client = server.connect()
        client.send(expecting())
        client.until(b"early \r\n")
        client.send(b"abc")
        assert client.until(b"0\r\n\r\n") == b"3\r\nabc\r\n0\r\n\r\n"


# -- what is left unread


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_small_rest_is_thrown_away(coding: str) -> None:
    with serving(reading(lambda body: body.read(2))) as server:
        client = server.connect()
        data = b"x" * (DRAIN_LIMIT // 2)
        for _ in range(3):
            if coding == "length":
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(data))
                client.send(data)
            else:
                client.send(CHUNKED % b"/" + chunked(data))
            assert client.answer().body == b"b'xx'"


def test_a_large_rest_closes_the_connection_but_not_before_the_response_is_read() -> None:
    with serving(reading(lambda body: "unread")) as server:
        client = server.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 500_000)
        answer = client.answer()
        assert answer.body == b"'unread'"
        assert answer.headers["connection"] == "close"
        assert client.closed()


def test_a_large_chunked_rest_closes_the_connection() -> None:
    with serving(reading(lambda body: "unread")) as server:
        client = server.connect()
        client.send(CHUNKED % b"/" + b"40000\r\n" + b"x" * 0x40000)
        assert client.answer().body == b"'unread'"
        assert client.closed()


@pytest.mark.parametrize(
    "start", [b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", CHUNKED % b"/" + b"1;"], ids=["length", "chunked"]
)
def test_a_rest_that_drips_in_closes_the_connection(start: bytes) -> None:
    with serving(reading(lambda body: "unread"), http={"headers_timeout": 0.2}) as server:
        client = server.connect()
        client.send(start)
        assert client.answer().body == b"'unread'"

        def drip() -> None:
            with suppress(OSError):
                for _ in range(1000):
                    client.send(b"x")
                    gevent.sleep(0.02)

        dripping = gevent.spawn(drip)
        assert client.closed()
        assert not dripping.dead  # so nothing else has ended it
        dripping.kill()


# -- clients that do not send what they promised


def broken(client: Client, kind: str) -> None:
    if kind == "length":
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
    else:
        client.send(CHUNKED % b"/" + b"5\r\nabc")


@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_a_client_that_leaves_is_an_oserror(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[Any] = []

    def read(body: Any) -> Any:
        try:
            return body.read()
        except OSError as error:
            seen.append(error)
            raise

    with serving(reading(read)) as server:
        client = server.connect()
        broken(client, kind)
        wait_for(lambda: server.server.running, "the application to be called")
        client.close()
        wait_for(lambda: not server.server.connections, "the connection to end")
    assert len(seen) == 1
    log = capfd.readouterr().err
    assert log.splitlines() == ["127.0.0.1: POST /: the client has closed the connection in the middle of its request body"]


@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_a_client_that_stalls_is_answered_408(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(reading(lambda body: body.read()), http={"socket_timeout": 0.1}) as server:
        client = server.connect()
        broken(client, kind)
        answer = client.answer()
        assert answer.status == "HTTP/1.1 408 Request Timeout"
        assert answer.headers["connection"] == "close"
        assert client.closed()
    assert "no byte of the request body for 0.1 seconds" in capfd.readouterr().err


def test_a_slow_client_is_not_a_stalled_one() -> None:
    with serving(reading(lambda body: body.read()), http={"socket_timeout": 1.0}) as server:
        client = server.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n")
        for octet in b"dripping":
            gevent.sleep(0.15)
            client.send(bytes([octet]))
        assert client.answer().body == b"b'dripping'"


def test_bad_chunks_are_answered_400(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(reading(lambda body: body.read())) as server:
        client = server.connect()
        client.send(CHUNKED % b"/" + b"3\r\nabcd\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = client.answer()
        assert answer.status == "HTTP/1.1 400 Bad Request"
        assert client.closed()
    log = capfd.readouterr().err
    assert "chunked body" in log
    assert "Traceback" not in log


def test_an_application_may_answer_a_broken_body_itself(capfd: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        try:
            environ["wsgi.input"].read()
        except OSError:
            start_response("400 My Own", [PLAIN])
            return [b"sorry"]

    with serving(application) as server:
        client = server.connect()
        client.send(CHUNKED % b"/" + b"zz\r\n")
        answer = client.answer()
        assert (answer.status, answer.headers["connection"], answer.body) == ("HTTP/1.1 400 My Own", "close", b"sorry")
        assert client.closed()


# -- chunk by chunk


def test_chunks_come_as_they_were_cut() -> None:
    def read(body: Any) -> Any:
        chunks = []
        while True:
            chunk = body.read_chunk()
            chunks.append(chunk)
            if not chunk:
                return chunks, body.read_chunk(), body.read()

    with serving(reading(read)) as server:
        client = server.connect()
        client.send(CHUNKED % b"/")
        for octet in chunked(b"abc", b"d", b"\r\n\r\n"):
            client.send(bytes([octet]))
        assert client.answer().body == b"([b'abc', b'd', b'\\r\\n\\r\\n', b''], b'', b'')"
        client.send(CHUNKED % b"/" + chunked(b"abc", b"d"))
        assert client.answer().body == b"([b'abc', b'd', b''], b'', b'')"


def test_a_huge_chunk_comes_in_pieces() -> None:
    def read(body: Any) -> Any:
        sizes = []
        while True:
            chunk = body.read_chunk()
            if not chunk:
                return max(sizes) < MAX_CHUNK + 70_000, sum(sizes), len(sizes) > 2
            sizes.append(len(chunk))

    with serving(reading(read)) as server:
        client = server.connect()
        client.send(CHUNKED % b"/" + chunked(b"x" * (3 * MAX_CHUNK)))
        assert client.answer().body == repr((True, 3 * MAX_CHUNK, True)).encode()


def test_without_waiting() -> None:
    steps = gevent.queue.Queue()
    found = gevent.queue.Queue()

    def read(body: Any) -> Any:
        while steps.get() is not None:
            found.put(body.read_chunk_nowait())
        return "done"

    def poll() -> bytes:
        chunk = None
        while chunk is None:
            gevent.sleep(0.001)
            steps.put(1)
            chunk = found.get(timeout=20)
        return chunk

    with serving(reading(read)) as server:
        client = server.connect()
        client.send(CHUNKED % b"/")
        steps.put(1)
        assert found.get(timeout=20) is None
        client.send(b"3\r\na")
        steps.put(1)
        assert found.get(timeout=20) is None
        client.send(b"bc\r\n")
        assert poll() == b"abc"
        client.send(b"0\r\n\r\n")
        assert poll() == b""
        steps.put(None)
        assert client.answer().body == b"'done'"


def test_a_chunk_that_does_not_come_in_time() -> None:
    late = gevent.event.Event()

    def read(body: Any) -> Any:
        try:
            body.read_chunk(0.01)
        except OSError as error:
            late.set()
            return type(error).__name__, body.read_chunk()

    with serving(reading(read)) as server:
        client = server.connect()
        client.send(CHUNKED % b"/")
        assert late.wait(20)
        client.send(chunked(b"abc"))
        assert client.answer().body == b"('TimeoutError', b'abc')"


def test_only_chunked_bodies_have_chunks() -> None:
    def read(body: Any) -> Any:
        for call in (body.read_chunk, body.read_chunk_nowait):
            with pytest.raises(OSError, match="not chunked"):
                call()
        return body.read()

    with serving(reading(read)) as server:
        assert server.ask("/", "POST", body=b"abc").body == b"b'abc'"
        assert server.ask().body == b"b''"


def test_what_uwsgi_has_besides() -> None:
    def read(body: Any) -> Any:
        body.close()
        return body.fileno() > 2, body.read()

    with serving(reading(read)) as server:
        assert server.ask("/", "POST", body=b"abc").body == b"(True, b'abc')"
