"""geuwsgi/server/http2: requests and responses, seen by a client that sees every frame"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import gevent
import pytest
from h2.settings import SettingCodes

from geuwsgi.server import fdio
from geuwsgi.server.request import find_request
from tests.server.http2client import H2Client
from tests.server.serving import PLAIN, Serving, serving, wait_for


class Site(NamedTuple):
    serving: Serving
    clients: list[H2Client]

    def connect(self, **settings: Any) -> H2Client:
        self.clients.append(H2Client(self.serving.listener.sock.getsockname(), **settings))
        return self.clients[-1]


@contextmanager
def site(application: Any, http: Any = None, **options: Any) -> Iterator[Site]:
    with serving(application, http={"http2": True, **(http or {})}, **options) as server:
        found = Site(server, [])
        try:
            yield found
        finally:
            for client in found.clients:
                client.close()


def echo(environ: Any, start_response: Any) -> Any:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [PLAIN])
    return [f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} ".encode() + body]


def test_a_request() -> None:
    environs: list[dict[str, Any]] = []

    def application(environ: Any, start_response: Any) -> Any:
        environs.append(dict(environ))
        return echo(environ, start_response)

    with site(application, server_name="box") as found:
        client = found.connect()
        number = client.ask("/p%61th?q", "POST", [("content-type", "text/x"), ("content-length", "3")], end=False)
        client.send(number, b"abc", end=True)
        answer = client.answer(number)
        port = client.sock.getsockname()[1]
    assert answer.headers.pop("date")
    assert answer.headers == {":status": "200", "content-type": "text/plain", "content-length": "14"}
    assert answer.body == b"POST /path abc"
    assert answer.ended
    assert answer.reset is None
    environ = environs[0]
    assert {key: value for key, value in environ.items() if isinstance(value, (str, bytes, int, tuple))} == {
        "REQUEST_METHOD": "POST",
        "REQUEST_URI": "/p%61th?q",
        "PATH_INFO": "/path",
        "QUERY_STRING": "q",
        "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": "HTTP/2.0",
        "SERVER_NAME": "box",
        "SERVER_PORT": str(found.serving.listener.port),
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": str(port),
        "HTTP_HOST": "test",
        "CONTENT_TYPE": "text/x",
        "CONTENT_LENGTH": "3",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "uwsgi.version": b"2.0.31",
        "uwsgi.node": b"box",
        "uwsgi.core": 0,
    }


def test_the_preface_in_pieces() -> None:
    with site(echo) as found:
        client = found.serving.connect()
        for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
            client.send(bytes([byte]))
            gevent.sleep(0.001)
        assert client.exactly(4)[3] == 4  # settings


def test_without_http2_it_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(echo) as server:
        assert server.talk(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").startswith(b"HTTP/1.1 505 ")
    assert "geuwsgi[http2]" in capfd.readouterr().err


@pytest.mark.parametrize("preface", [b"PRI * HTTP/2.0\r\n\r\nSMS\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_half_a_preface(preface: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with site(echo) as found:
        found.serving.talk(preface)
    assert capfd.readouterr().err == "127.0.0.1: HTTP/2 connection closed: the preface is wrong (PROTOCOL_ERROR)\n"


@pytest.mark.parametrize("line", [b"PRI / HTTP/2.0", b"PRI * HTTP/1.1", b"PRI * HTTP/2.1"])
def test_what_is_no_preface(line: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with site(echo) as found:
        assert found.serving.talk(line + b"\r\n\r\n").startswith(b"HTTP/1.1 505 ")


def test_many_at_once() -> None:
    together = 0
    all_there = gevent.event.Event()

    def application(environ: Any, start_response: Any) -> Any:
        nonlocal together
        together += 1
        if together == 100:
            all_there.set()
        assert all_there.wait(10)
        return echo(environ, start_response)

    with site(application) as found:
        client = found.connect()
        numbers = [client.ask(f"/{index}") for index in range(100)]
        assert [client.answer(number).body for number in numbers] == [f"GET /{index} ".encode() for index in range(100)]


def test_head() -> None:
    with site(echo) as found:
        answer = found.connect().get("/", "HEAD")
    assert answer.body == b""
    assert "content-length" in answer.headers


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_statuses_without_a_body(status: str) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response(status, [])
        return [b"no"]

    with site(application) as found:
        answer = found.connect().get()
    assert answer.status == int(status[:3])
    assert answer.body == b""
    assert answer.ended


def test_headers_of_a_connection_are_left_out() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response(
            "200 OK",
            [("Connection", "close"), ("Keep-Alive", "1"), ("Transfer-Encoding", "chunked"), ("Set-Cookie", "a=b"), ("X-Latin", "\xe9")],
        )
        return [b"a", b"b"]

    with site(application) as found:
        client = found.connect()
        assert client.get().headers.keys() == {":status", "set-cookie", "x-latin", "content-length", "date"}
        assert client.get().headers["x-latin"] == "\xe9"


def test_pieces_come_as_they_are_yielded() -> None:
    step = gevent.event.Event()

    def application(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        write(b"one ")
        step.wait(60)
        yield b"two "
        yield b""
        yield b"three"

    with site(application) as found:
        client = found.connect()
        number = client.ask()
        client.until(lambda: client.answers[number].body == b"one ")
        step.set()
        answer = client.answer(number)
    assert answer.body == b"one two three"
    assert "content-length" not in answer.headers


def test_content_length_is_kept_to(capfd: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "5")])
        return [b"0123456789"] if environ["PATH_INFO"] == "/more" else iter([b"012"])

    with site(application) as found:
        client = found.connect()
        assert client.get("/more").body == b"01234"
        less = client.ask("/less")
        client.until(lambda: client.answers[less].done)
    assert client.answers[less].reset == 2
    err = capfd.readouterr().err
    assert "GET /more: the application sent more bytes than its Content-Length said: the rest is dropped\n" in err
    assert "GET /less: the application sent 2 bytes less than its Content-Length said: the stream is reset\n" in err


def test_an_application_that_raises(capfd: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/late":
            start_response("200 OK", [])(b"begun")
        raise ValueError("wrong")

    with site(application) as found:
        client = found.connect()
        answer = client.get("/early")
        assert (answer.status, answer.body) == (500, b"500 Internal Server Error\n")
        late = client.answer(client.ask("/late"))
        assert (late.body, late.reset) == (b"begun", 2)
    assert capfd.readouterr().err.count("ValueError: wrong") == 2


def test_a_large_response_in_pieces() -> None:
    body = os.urandom(3_000_000)

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [body]

    with site(application) as found:
        assert found.connect().get().body == body


def test_a_file(tmp_path: Any) -> None:
    content = os.urandom(500_000)
    (tmp_path / "file").write_bytes(content)

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](open(tmp_path / "file", "rb"))

    with site(application) as found:
        answer = found.connect().get()
    assert answer.body == content
    assert answer.headers["content-length"] == "500000"


def test_an_upload_larger_than_all_windows() -> None:
    with site(echo) as found:
        client = found.connect()
        body = os.urandom(2_500_000)
        number = client.ask("/up", "PUT", end=False)
        sent = 0
        while sent < len(body):
            size = min(len(body) - sent, client.h2.local_flow_control_window(number), 16384)
            if not size:
                client.more()
                continue
            client.send(number, body[sent : sent + size])
            sent += size
        client.send(number, b"", end=True)
        client.h2.end_stream(number)
        client.flush()
        assert client.answer(number).body == b"PUT /up " + body


def test_a_body_that_is_not_read_holds_up_nobody() -> None:
    release = gevent.event.Event()

    def application(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/lazy":
            release.wait(60)
            start_response("200 OK", [])
            return [b"lazy"]
        return echo(environ, start_response)

    with site(application) as found:
        client = found.connect()
        lazy = [client.ask("/lazy", "POST", end=False) for _ in range(20)]
        for number in lazy:
            client.send(number, bytes(65535))
            assert client.h2.streams[number].outbound_flow_control_window == 0
            client.until(lambda: client.h2.outbound_flow_control_window >= 65535)
        other = client.ask("/other", "POST", end=False)
        client.send(other, b"quick", end=True)
        assert client.answer(other).body == b"POST /other quick"
        release.set()
        for number in lazy:
            answer = client.answer(number)
            assert answer.body == b"lazy"
        # The rest is not wanted, which is no mistake.
        client.until(lambda: client.answers[lazy[-1]].reset is not None)
        assert {client.answers[number].reset for number in lazy} == {0}


def test_expect_continue() -> None:
    with site(echo) as found:
        client = found.connect()
        number = client.ask("/", "POST", [("expect", "100-continue")], end=False)
        client.until(lambda: client.answers[number].interim)
        assert client.answers[number].interim == [{":status": "100"}]
        client.send(number, b"now", end=True)
        assert client.answer(number).body == b"POST / now"


def test_trailers_are_let_pass() -> None:
    with site(echo) as found:
        client = found.connect()
        number = client.ask("/", "POST", end=False)
        client.send(number, b"abc")
        client.send_head(number, [("x-checksum", "1")])
        assert client.answer(number).body == b"POST / abc"


@pytest.mark.parametrize("data", [b"", b"abc"])
def test_trailers_behind_less_than_was_promised(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """Who hands the request on has told the length to the next server."""
    with site(echo) as found:
        client = found.connect()
        number = client.ask("/", "POST", [("content-length", "9")], end=False)
        client.send(number, data)
        client.send_head(number, [("x-checksum", "1")])
        assert client.answer(number).reset == 1
        other = client.ask("/", "POST", [("content-length", "3")], end=False)
        client.send(other, b"abc")
        client.send_head(other, [("x-checksum", "1")])
        assert client.answer(other).body == b"POST / abc"
    assert f"127.0.0.1: malformed request: {len(data)} bytes where Content-Length says 9" in capfd.readouterr().err.splitlines()


def test_the_client_resets_a_stream(capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []

    def application(environ: Any, start_response: Any) -> Any:
        try:
            if environ["PATH_INFO"] == "/read":
                environ["wsgi.input"].read()
            else:
                write = start_response("200 OK", [])
                while True:
                    write(b"x" * 10000)
        except OSError as error:
            seen.append(str(error))
            raise
        return []

    with site(application) as found:
        client = found.connect()
        for path in ("/read", "/write"):
            client.credit = True
            number = client.ask(path, "POST", end=False)
            if path == "/write":
                client.until(lambda answer=client.answers[number]: len(answer.body) > 100_000)
            wait_for(lambda: found.serving.server.running)
            client.credit = False
            client.h2.reset_stream(number, 8)
            client.flush()
            wait_for(lambda: not found.serving.server.running, "the end of the application")
        client.credit = True
        other = client.ask("/read", "POST", end=False)
        client.send(other, b"x", end=True)
        client.answer(other)
    assert seen == ["the client has closed the connection in the middle of its request body", "the client has reset the stream"]


def test_a_reset_ends_what_waits_for_connection_fd() -> None:
    seen: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        request = find_request()
        assert request is not None
        fd = request.connection_fd()
        seen.append(fdio.is_connected(fd))
        gevent.socket.wait_read(fd, timeout=20)
        seen.append(fdio.is_connected(fd))
        return []

    with site(application) as found:
        client = found.connect()
        number = client.ask()
        wait_for(lambda: seen)
        client.h2.reset_stream(number, 8)
        client.flush()
        wait_for(lambda: len(seen) == 2)
    assert seen == [True, False]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ([(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a"), ("connection", "close")], 1),
        ([(":method", "GET"), (":scheme", "http"), (":authority", "a")], 1),
    ],
)
def test_a_malformed_request_ends_only_its_stream(fields: Any, code: int, capfd: pytest.CaptureFixture[str]) -> None:
    with site(echo) as found:
        client = found.connect()
        number = client.h2.get_next_available_stream_id()
        client.send_head(number, fields)
        assert client.answer(number).reset == code
        assert client.get().status == 200
    assert capfd.readouterr().err.count("malformed request") == 1


def test_what_cannot_be_served_gets_an_answer(capfd: pytest.CaptureFixture[str]) -> None:
    with site(echo, http={"buffer_size": 1000}) as found:
        client = found.connect()
        assert client.get("/", "BREW").status == 501
        assert client.get("/", "GET", [("x-large", "a" * 1000)]).status == 431
        assert client.get("/" + "a" * 1000).status == 414
        assert client.get("/", "CONNECT").status == 501
        assert client.get().status == 200


def test_small_windows() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [b"0123456789" * 100]

    with site(application) as found:
        client = found.connect(settings={SettingCodes.INITIAL_WINDOW_SIZE: 7})
        assert client.get().body == b"0123456789" * 100


def test_a_window_that_opens_by_settings() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [b"x" * 1000]

    with site(application) as found:
        client = found.connect(settings={SettingCodes.INITIAL_WINDOW_SIZE: 0})
        number = client.ask()
        client.until(lambda: client.answers[number].headers)
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2000})
        client.flush()
        assert len(client.answer(number).body) == 1000


def test_streams_share_the_connection() -> None:
    """A large response does not keep small ones waiting until it is through."""

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [bytes(20_000_000)] if environ["PATH_INFO"] == "/large" else [b"small"]

    with site(application) as found:
        client = found.connect()
        large = client.ask("/large")
        client.until(lambda: client.answers[large].body)
        assert client.get("/small").body == b"small"
        assert not client.answers[large].done


def test_the_log_line(capfd: pytest.CaptureFixture[str]) -> None:
    with site(echo, log_requests=True) as found:
        found.connect().get("/a")
        wait_for(lambda: found.serving.server.total_requests)
    assert "GET /a => generated 7 bytes in " in (line := capfd.readouterr().err)
    assert " (HTTP/2.0 200) 3 headers in " in line


# -- the end


def test_an_idle_connection_ends() -> None:
    with site(echo, http={"keepalive": 0.2}) as found:
        client = found.connect()
        number = client.ask()
        client.answer(number)
        assert client.rest() == (number, 0)


def test_a_client_that_says_goaway_gets_its_answers() -> None:
    go = gevent.event.Event()

    def application(environ: Any, start_response: Any) -> Any:
        go.wait(60)
        return echo(environ, start_response)

    with site(application) as found:
        client = found.connect()
        number = client.ask("/last")
        client.raw(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8))
        gevent.sleep(0.05)
        go.set()
        assert client.answer(number).body == b"GET /last "
        assert client.rest() == (number, 0)


def test_retiring_says_so_twice() -> None:
    go = gevent.event.Event()

    def application(environ: Any, start_response: Any) -> Any:
        go.wait(60)
        return echo(environ, start_response)

    with site(application) as found:
        client = found.connect()
        first = client.ask("/first")
        wait_for(lambda: found.serving.server.running)
        retiring = gevent.spawn(found.serving.server.retire, 5, 0)
        client.held = True
        client.until(lambda: client.goaways)
        client.held = False
        assert client.goaways == [(2**31 - 1, 0)]
        # It was on its way: the ping is not answered yet.
        second = client.ask("/second")
        client.until(lambda: len(client.goaways) == 2)
        assert client.goaways[1] == (second, 0)
        third = client.ask("/third")
        assert client.answer(third).reset == 7
        go.set()
        assert client.answer(first).body == b"GET /first "
        assert client.answer(second).body == b"GET /second "
        client.rest()
        retiring.join(20)
        assert retiring.ready()


def test_retiring_ends_an_idle_connection() -> None:
    with site(echo) as found:
        client = found.connect()
        client.get()
        retiring = gevent.spawn(found.serving.server.retire, 5, 0)
        client.rest()
        assert [code for _, code in client.goaways] == [0, 0]
        retiring.join(20)
        assert retiring.ready()


def test_stopping_lets_requests_finish() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        gevent.sleep(0.2)
        return echo(environ, start_response)

    with site(application) as found:
        client, idle = found.connect(), found.connect()
        idle.get("/")
        number = client.ask("/")
        wait_for(lambda: found.serving.server.running)
        stopping = gevent.spawn(found.serving.server.stop, 5)
        assert client.answer(number).body == b"GET / "
        client.rest()
        idle.rest()
        stopping.join(20)
        assert stopping.ready()


def test_stopping_kills_what_does_not_finish(capfd: pytest.CaptureFixture[str]) -> None:
    ended: list[str] = []

    def application(environ: Any, start_response: Any) -> Any:
        try:
            gevent.sleep(60)
        finally:
            ended.append("killed")
        return []

    with site(application) as found:
        client = found.connect()
        client.ask("/")
        wait_for(lambda: found.serving.server.running)
        found.serving.server.stop(0.1)
        assert ended == ["killed"]
        assert not found.serving.server.connections
    assert "did not end within 0.1 seconds: killed" in capfd.readouterr().err


def test_nothing_is_left_behind() -> None:
    with site(echo) as found:
        server = found.serving.server
        for _ in range(20):
            client = found.connect()
            client.get()
            client.ask("/", "POST", end=False)
            client.close()
        wait_for(lambda: not server.connections and not server.sweeper.transports and not server.running)
