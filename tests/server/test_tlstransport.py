"""HTTP over TLS: everything that a plain connection does."""

from __future__ import annotations

import io
import os
import ssl
from pathlib import Path
from typing import Any

import pytest

from geuwsgi.server.filewrapper import FileWrapper
from tests.harness.certificates import certificates
from tests.server.secured import serving_tls
from tests.server.serving import PLAIN, wait_for

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def echo_body(environ: Any, start_response: Any) -> Any:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [PLAIN, ("Content-Length", str(len(body)))])
    return [body]


def hello(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [PLAIN])
    return [f"{environ['PATH_INFO']} {environ['wsgi.url_scheme']} {environ['HTTPS']}".encode()]


@pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
def test_keep_alive_and_pipelining(version: ssl.TLSVersion) -> None:
    with serving_tls(hello) as server:
        client = server.connect(context=certificates().context(version=version))
        assert client.ask("/a").body == b"/a https on"
        assert client.ask("/b").body == b"/b https on"
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(20)))
        assert [client.answer().body for _ in range(20)] == [b"/%d https on" % number for number in range(20)]
        assert client.sock.ssl.version() == {VERSIONS[0]: "TLSv1.2", VERSIONS[1]: "TLSv1.3"}[version]


@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 3_000_000])
def test_bodies_both_ways(size: int) -> None:
    body = os.urandom(size)
    with serving_tls(echo_body) as server:
        assert server.ask("/", "POST", f"Content-Length: {size}", body=b"").body == b"" if not size else True
        assert not size or server.connect().ask("/", "POST", body=body).body == body


def test_a_chunked_download_and_the_end_are_told() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return (b"x" * 5000 for _ in range(50))

    with serving_tls(application) as server:
        client = server.connect()
        assert client.ask("/", "GET", "Connection: close").body == b"x" * 250_000
        assert client.closed()
        assert client.sock.goodbye


def test_a_file(tmp_path: Path) -> None:
    data = os.urandom(1_500_000)
    path = tmp_path / "file"
    path.write_bytes(data)

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN, ("Content-Length", str(len(data)))])
        return FileWrapper(open(path, "rb"))

    with serving_tls(application) as server:
        client = server.connect()
        assert client.ask("/").body == data
        assert client.ask("/").body == data


def test_a_response_that_breaks_off_is_not_taken_for_whole() -> None:
    """Its end is the end of the connection, and clients do not ask whether TLS was closed in order: only a reset tells."""

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        yield b"x" * 50000
        raise ValueError

    with serving_tls(application) as server:
        client = server.connect()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            client.rest()
        assert not client.sock.goodbye


def test_a_client_that_reads_nothing_is_given_up(capfd: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return [b"x" * 30_000_000]

    with serving_tls(application, http={"socket_timeout": 0.2}) as server:
        server.connect(receive_buffer=4096).send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for(lambda: server.server.total_requests, "the end of the request")
        wait_for(lambda: not server.server.connections, "the end of the connection")
    assert "has taken nothing for 0.2 seconds" in capfd.readouterr().err


def test_a_body_that_stalls_and_one_that_breaks_off(capfd: pytest.CaptureFixture[str]) -> None:
    with serving_tls(echo_body, http={"socket_timeout": 0.2}) as server:
        client = server.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
        assert client.answer().code == 408
        client = server.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
        client.close()
        wait_for(lambda: not server.server.connections, "the end of the connection")
    assert "Traceback" not in capfd.readouterr().err


def test_100_continue() -> None:
    with serving_tls(echo_body) as server:
        client = server.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"12345")
        assert client.answer().body == b"12345"


def test_a_refused_request_is_answered_and_the_connection_ends_cleanly(capfd: pytest.CaptureFixture[str]) -> None:
    with serving_tls(hello) as server:
        client = server.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
        assert client.answer().code == 400
        assert client.closed()
        assert client.sock.goodbye
    assert "Traceback" not in capfd.readouterr().err


def test_a_large_body_that_nobody_reads_does_not_destroy_the_answer() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("413 Content Too Large", [PLAIN, ("Content-Length", "3"), ("Connection", "close")])
        return [b"no\n"]

    with serving_tls(application) as server:
        client = server.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n" + b"x" * 400_000)
        assert client.answer().body == b"no\n"
        assert client.closed()


def test_wsgi_input_line_by_line() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        lines = list(environ["wsgi.input"])
        start_response("200 OK", [PLAIN])
        return [b"%d %d" % (len(lines), sum(map(len, lines)))]

    body = b"".join(b"%d\n" % number for number in range(20_000))
    assert len(io.BytesIO(body).readlines()) == 20_000
    with serving_tls(application) as server:
        assert server.ask("/", "POST", body=body).body == b"20000 %d" % len(body)
