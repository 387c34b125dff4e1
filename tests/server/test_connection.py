"""geuwsgi/server/connection.py, byte by byte"""

from __future__ import annotations

import gc
import weakref
from typing import Any

import gevent
import gevent.event
import gevent.socket
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geuwsgi.errors import HTTPError
from geuwsgi.server.request import find_request
from tests.server.serving import PLAIN, serving, wait_for


def echo(environ: Any, start_response: Any) -> Any:
    """Answers with the request: method, path, body."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [PLAIN])
    return [f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ".encode() + body]


GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"


# -- environ


def test_the_environ(capfd: pytest.CaptureFixture[str]) -> None:
    environs: list[dict[str, Any]] = []

    def application(environ: Any, start_response: Any) -> Any:
        environs.append(dict(environ))
        return echo(environ, start_response)

    with serving(application, server_name="box", multiprocess=True) as server:
        client = server.connect()
        client.ask("/p%61th?q", "POST", "Content-Type: text/x", body=b"abc")
        port = client.sock.getsockname()[1]
    environ = environs[0]
    assert {key: value for key, value in environ.items() if isinstance(value, (str, bytes, int, tuple))} == {
        "REQUEST_METHOD": "POST",
        "REQUEST_URI": "/p%61th?q",
        "PATH_INFO": "/path",
        "QUERY_STRING": "q",
        "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "box",
        "SERVER_PORT": str(server.listener.port),
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": str(port),
        "HTTP_HOST": "test",
        "CONTENT_TYPE": "text/x",
        "CONTENT_LENGTH": "3",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "uwsgi.version": b"2.0.31",
        "uwsgi.node": b"box",
        "uwsgi.core": 0,
    }
    assert set(environ) - {"wsgi.input", "wsgi.errors", "wsgi.file_wrapper"} == {
        key for key, value in environ.items() if isinstance(value, (str, bytes, int, tuple))
    }


@pytest.mark.parametrize(
    ("header", "scheme"),
    [
        ("X-Forwarded-Proto: https", "https"),
        ("X-Forwarded-Proto: HTTP", "http"),
        ("X-Forwarded-Proto: javascript", "http"),
        ("X-Forwarded-SSL: on", "https"),
        ("X-Forwarded-SSL: off", "http"),
    ],
)
def test_the_scheme_a_proxy_tells(header: str, scheme: str) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return [environ["wsgi.url_scheme"].encode()]

    with serving(application) as server:
        assert server.ask("/", "GET", header).body == scheme.encode()


def test_a_unix_socket(tmp_path: Any) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return [repr((environ["REMOTE_ADDR"], environ["SERVER_PORT"], environ.get("REMOTE_PORT"))).encode()]

    with serving(application, str(tmp_path / "socket")) as server:
        assert server.ask().body == b"('', '80', None)"


def test_extra_variables() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return [repr(environ["x-extra"]).encode()]

    with serving(application) as server:
        server.server.environ_extra["x-extra"] = 3
        other = server.server.environ_template(server.listener)
    assert other["x-extra"] == 3


# -- one after the other


def test_pipelined_requests_are_answered_in_order() -> None:
    with serving(echo) as server:
        client = server.connect()
        client.send(b"".join(GET % number for number in range(100)))
        assert [client.answer().body for _ in range(100)] == [b"GET /%d " % number for number in range(100)]


def test_pipelined_bodies() -> None:
    with serving(echo) as server:
        data = server.talk(
            b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
            b"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n\r\n"
            b"POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nghi" + GET % 4
        )
    bodies = [part.partition(b"\r\n\r\n")[2] for part in data.split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b"POST /1 abc", b"POST /2 de", b"POST /3 ghi"]


STREAM = (
    GET % 1
    + b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\na\r\n\r\nbc"
    + b"POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    + b"GET /4 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n"
    + b"GET /5 HTTP/1.0\r\n\r\n"
)


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(1, len(STREAM) - 1), max_size=10))
def test_cut_anywhere(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    with serving(echo) as server:
        client = server.connect()
        for start, end in zip(edges, edges[1:]):
            client.send(STREAM[start:end])
            gevent.sleep(0)
        bodies = [client.answer().body for _ in range(5)]
        assert client.closed()
    assert bodies == [b"GET /1 ", b"POST /2 a\r\n\r\nbc", b"POST /3 \r\n\r\nx", b"GET /4 ", b"GET /5 "]


def test_a_pipelining_client_does_not_starve_others() -> None:
    with serving(echo) as server:
        greedy = server.connect()
        greedy.send(b"".join(GET % number for number in range(1500)))
        other = server.connect()
        wait_for(lambda: server.server.total_requests > 0, "the first request to be served")
        before = server.server.total_requests
        assert other.ask("/other").body == b"GET /other "
        assert server.server.total_requests - before < 200


def test_connections_are_kept() -> None:
    with serving(echo) as server:
        client = server.connect()
        for number in range(5):
            assert client.ask(f"/{number}").body == f"GET /{number} ".encode()
        assert len(server.server.connections) == 1
        assert not server.server.running


def test_keepalive_zero_closes_each() -> None:
    with serving(echo, http={"keepalive": 0}) as server:
        client = server.connect()
        assert client.ask().headers["connection"] == "close"
        assert client.closed()


# -- errors of the client


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x00\xa5\x01", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", b"400 Bad Request"),
        (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", b"501 Not Implemented"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"505 HTTP Version Not Supported"),
        (b"GET /" + b"a" * 100_000, b"414 URI Too Long"),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 100_000, b"431 Request Header Fields Too Large"),
    ],
)
def test_refused(data: bytes, status: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(echo) as server:
        # A first request shows that a refusal does not need a fresh connection.
        answer = server.talk(GET % 1 + data)
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 " + status + b"\r\n" in answer
    assert answer.endswith(b"Connection: close\r\n\r\n" + status + b"\n")
    log = capfd.readouterr().err.splitlines()
    assert len(log) == 1
    assert log[0].startswith("127.0.0.1: " + status.decode() + ": ")


def test_a_refusal_reaches_a_client_that_is_still_sending(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(echo) as server:
        client = server.connect()
        client.send(b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n" + b"x" * 300_000)
        assert client.answer().code == 400
        assert client.closed()


def test_an_application_may_raise_the_servers_own_error(capfd: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        raise HTTPError("418 I'm a teapot", "short and stout")

    with serving(application) as server:
        client = server.connect()
        assert client.ask().status == "HTTP/1.1 418 I'm a teapot"
        assert client.ask().code == 418
    assert "Traceback" not in capfd.readouterr().err


# -- time-outs


def test_a_client_that_says_nothing_is_closed_silently(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(echo, http={"headers_timeout": 0.08, "keepalive": 30}) as server:
        client = server.connect()
        assert client.closed()
    assert capfd.readouterr().err == ""


def test_an_idle_connection_is_closed_silently() -> None:
    with serving(echo, http={"headers_timeout": 30, "keepalive": 0.08}) as server:
        client = server.connect()
        assert client.ask().code == 200
        assert client.closed()


def test_a_head_that_drips_in_is_answered_408(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(echo, http={"headers_timeout": 0.2}) as server:
        client = server.connect()

        def drip() -> None:
            for octet in b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 1000:
                client.send(bytes([octet]))
                gevent.sleep(0.02)

        dripping = gevent.spawn(drip)
        assert client.answer().status == "HTTP/1.1 408 Request Timeout"
        dripping.kill()
    assert "408 Request Timeout" in capfd.readouterr().err


def test_a_client_that_does_not_read_is_given_up(capfd: pytest.CaptureFixture[str]) -> None:
    ended = gevent.event.Event()

    class Result:
        def __iter__(self) -> Any:
            return (b"x" * 1_000_000 for _ in range(1000))

        def close(self) -> None:
            ended.set()

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return Result()

    with serving(application, http={"socket_timeout": 0.1}) as server:
        client = server.connect()
        client.send(GET % 1)
        assert ended.wait(20)
        wait_for(lambda: not server.server.connections, "the connection to be closed")
    log = capfd.readouterr().err.splitlines()
    assert log == ["127.0.0.1: GET /1: the client has taken nothing for 0.1 seconds"]


def test_a_slow_application_is_nobodys_fault() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        gevent.sleep(1.3)
        return echo(environ, start_response)

    with serving(application, http={"socket_timeout": 1, "headers_timeout": 1, "keepalive": 1}) as server:
        assert server.ask("/slow").body == b"GET /slow "


# -- requests and greenlets


def test_the_request_is_found_from_greenlets_of_the_application() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        mine = find_request()
        assert mine is not None
        assert mine.environ is environ
        assert gevent.spawn(find_request).get() is mine
        start_response("200 OK", [PLAIN])
        return [str(mine.id).encode()]

    with serving(application) as server:
        client = server.connect()
        assert [client.ask().body for _ in range(3)] == [b"1", b"2", b"3"]
    assert find_request() is None


def test_cores_are_small_numbers_and_used_again() -> None:
    go = gevent.event.Event()

    def application(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/wait":
            go.wait(60)
        start_response("200 OK", [PLAIN])
        return [str(environ["uwsgi.core"]).encode()]

    with serving(application) as server:
        assert [server.ask().body for _ in range(3)] == [b"0", b"0", b"0"]
        waiting = [server.connect() for _ in range(3)]
        for client in waiting:
            client.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: len(server.server.running) == 3, "three requests to run")
        assert set(server.server.running) == {0, 1, 2}
        assert server.ask().body == b"3"
        go.set()
        assert {client.answer().body for client in waiting} == {b"0", b"1", b"2"}
        assert server.ask().body == b"0"


def test_more_requests_than_cores_wait_in_line() -> None:
    turns = [gevent.event.Event() for _ in range(4)]
    order: list[int] = []

    def application(environ: Any, start_response: Any) -> Any:
        number = int(environ["PATH_INFO"][1:])
        order.append(number)
        turns[number].wait(60)
        return echo(environ, start_response)

    with serving(application, cores=2) as server:
        clients = [server.connect() for _ in range(4)]
        for number, client in enumerate(clients):
            client.send(GET % number)
            wait_for(lambda number=number: len(order) + server.server.cores.waiting == number + 1, "the request to arrive")
        assert order == [0, 1]
        turns[1].set()
        clients[1].answer()
        wait_for(lambda: len(order) == 3, "the third to begin")
        for turn in turns:
            turn.set()
        assert clients[3].answer().body == b"GET /3 "
        assert order == [0, 1, 2, 3]
        # Connections that are kept hold no core.
        assert server.ask("/0").code == 200


def test_an_idle_connection_keeps_nothing_alive() -> None:
    class Thing:
        pass

    things: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        environ["my.thing"] = thing = Thing()
        things.append(weakref.ref(thing))
        return echo(environ, start_response)

    with serving(application) as server:
        client = server.connect()
        client.ask()
        client.ask()
        wait_for(lambda: not server.server.running, "the request to end")
        gevent.sleep(0)
        assert [thing() for thing in things] == [None, None] or (gc.collect() and False)


def test_what_was_left_for_the_end_runs_at_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    calls: list[str] = []

    def application(environ: Any, start_response: Any) -> Any:
        request = find_request()
        assert request is not None
        request.at_end = [lambda: calls.append("first"), lambda: calls.append("second")]
        if environ["PATH_INFO"] == "/bad":
            request.at_end.append(lambda: calls[99])  # type: ignore[arg-type,return-value]
        return echo(environ, start_response)

    with serving(application) as server:
        finished: list[Any] = []
        server.server.after_request = finished.append
        client = server.connect()
        client.ask()
        assert calls == ["second", "first"]
        assert client.ask("/bad").code == 200
        assert client.ask("/").code == 200
        assert [request.finished for request in finished] == [True] * 3
        assert server.server.total_requests == 3
    assert "IndexError" in capfd.readouterr().err


def test_an_empty_piece_suspends_when_something_is_waited_for() -> None:
    suspended: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        request = find_request()
        assert request is not None
        yield b""
        assert suspended == []
        request.sleep = 0.0
        yield b""
        assert suspended == [request]
        request.sleep = -1.0
        request.waits = [(0, 1, 1.0)]
        yield ""
        assert suspended == [request, request]
        request.waits = None
        start_response("200 OK", [PLAIN])
        yield b"done"

    with serving(application) as server:
        server.server.suspend = suspended.append
        assert server.ask().body == b"done"


def test_in_async_mode_every_empty_piece_does() -> None:
    suspended: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        yield b""
        yield ""
        start_response("200 OK", [PLAIN])
        yield b"done"

    with serving(application, http={"async_mode": True}) as server:
        server.server.suspend = suspended.append
        assert server.ask().body == b"done"
        assert len(suspended) == 2


def test_a_greenlet_killed_by_the_application_ends_only_its_connection() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/kill":
            gevent.kill(gevent.getcurrent())
            gevent.sleep(0)
        return echo(environ, start_response)

    with serving(application) as server:
        client = server.connect()
        client.send(b"GET /kill HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.closed()
        assert server.ask("/").body == b"GET / "
        assert not server.server.running


def test_a_greenlet_that_reads_the_body_longer_than_the_request_lasts(capfd: pytest.CaptureFixture[str]) -> None:
    readers = []

    def application(environ: Any, start_response: Any) -> Any:
        readers.append(gevent.spawn(environ["wsgi.input"].read))
        gevent.sleep(0)
        start_response("200 OK", [PLAIN])
        return [b"early"]

    with serving(application) as server:
        client = server.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nsome")
        assert client.answer().body == b"early"
        assert client.closed()
        with pytest.raises(OSError, match="closed"):
            readers[0].get(timeout=20)
    assert "RuntimeError" not in capfd.readouterr().err
