"""HTTP/1.1 as a client speaks it, as bytes."""

from __future__ import annotations

from typing import Any

import pytest

from geuwsgi.protocol.http_client import BadResponse, ResponseHead, encode_request

ENVIRON = {"REQUEST_METHOD": "GET", "REQUEST_URI": "/a%20b?c", "HTTP_HOST": "x.test", "REMOTE_ADDR": "1.2.3.4", "wsgi.url_scheme": "https"}
HEAD = b"GET /a%20b?c HTTP/1.1\r\nHost: x.test\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 1.2.3.4\r\n"


@pytest.mark.parametrize(
    ("more", "options", "expected"),
    [
        ({}, {"length": 0}, HEAD + b"\r\n"),
        ({}, {"length": 0, "keep_alive": False}, HEAD + b"Connection: close\r\n\r\n"),
        ({}, {"length": 5}, HEAD + b"Content-Length: 5\r\n\r\n"),
        ({}, {"length": -1}, HEAD + b"Transfer-Encoding: chunked\r\n\r\n"),
        ({}, {"length": 0, "upgrade": "websocket"}, HEAD + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
        ({"HTTP_SEC_WEBSOCKET_KEY": "k", "CONTENT_TYPE": "t"}, {"length": 0}, HEAD + b"Sec-WebSocket-Key: k\r\nContent-Type: t\r\n\r\n"),
        (
            {"HTTP_CONNECTION": "x", "HTTP_UPGRADE": "h2c", "HTTP_TE": "x", "HTTP_EXPECT": "100-continue", "CONTENT_LENGTH": "7"},
            {"length": 0},
            HEAD + b"\r\n",
        ),
        ({"HTTP_X_FORWARDED_FOR": "9.9.9.9", "HTTP_X_FORWARDED_PROTO": "gopher"}, {"length": 0}, HEAD[:-9] + b"9.9.9.9, 1.2.3.4\r\n\r\n"),
        ({"REQUEST_URI": "http://x.test/a%20b?c"}, {"length": 0}, HEAD + b"\r\n"),
        ({"REQUEST_URI": "http://x.test"}, {"length": 0}, HEAD.replace(b"/a%20b?c", b"/") + b"\r\n"),
        ({"REQUEST_URI": "http://x.test?c/d"}, {"length": 0}, HEAD.replace(b"/a%20b?c", b"/?c/d") + b"\r\n"),
        ({"REQUEST_URI": "/a b\r\nc\xe9%20?c"}, {"length": 0}, HEAD.replace(b"/a%20b?c", b"/a%20b%0D%0Ac%E9%20?c") + b"\r\n"),
        ({"REQUEST_METHOD": "POST"}, {"length": 0}, HEAD.replace(b"GET", b"POST") + b"Content-Length: 0\r\n\r\n"),
    ],
)
def test_request(more: dict[str, str], options: dict[str, Any], expected: bytes) -> None:
    assert encode_request({**ENVIRON, **more}, **options) == expected


@pytest.mark.parametrize("value", ["a\nb", "a\r\nX-Y: z", "a\r", "a\0"])
def test_what_would_break_a_head_apart(value: str) -> None:
    with pytest.raises(ValueError, match="a line break in a header"):
        encode_request({**ENVIRON, "HTTP_X": value}, 0)


def head(text: bytes) -> ResponseHead:
    return ResponseHead(b"HTTP/1.1 " + text + b"\r\n\r\n")


def test_response() -> None:
    found = head(b"200 All right\r\nContent-Type: text/plain\r\nContent-Length: 5 \r\nX-A: \r\nSet-Cookie: a\r\nset-cookie: b")
    assert (found.code, found.status, found.length, found.chunked, found.keep_alive) == (200, "200 All right", 5, False, True)
    assert found.headers == [("Content-Type", "text/plain"), ("Content-Length", "5"), ("X-A", ""), ("Set-Cookie", "a"), ("set-cookie", "b")]


def test_a_length_with_zeros_before_it() -> None:
    found = head(b"200 OK\r\nContent-Length: " + b"0" * 5000 + b"7")
    assert (found.length, found.headers) == (7, [("Content-Length", "7")])


@pytest.mark.parametrize(
    ("text", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n", False),
    ],
)
def test_keep_alive(text: bytes, keep_alive: bool) -> None:
    assert ResponseHead(text).keep_alive is keep_alive


def test_fields_of_one_connection_stay_behind() -> None:
    found = head(
        b"200 OK\r\nConnection: close, X-Own\r\nX-Own: 1\r\nKeep-Alive: timeout=5\r\nTE: x\r\nTrailer: y\r\nUpgrade: z\r\nX-Other: 2"
    )
    assert found.headers == [("X-Other", "2")]


def test_upgrade() -> None:
    found = head(b"101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x")
    assert (found.code, found.upgrade, found.headers) == (101, "WebSocket", [("Sec-WebSocket-Accept", "x")])


@pytest.mark.parametrize(
    "text",
    [
        b"99 x",
        b"200 OK\r\nContent-Length: -1",
        b"200 OK\r\nContent-Length: 1\r\nContent-Length: 2",
        b"200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
        b"200 OK\r\nTransfer-Encoding: gzip, chunked",
        b"200 OK\r\nName : x",
        b"200 OK\r\nA: b\nC: d",
        b"200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"200 OK\r\nTransfer-Encoding: chunked, chunked",
        b"200 O\x1bK",
        b"nonsense",
    ],
)
def test_no_response(text: bytes) -> None:
    with pytest.raises(BadResponse):
        head(text)


@pytest.mark.parametrize("version", [b"2.0", b"0.9"])
def test_response_of_another_version(version: bytes) -> None:
    with pytest.raises(BadResponse, match=version.decode()):
        ResponseHead(b"HTTP/" + version + b" 200 OK\r\n\r\n")


def test_status_without_a_reason() -> None:
    """The space stays (RFC 9112 section 4)."""
    assert head(b"200").status == "200 "
