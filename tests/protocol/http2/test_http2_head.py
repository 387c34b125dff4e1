"""geuwsgi/protocol/http2/head.py"""

from __future__ import annotations

import base64
from typing import Any

import pytest

from geuwsgi.errors import HTTPError
from geuwsgi.protocol.http import RequestParser
from geuwsgi.protocol.http2.head import MalformedRequest, RequestHead, read_head

Fields = list[tuple[bytes, bytes]]

GET: Fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"example.org:80"), (b":path", b"/a%20b?c=d")]
CONNECT: Fields = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"https"),
    (b":authority", b"example.org"),
    (b":path", b"/chat"),
]


def read(fields: Fields, ended: bool = True, limit: int = 32768) -> RequestHead:
    return read_head(fields, ended, {"SCRIPT_NAME": ""}, limit)


def changed(name: bytes, value: bytes, fields: Fields = GET) -> Fields:
    return [(name, value) if name == field[0] else field for field in fields]


def test_the_environ_is_that_of_http_1() -> None:
    more: Fields = [
        (b"accept", b"a"),
        (b"x-y", b"1"),
        (b"x-y", b"2"),
        (b"cookie", b"a=b"),
        (b"cookie", b"c=d"),
        (b"content-type", b"text/x"),
        (b"content-length", b"5"),
        (b"x_underscore", b"1"),
        (b"x-latin", b"\xe9"),
    ]
    head = read([*GET, *more], False)
    parser = RequestParser({"SCRIPT_NAME": ""}, 32768)
    parser.feed(
        b"GET /a%20b?c=d HTTP/1.1\r\nHost: example.org:80\r\n" + b"".join(b"%b: %b\r\n" % field for field in more) + b"\r\n",
    )
    assert parser.environ.pop("SERVER_PROTOCOL") == "HTTP/1.1"
    assert head.environ.pop("SERVER_PROTOCOL") == "HTTP/2.0"
    assert head.environ == parser.environ
    assert (head.content_length, head.header_count, head.head_size) == (5, parser.header_count, parser.head_size)


def test_a_body_of_unknown_length() -> None:
    assert read(GET, False).content_length == -1
    assert read(GET, True).content_length == 0


def test_expect() -> None:
    assert read([*GET, (b"expect", b"100-continue")], False).expect_continue
    assert not read([*GET, (b"expect", b"100-continue")], True).expect_continue
    with pytest.raises(HTTPError, match="417"):
        read([*GET, (b"expect", b"wonders")])


@pytest.mark.parametrize(
    "fields",
    [
        GET[1:],
        GET[:1] + GET[2:],
        GET[:3],
        [*GET, GET[0]],
        [*GET[1:], (b"a", b"b"), GET[0]],
        [*GET, (b":status", b"200")],
        [*GET, (b":protocol", b"websocket")],
        changed(b":path", b""),
        changed(b":path", b"a"),
        changed(b":path", b"*"),
        changed(b":path", b"/a b"),
        changed(b":path", b"/a\r\nb"),
        changed(b":method", b"G T"),
        [*GET, (b"Upper", b"a")],
        [*GET, (b"", b"a")],
        [*GET, (b"a b", b"a")],
        [*GET, (b"a:", b"a")],
        [*GET, (b"a", b"a\nb: c")],
        [*GET, (b"a", b"a\0")],
        [*GET, (b"a", b" a")],
        [*GET, (b"a", b"a\t")],
        [*GET, (b"host", b"other")],
        [*GET, (b"connection", b"close")],
        [*GET, (b"transfer-encoding", b"chunked")],
        [*GET, (b"upgrade", b"websocket")],
        [*GET, (b"keep-alive", b"1")],
        [*GET, (b"proxy-connection", b"1")],
        [*GET, (b"te", b"gzip")],
        [*GET, (b"content-length", b"1")],
        [*GET, (b"content-length", b"-0")],
        [*GET, (b"content-length", b"0"), (b"content-length", b"0")],
    ],
)
def test_malformed(fields: Fields) -> None:
    with pytest.raises(MalformedRequest):
        read(fields)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (changed(b":method", b"BREW"), "501"),
        (changed(b":method", b"CONNECT"), "501"),
        (changed(b":path", b"/a#b"), "400"),
        (changed(b":authority", b"a@b"), "400"),
        (changed(b":authority", b"a/b"), "400"),
        (GET[:2] + GET[3:], "400"),
        ([*GET[:2], GET[3], (b"host", b"a"), (b"host", b"a")], "400"),
        (changed(b":protocol", b"webtransport", CONNECT), "501"),
    ],
)
def test_refused(fields: Fields, status: str) -> None:
    with pytest.raises(HTTPError) as caught:
        read(fields, False)
    assert caught.value.status.startswith(status)


def test_te_trailers_and_host_may_be_there() -> None:
    environ = read([*GET, (b"te", b"trailers"), (b"host", b"example.org:80")]).environ
    assert environ["HTTP_HOST"] == "example.org:80"
    assert read([*GET[:2], GET[3], (b"host", b"a")]).environ["HTTP_HOST"] == "a"


def test_dots_in_a_path() -> None:
    environ = read(changed(b":path", b"/a/../b/./c?../d")).environ
    assert (environ["PATH_INFO"], environ["QUERY_STRING"], environ["REQUEST_URI"]) == ("/b/c", "../d", "/a/../b/./c?../d")


def test_options() -> None:
    head = read(changed(b":path", b"*", changed(b":method", b"OPTIONS")))
    assert head.environ["PATH_INFO"] == "*"


def test_too_large() -> None:
    with pytest.raises(HTTPError, match="431"):
        read([*GET, (b"a", bytes(1000).replace(b"\0", b"a"))], limit=1000)
    with pytest.raises(HTTPError, match="414"):
        read(changed(b":path", b"/" + b"a" * 1000), limit=1000)


def test_a_websocket_looks_like_one_of_http_1() -> None:
    fields: Fields = [*CONNECT, (b"origin", b"https://example.org"), (b"sec-websocket-version", b"13"), (b"sec-websocket-protocol", b"a")]
    head = read(fields, False)
    key = head.environ.pop("HTTP_SEC_WEBSOCKET_KEY")
    assert len(base64.b64decode(key)) == 16
    assert head.websocket
    assert head.content_length == 0
    expected: dict[str, Any] = {
        "SCRIPT_NAME": "",
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/chat",
        "PATH_INFO": "/chat",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/2.0",
        "HTTP_HOST": "example.org",
        "HTTP_ORIGIN": "https://example.org",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "HTTP_SEC_WEBSOCKET_PROTOCOL": "a",
    }
    assert head.environ == expected


def test_a_websocket_needs_a_stream() -> None:
    with pytest.raises(MalformedRequest):
        read(CONNECT, True)
