"""Connections that begin with a uwsgi packet, byte by byte."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from geuwsgi.protocol.uwsgi import packet
from geuwsgi.server import packets
from tests.protocol.packets import encode_vars
from tests.server import serving as serving_module
from tests.server.serving import PLAIN, serving

VARS = {"REQUEST_METHOD": "GET", "REQUEST_URI": "/x?y", "PATH_INFO": "/x", "QUERY_STRING": "y", "SERVER_PROTOCOL": "HTTP/1.1"}


@pytest.fixture(autouse=True)
def uwsgi_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that listens in these tests speaks the uwsgi protocol."""
    opened = serving_module.open_listener
    monkeypatch.setattr(serving_module, "open_listener", lambda address: replace(opened(address), protocol="uwsgi"))


def request(body: bytes = b"", **changes: str) -> bytes:
    length = {"CONTENT_LENGTH": str(len(body))} if body else {}
    return packet(0, encode_vars({**VARS, **length, **changes})) + body


def echo(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [PLAIN])
    return [environ["wsgi.input"].read(), environ["PATH_INFO"].encode()]


def head_of(answer: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return status, dict(line.lower().split(": ", 1) for line in lines), body


def test_a_request() -> None:
    with serving(echo) as server:
        status, headers, body = head_of(server.talk(request(b"hello")))
        assert (status, body) == ("HTTP/1.1 200 OK", b"hello/x")
        assert set(headers) == {"content-type", "content-length", "date"}
        assert head_of(server.talk(request(SERVER_PROTOCOL="HTTP/1.0")))[0] == "HTTP/1.0 200 OK"


def test_a_body_of_unknown_length_is_not_chunked() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        yield b"a"
        yield b"b"

    with serving(application) as server:
        _, headers, body = head_of(server.talk(request()))
        assert body == b"ab"
        assert set(headers) == {"content-type", "date"}
        assert head_of(server.talk(request(REQUEST_METHOD="HEAD")))[2] == b""


def test_the_router_is_given_no_length_that_the_application_has_not_said() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        said = [("Content-Length", "2")] if environ["QUERY_STRING"] == "said" else []
        start_response(environ["REQUEST_URI"], [PLAIN, *said])
        return [b"ab"]

    with serving(application) as server:
        for status, said, body in (("200 OK", "", b"ab"), ("200 OK", "said", b"ab"), ("204 No Content", "", b"")):
            answer = server.talk(request(UWSGI_ROUTER="http", REQUEST_URI=status, QUERY_STRING=said))
            _, headers, found = head_of(answer)
            assert found == body
            assert headers.get("content-length") == ("2" if said else None)


def test_a_chunked_body_as_the_router_hands_it_on() -> None:
    with serving(echo) as server:
        answer = server.talk(request(HTTP_TRANSFER_ENCODING="chunked") + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
        assert head_of(answer)[2] == b"abc/x"


def test_an_error_after_the_head_resets() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        yield b"a"
        raise RuntimeError("as asked for")

    with serving(application) as server:
        client = server.connect()
        client.send(request())
        with pytest.raises(ConnectionResetError):
            client.rest()


def test_the_log_line(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(echo, log_requests=True) as server:
        server.talk(request(REMOTE_ADDR="192.0.2.1"))
    line = capfd.readouterr().err
    variables = {**VARS, "REMOTE_ADDR": "192.0.2.1"}
    assert f"192.0.2.1 () {{{2 * len(variables)} vars in {len(encode_vars(variables))} bytes}}" in line


@pytest.mark.parametrize(
    ("data", "answer", "line"),
    [
        (packet(100), b"d\x00\x00\x01", "127.0.0.1: PING"),
        (packet(100, b"abc") + b"more", b"d\x00\x00\x01", "127.0.0.1: PING"),
        (packet(5, encode_vars(VARS)), b"", "unavailable modifier requested: 5"),
        (packet(17, b"job"), b"\xff\x00\x00\x00", "unavailable modifier requested: 17 (a job for the spooler)"),
        (packet(110, modifier2=3), b"\xff\x00\x00\x00", "unavailable modifier requested: 110 (a signal)"),
        (packet(173, b"\x01\x00f"), b"", "unavailable modifier requested: 173 (a remote procedure call)"),
    ],
)
def test_packets_that_are_no_requests(data: bytes, answer: bytes, line: str, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(echo) as server:
        assert server.talk(data) == answer
        log = capfd.readouterr().err
        assert line in log
        assert log.count("\n") == 1
        assert head_of(server.talk(request()))[2] == b"/x"


def test_whoever_takes_a_modifier() -> None:
    with serving(echo) as server:
        server.server.modifiers[173] = lambda modifier2, block: packet(173, block * modifier2)
        assert server.talk(packet(173, b"ab", 3)) == packet(173, b"ababab")


@pytest.mark.parametrize(
    ("data", "status", "line"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "an HTTP request: this address speaks the uwsgi protocol"),
        (packet(0, bytes(40000)), 431, "uwsgi packet of 40000 bytes, more than 32768 (buffer-size)"),
        (packet(0, b"\x01\x00a\xff\xffb"), 400, "a variable that goes beyond the end"),
    ],
)
def test_what_is_no_packet(data: bytes, status: int, line: str, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(echo) as server:
        assert int(head_of(server.talk(data))[0].split()[1]) == status
        log = capfd.readouterr().err
        assert line in log
        assert log.count("\n") == 1


@pytest.mark.parametrize("data", [b"\x00", request()[:-1]])
def test_half_a_packet(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(echo, http={"headers_timeout": 1.0}) as server:
        client = server.connect()
        client.send(data)
        client.sock.shutdown(1)
        assert client.closed()
        assert "the connection ended in the middle of a uwsgi packet" in capfd.readouterr().err
        # One that stays open has its time, and no longer.
        assert head_of(server.talk(data))[0] == "HTTP/1.1 408 Request Timeout"
        assert capfd.readouterr().err.count("\n") == 1


def test_nothing_at_all(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(echo) as server:
        client = server.connect()
        client.sock.shutdown(1)
        assert client.closed()
        assert capfd.readouterr().err == ""


def test_an_upload_that_nobody_reads() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("413 Content Too Large", [PLAIN])
        return [b"no"]

    with serving(application) as server:
        client = server.connect()
        client.send(request(CONTENT_LENGTH="100000000"))
        client.send(bytes(300000))
        assert head_of(client.rest())[2] == b"no"


def test_the_face_of_the_parsers_is_the_same() -> None:
    from geuwsgi.protocol.http import RequestParser

    def face(parser: type) -> set[str]:
        return {name for name in dir(parser) if not name.startswith(("_", "on_"))}

    assert face(RequestParser) <= face(packets.PacketParser)
