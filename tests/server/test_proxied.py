"""Connections that begin with a PROXY protocol header."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gevent
import pytest

from tests.protocol.test_proxy import GOOD, TCP4, v2
from tests.server import serving as serving_module
from tests.server.serving import PLAIN, serving, wait_for

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(autouse=True)
def proxied_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that listens in these tests wants a header."""
    opened = serving_module.open_listener
    monkeypatch.setattr(serving_module, "open_listener", lambda address: replace(opened(address), proxied=True))


def who(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [PLAIN])
    return [f"{environ['REMOTE_ADDR']} {environ['REMOTE_PORT']} {environ['wsgi.url_scheme']} {environ.get('HTTPS')}".encode()]


@pytest.mark.parametrize(("header", "said"), GOOD)
def test_who_it_is(header: bytes, said: tuple[str, int, bool]) -> None:
    with serving(who) as server:
        client = server.connect()
        address, port, tls = said
        expected = [address or "127.0.0.1", str(port or client.sock.getsockname()[1]), *(("https", "on") if tls else ("http", "None"))]
        client.send(header + REQUEST)
        assert client.answer().body.decode().split() == expected
        # The header stands once, in front of the connection.
        client.send(REQUEST)
        assert client.answer().body.decode().split() == expected


@pytest.mark.parametrize("header", [GOOD[0][0], GOOD[-2][0]])
def test_byte_by_byte(header: bytes) -> None:
    with serving(who) as server:
        client = server.connect()
        for index in range(len(header)):
            client.send(header[index : index + 1])
            wait_for(lambda: True)
        client.send(REQUEST)
        assert client.answer().body.startswith(b"192.0.2.1 4660 ")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (REQUEST, "no PROXY protocol header, but b'GET / HTTP/1.1\\r\\n'"),
        (b"PROXY TCP4 1 2 3 4\r\n" + REQUEST, "malformed PROXY line"),
        (v2(0x12, TCP4) + REQUEST, "PROXY header with family and transport 0x12"),
        (b"PROXY TC", "no PROXY protocol header within 1 seconds"),
        (b"", "no PROXY protocol header within 1 seconds"),
    ],
)
def test_what_is_refused(data: bytes, line: str, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(who, http={"headers_timeout": 1.0}) as server:
        client = server.connect()
        client.send(data)
        try:
            assert client.closed()
        except ConnectionResetError:
            pass  # with bytes that nobody has read
        log = capfd.readouterr().err
        assert log.startswith("127.0.0.1: ")
        assert line in log
        assert log.endswith(": the connection is closed\n")
        assert log.count("\n") == 1
        wait_for(lambda: not server.server.connections)


def test_half_a_header(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(who) as server:
        client = server.connect()
        client.send(b"PROXY TCP4 ")
        client.sock.shutdown(1)
        assert client.closed()
        assert "ended in the middle of its PROXY protocol header" in capfd.readouterr().err
        server.connect().sock.shutdown(1)
        wait_for(lambda: not server.server.connections)
        assert capfd.readouterr().err == ""


def test_a_proxy_that_is_not_believed(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(who, http={"forwarded_allow": ("10.0.0.1",)}) as server:
        client = server.connect()
        try:
            client.send(GOOD[0][0] + REQUEST)
            assert client.closed()
        except ConnectionResetError:
            pass
        assert "127.0.0.1: is no proxy that is believed (forwarded-allow-ips)" in capfd.readouterr().err


def test_headers_of_the_client_are_not_the_proxys() -> None:
    """The address behind the header is judged: a client whose TCP is forwarded could send any X-Forwarded-For."""
    with serving(who) as server:
        client = server.connect()
        client.send(GOOD[0][0] + b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n\r\n")
        assert client.answer().body == b"192.0.2.1 4660 http None"


def test_stopping_ends_the_wait() -> None:
    with serving(who, http={"headers_timeout": 30}) as server:
        client = server.connect()
        wait_for(lambda: bool(server.server.connections))
        with gevent.Timeout(20):
            server.server.stop(60)
        assert client.closed()
