"""geuwsgi/server/response.py, as a client sees it"""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import gevent
import gevent.event
import pytest

from tests.server.serving import PLAIN, Serving, serving, wait_for


def app_of(call: Any) -> Any:
    """An application that answers 200 with what `call(environ)` returns."""

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return call(environ)

    return application


class Closing:
    """An iterable that notes whether it was closed."""

    def __init__(self, pieces: Any) -> None:
        self.pieces = iter(pieces)
        self.closed = 0

    def __iter__(self) -> Any:
        return self.pieces

    def close(self) -> None:
        self.closed += 1


# -- framing


def test_one_piece_has_a_length_and_goes_out_with_its_head() -> None:
    with serving(app_of(lambda environ: [b"hello"])) as server:
        client = server.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        data = client.sock.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    assert body == b"hello"
    lines = head.split(b"\r\n")
    assert lines[:3] == [b"HTTP/1.1 200 OK", b"Content-Type: text/plain", b"Content-Length: 5"]
    assert re.fullmatch(rb"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", lines[3])
    assert len(lines) == 4


@pytest.mark.parametrize("result", [[b"a", b"b"], (b"a", b"", b"b"), (b"ab",)], ids=repr)
def test_lists_have_a_length(result: Any) -> None:
    with serving(app_of(lambda environ: result)) as server:
        answer = server.ask()
    assert answer.headers["content-length"] == "2"
    assert answer.body == b"ab"


@pytest.mark.parametrize("result", [[], (), [b""], iter([]), iter([b"", b""])])
def test_an_empty_body_has_one_too(result: Any) -> None:
    with serving(app_of(lambda environ: result)) as server:
        answer = server.ask()
    assert answer.headers["content-length"] == "0"
    assert answer.body == b""


def test_generators_are_chunked() -> None:
    with serving(app_of(lambda environ: iter([b"abc", b"", b"0123456789abcdef"]))) as server:
        client = server.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"\r\nTransfer-Encoding: chunked\r\n" in client.until(b"\r\n\r\n")
        assert client.until(b"0\r\n\r\n") == b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"


def test_in_http_10_the_end_is_the_end_of_the_connection() -> None:
    with serving(app_of(lambda environ: iter([b"abc", b"def"]))) as server:
        head, _, body = server.talk(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").partition(b"\r\n\r\n")
    assert body == b"abcdef"
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b"Connection: close" in head
    assert b"Transfer-Encoding" not in head


def test_http_10_can_keep_alive() -> None:
    with serving(app_of(lambda environ: [b"abc"])) as server:
        client = server.connect()
        for _ in range(2):
            client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = client.answer()
            assert (answer.status, answer.headers["connection"], answer.body) == ("HTTP/1.0 200 OK", "keep-alive", b"abc")
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.answer().headers["connection"] == "close"
        assert client.closed()


def test_each_piece_is_sent_when_it_is_yielded() -> None:
    go = gevent.event.Event()

    def pieces(environ: Any) -> Iterator[bytes]:
        yield b"first"
        go.wait(60)
        yield b"second"

    with serving(app_of(pieces)) as server:
        client = server.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.until(b"5\r\nfirst\r\n")
        go.set()
        client.until(b"6\r\nsecond\r\n0\r\n\r\n")


def test_the_head_waits_for_the_first_piece_that_is_not_empty() -> None:
    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        yield b""
        start_response("201 Created", [PLAIN])
        yield b""
        start_response("202 Accepted", [PLAIN], (ValueError, ValueError("x"), None))
        yield b"a"

    with serving(application) as server:
        answer = server.ask()
    assert (answer.code, answer.body) == (202, b"a")


@pytest.mark.parametrize("code", ["204 No Content", "304 Not Modified"])
def test_statuses_without_a_body(code: str, capfd: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response(code, [("Content-Length", "3"), ("X-A", "b")])
        return [b"abc"] if environ["PATH_INFO"] == "/list" else iter([b"abc"])

    with serving(application) as server:
        client = server.connect()
        for target in ("/list", "/generator", "/list"):
            answer = client.ask(target)
            assert answer.status == f"HTTP/1.1 {code}"
            assert "transfer-encoding" not in answer.headers
            assert answer.headers["x-a"] == "b"
            # A 304 may tell the length of what it does not send, a 204 must not.
            assert answer.headers.get("content-length") == ("3" if code.startswith("304") else None)


def test_head_has_the_headers_of_get_and_no_body() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        kind = environ["PATH_INFO"]
        start_response("200 OK", [PLAIN, *([("Content-Length", "100")] if kind == "/length" else [])])
        return [b"abc"] if kind == "/list" else [] if kind in ("/length", "/nothing") else iter([b"a", b"b"])

    with serving(application) as server:
        client = server.connect()
        assert client.ask("/list", "HEAD").headers["content-length"] == "3"
        assert client.ask("/length", "HEAD").headers["content-length"] == "100"
        assert "content-length" not in client.ask("/nothing", "HEAD").headers
        assert "transfer-encoding" not in client.ask("/generator", "HEAD").headers
        assert client.ask("/list").body == b"abc"


def test_head_ends_an_endless_body() -> None:
    def forever() -> Iterator[bytes]:
        while True:
            yield b"tick"

    results: list[Closing] = []

    def call(environ: Any) -> Closing:
        results.append(Closing(forever()))
        return results[-1]

    with serving(app_of(call)) as server:
        client = server.connect()
        assert client.ask("/", "HEAD").code == 200
        assert client.ask("/", "HEAD").code == 200
    assert [result.closed for result in results] == [1, 1]


def test_a_large_body_in_one_piece() -> None:
    data = bytes(range(256)) * 40000
    with serving(app_of(lambda environ: [data])) as server:
        client = server.connect()
        assert client.ask().body == data
        assert client.ask().body == data


def test_a_large_body_in_many_pieces() -> None:
    data = bytes(range(256)) * 1000
    with serving(app_of(lambda environ: (data for _ in range(30)))) as server:
        assert server.ask().body == data * 30


# -- Content-Length of the application


def sized(length: str, body: Any) -> Any:
    def application(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [PLAIN, ("Content-Length", length)])
        if environ["PATH_INFO"] == "/write":
            for piece in body:
                write(piece)
            return []
        return list(body) if environ["PATH_INFO"] == "/list" else iter(body)

    return application


@pytest.mark.parametrize("target", ["/list", "/generator", "/write"])
@pytest.mark.parametrize("body", [(b"abcdef",), (b"ab", b"cdef"), (b"abc", b"def", b"ghi")], ids=repr)
def test_too_long_is_cut(target: str, body: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(sized("3", body)) as server:
        client = server.connect()
        assert client.ask(target).body == b"abc"
        assert client.ask(target).body == b"abc"  # and the connection lives on
    assert "more bytes than its Content-Length said" in capfd.readouterr().err


@pytest.mark.parametrize("target", ["/list", "/generator", "/write"])
def test_too_short_closes(target: str, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(sized("10", [b"abc", b"def"])) as server:
        client = server.connect()
        client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert client.rest().endswith(b"\r\n\r\nabcdef")
    assert "4 bytes less than its Content-Length said" in capfd.readouterr().err


def test_exactly_right_keeps_the_connection() -> None:
    with serving(sized("6", [b"abc", b"def"])) as server:
        client = server.connect()
        assert [client.ask(target).body for target in ("/list", "/generator", "/write")] == [b"abcdef"] * 3


# -- start_response, write


def test_write() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [PLAIN])
        write(b"a")
        write(b"")
        write(b"b")
        return [b"c"]

    with serving(application) as server:
        answer = server.ask()
    assert (answer.body, answer.headers["transfer-encoding"]) == (b"abc", "chunked")


def test_exc_info_replaces_a_head_that_is_not_sent() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("X-First", "1")])
        try:
            raise ValueError
        except ValueError:
            start_response("500 Oops", [PLAIN], sys.exc_info())
        return [b"sorry"]

    with serving(application) as server:
        answer = server.ask()
    assert answer.status == "HTTP/1.1 500 Oops"
    assert "x-first" not in answer.headers
    assert answer.body == b"sorry"


def test_exc_info_is_raised_again_when_the_head_is_sent(capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[BaseException] = []

    def application(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [PLAIN])
        write(b"abc")
        original = ValueError("the original")
        try:
            start_response("500 Oops", [PLAIN], (ValueError, original, None))
        except ValueError as error:
            seen.extend([error, original])
            raise

    with serving(application) as server:
        assert server.talk(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").endswith(b"3\r\nabc\r\n")
    assert seen[0] is seen[1]
    assert "ValueError: the original" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda start: (start("200 OK", []), start("200 OK", [])), "RuntimeError: start_response was called a second time"),
        (lambda start: start("200 OK", ()), "TypeError: http headers must be in a python list"),
        (lambda start: start(200, []), "TypeError: http status must be a string"),
        (lambda start: start("200 OK\r\nX: y", []), "ValueError: invalid http status"),
        (lambda start: start("OK", []), "ValueError: invalid http status"),
        (lambda start: start("200 OK", [("A", "b\r\nX: y")]), "ValueError: control character in the value of header A"),
        (lambda start: start("200 OK", [("A", b"b")]), "TypeError: the value of header A must be a string"),
        (lambda start: start("200 OK", [("A\n", "b")]), "ValueError: invalid header name"),
        (lambda start: start("200 OK", [("A", "\u20ac")]), "ValueError: the value of header A has characters beyond latin-1"),
        (lambda start: start("200 OK", [("Content-Length", "-3")]), "ValueError: Content-Length must be a number"),
        (lambda start: start("200 OK", [("A", "b", "c")]), "ValueError: "),
        (lambda start: start("200 OK", [])("text"), "TypeError: write() takes bytes"),
        (lambda start: None, "RuntimeError: the application has not called start_response"),
    ],
)
def test_mistakes_of_the_application_are_500(call: Any, complaint: str, capfd: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        call(start_response)
        return [b"never seen"]

    with serving(application) as server:
        client = server.connect()
        answer = client.ask()
        assert answer.status == "HTTP/1.1 500 Internal Server Error"
        assert answer.body == b"500 Internal Server Error\n"
        assert client.ask().code == 500  # nothing was wrong with the connection
    assert complaint in capfd.readouterr().err


@pytest.mark.parametrize("result", [None, 3, ["text"], [b"a", "text"], [bytearray(b"a")], iter(["text"])])
def test_results_that_are_none(result: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(app_of(lambda environ: result)) as server:
        client = server.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = client.rest()
    if isinstance(result, list) and type(result[0]) is bytes:
        # The first piece was out before the second turned out to be none.
        assert data.endswith(b"1\r\na\r\n")
    else:
        assert data.startswith(b"HTTP/1.1 500 ")
    assert "TypeError: " in capfd.readouterr().err


# -- headers


def test_hop_by_hop_headers_are_the_servers() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response(
            "200 OK",
            [PLAIN, ("Transfer-Encoding", "chunked"), ("Connection", "keep-alive"), ("Keep-Alive", "timeout=5"), ("Trailer", "X")],
        )
        return [b"abc"]

    with serving(application) as server:
        client = server.connect()
        answer = client.ask()
        assert set(answer.headers) == {"content-type", "content-length", "date"}
        assert answer.body == b"abc"


def test_connection_close_is_honoured() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN, ("Connection", "Close")])
        return [b"abc"]

    with serving(application) as server:
        client = server.connect()
        assert client.ask().headers["connection"] == "close"
        assert client.closed()


def test_a_date_of_the_application_stays() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        headers = [PLAIN]
        if environ["PATH_INFO"] == "/own":
            headers.append(("date", "Tue, 14 Nov 2023 22:13:20 GMT"))
        start_response("200 OK", headers)
        return [b"abc"]

    with serving(application) as server:
        assert server.ask("/own").headers["date"] == "Tue, 14 Nov 2023 22:13:20 GMT"
        before = time.time()
        made = parsedate_to_datetime(server.ask("/").headers["date"])
        after = time.time()
    assert before - 2 < made.timestamp() <= after


def test_values_may_have_latin_1_and_tabs() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 Voil\xe0", [("X-A", "caf\xe9\t\xa0x")])
        return [b""]

    with serving(application) as server:
        answer = server.ask()
    assert answer.status == "HTTP/1.1 200 Voil\xe0"
    assert answer.headers["x-a"] == "caf\xe9\t\xa0x"


def test_repeated_headers_stay_apart() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return [b""]

    with serving(application) as server:
        data = server.talk(b"GET / HTTP/1.0\r\n\r\n")
    assert b"\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n" in data


# -- exceptions


@pytest.mark.parametrize("written", [b"", b"before "])
def test_bytes_instead_of_a_list_of_them(written: bytes) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [])
        if written:
            write(written)
        return b"hello" if environ["PATH_INFO"] == "/" else b""

    with serving(application) as server:
        client = server.connect()
        assert client.ask("/").body == written + b"hello"
        assert client.ask("/empty").body == written


def test_an_exception_is_500_without_details(capfd: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/started":
            start_response("200 OK", [("X-Secret", "s")])
        raise LookupError("a secret")

    with serving(application) as server:
        client = server.connect()
        for target in ("/", "/started"):
            answer = client.ask(target)
            assert (answer.status, answer.body) == ("HTTP/1.1 500 Internal Server Error", b"500 Internal Server Error\n")
            assert "x-secret" not in answer.headers
        assert server.server.exceptions == 2
    log = capfd.readouterr().err
    assert log.count("LookupError: a secret") == 2
    assert "GET /started: the application raised\nTraceback" in log
    assert "connection.py" not in log  # it begins where the application does


@pytest.mark.parametrize("error", [SystemExit(1), gevent.Timeout(1)], ids=["SystemExit", "Timeout"])
def test_exceptions_that_are_not_errors_do_not_end_the_server(error: BaseException, capfd: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        raise error

    with serving(application) as server:
        client = server.connect()
        assert client.ask().code == 500
        assert client.ask().code == 500


@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1", b"GET / HTTP/1.0"])
def test_a_response_that_breaks_off_cannot_be_taken_for_whole(request_line: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    def pieces(environ: Any) -> Iterator[bytes]:
        yield b"abc"
        raise LookupError("later")

    with serving(app_of(pieces)) as server:
        client = server.connect()
        client.send(request_line + b"\r\nHost: a\r\n\r\n")
        if request_line.endswith(b"1.1"):
            assert client.rest().endswith(b"3\r\nabc\r\n")
        else:
            with pytest.raises(ConnectionResetError):
                client.rest()
    assert "LookupError: later" in capfd.readouterr().err


def test_close_is_called_always(capfd: pytest.CaptureFixture[str]) -> None:
    def breaks() -> Iterator[bytes]:
        yield b"a"
        raise LookupError

    results = {
        "/list": Closing([b"abc"]),
        "/empty": Closing([]),
        "/breaks": Closing(breaks()),
        "/bad": Closing(["text"]),
    }
    with serving(app_of(lambda environ: results[environ["PATH_INFO"]])) as server:
        for target in results:
            server.talk(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert {target: result.closed for target, result in results.items()} == dict.fromkeys(results, 1)


def test_an_exception_in_close_is_logged_and_does_no_harm(capfd: pytest.CaptureFixture[str]) -> None:
    class Bad(Closing):
        def close(self) -> None:
            raise LookupError("in close")

    with serving(app_of(lambda environ: Bad([b"abc"]))) as server:
        client = server.connect()
        assert client.ask().body == b"abc"
        assert client.ask().body == b"abc"
    assert capfd.readouterr().err.count("LookupError: in close") == 2


def test_a_client_that_leaves_ends_the_iteration(capfd: pytest.CaptureFixture[str]) -> None:
    result = Closing(b"x" * 65536 for _ in range(10_000))
    with serving(app_of(lambda environ: result)) as server:
        client = server.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.until(b"\r\n\r\n")
        client.close()
        wait_for(lambda: not server.server.running, "the request to end")
    assert result.closed == 1
    log = capfd.readouterr().err
    assert "GET /: the client has closed the connection" in log
    assert len(log.splitlines()) == 1


# -- files


class Unseekable(io.RawIOBase):
    """A file-like object without a descriptor."""

    def __init__(self, data: bytes) -> None:
        self.data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self.data.read(size)


def file_app(path: Path, opened: list[Any]) -> Any:
    def application(environ: Any, start_response: Any) -> Any:
        query = environ["QUERY_STRING"]
        headers = [PLAIN]
        if "length" in query:
            headers.append(("Content-Length", query.partition("length=")[2]))
        start_response("200 OK", headers)
        file = Unseekable(path.read_bytes()) if environ["PATH_INFO"] == "/object" else path.open("rb")
        if environ["PATH_INFO"] == "/offset":
            file.read(10)
        opened.append(file)
        return environ["wsgi.file_wrapper"](file, 4096)

    return application


@pytest.fixture(params=[1000, 70_000, 5_000_000])
def content(request: pytest.FixtureRequest) -> bytes:
    return bytes(range(251)) * (request.param // 251) + b"end"


@pytest.fixture
def files(tmp_path: Path, content: bytes) -> Iterator[tuple[Serving, list[Any]]]:
    path = tmp_path / "file"
    path.write_bytes(content)
    opened: list[Any] = []
    with serving(file_app(path, opened)) as server:
        yield server, opened


def test_a_file_is_sent(files: tuple[Serving, list[Any]], content: bytes) -> None:
    server, opened = files
    client = server.connect()
    for _ in range(2):
        answer = client.ask("/file")
        assert answer.headers["content-length"] == str(len(content))
        assert answer.body == content
    assert [file.closed for file in opened] == [True, True]


def test_a_file_is_sent_from_its_position(files: tuple[Serving, list[Any]], content: bytes) -> None:
    assert files[0].ask("/offset").body == content[10:]


def test_no_more_of_a_file_than_the_length_says(files: tuple[Serving, list[Any]], content: bytes) -> None:
    client = files[0].connect()
    assert client.ask("/offset?length=5").body == content[10:15]
    assert client.ask("/offset?length=5").body == content[10:15]


def test_less_of_a_file_than_the_length_says(files: tuple[Serving, list[Any]], content: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    data = files[0].talk(f"GET /file?length={len(content) + 5} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert data.endswith(b"\r\n\r\n" + content)
    assert "5 bytes less" in capfd.readouterr().err


def test_what_is_no_file_is_read(files: tuple[Serving, list[Any]], content: bytes) -> None:
    answer = files[0].ask("/object")
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.body == content
    assert files[1][0].closed


def test_head_of_a_file(files: tuple[Serving, list[Any]], content: bytes) -> None:
    client = files[0].connect()
    assert client.ask("/file", "HEAD").headers["content-length"] == str(len(content))
    assert client.ask("/file").body == content


# -- the validator


def test_the_validator_has_nothing_to_say() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        read = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response("200 OK", [PLAIN])
        return [read or b"nothing"]

    with serving(validator(application)) as server:
        client = server.connect()
        assert client.ask().body == b"nothing"
        assert client.ask("/a?b", "POST", body=b"abc").body == b"abc"
        assert client.ask("/", "HEAD").code == 200
