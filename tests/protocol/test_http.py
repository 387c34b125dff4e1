"""geuwsgi/protocol/http.py"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geuwsgi.errors import HTTPError
from geuwsgi.protocol import http
from geuwsgi.protocol.chunked import ChunkDecoder
from geuwsgi.protocol.http import RequestParser, environ_key

TEMPLATE = {"SCRIPT_NAME": "", "wsgi.version": (1, 0)}


def parser(limit: int = 4096) -> RequestParser:
    return RequestParser(TEMPLATE, limit)


def parse(head: bytes, limit: int = 4096) -> RequestParser:
    """A parser that has taken one whole head."""
    found = parser(limit)
    assert found.feed(head)
    return found


def get(line: bytes = b"GET / HTTP/1.1", *headers: bytes) -> bytes:
    return b"\r\n".join([line, b"Host: example.org", *headers, b"", b""])


# -- what a head becomes


def test_the_environ_of_a_simple_request() -> None:
    assert parse(b"GET /a%20b/%C3%A9?x=%20&y HTTP/1.1\r\nHost: example.org:80\r\nX-Real-IP: 10.0.0.1\r\n\r\n").environ == {
        "SCRIPT_NAME": "",
        "wsgi.version": (1, 0),
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/a%20b/%C3%A9?x=%20&y",
        "PATH_INFO": "/a b/\xc3\xa9",
        "QUERY_STRING": "x=%20&y",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "example.org:80",
        "HTTP_X_REAL_IP": "10.0.0.1",
    }


def test_the_template_is_not_touched() -> None:
    first = parse(get())
    first.environ["wsgi.version"] = None
    first.feed(get())
    assert first.environ["wsgi.version"] == (1, 0)


def test_content_headers_have_no_prefix() -> None:
    found = parse(get(b"POST / HTTP/1.1", b"Content-Type: text/plain", b"content-length: 3"))
    assert found.environ["CONTENT_TYPE"] == "text/plain"
    assert found.environ["CONTENT_LENGTH"] == "3"
    assert found.content_length == 3
    assert not any(key.startswith("HTTP_CONTENT") for key in found.environ)


def test_they_are_absent_when_not_sent() -> None:
    environ = parse(get()).environ
    assert "CONTENT_TYPE" not in environ
    assert "CONTENT_LENGTH" not in environ


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (b"Accept", "HTTP_ACCEPT"),
        (b"x-forwarded-for", "HTTP_X_FORWARDED_FOR"),
        (b"CONTENT-type", "CONTENT_TYPE"),
        (b"Content_Length", ""),
        (b"X_Real-IP", ""),
    ],
)
def test_keys(name: bytes, key: str) -> None:
    assert environ_key(name) == key


def test_a_name_with_an_underscore_cannot_pose_as_another() -> None:
    environ = parse(get(b"GET / HTTP/1.1", b"X_Real_IP: 6.6.6.6", b"X-Real-IP: 10.0.0.1", b"x-real_ip: 6.6.6.6")).environ
    assert environ["HTTP_X_REAL_IP"] == "10.0.0.1"


def test_repeated_headers_are_joined() -> None:
    environ = parse(get(b"GET / HTTP/1.1", b"Accept: a", b"accept: b", b"Cookie: a=1", b"Cookie: b=2")).environ
    assert environ["HTTP_ACCEPT"] == "a, b"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"


@pytest.mark.parametrize(("raw", "value"), [(b"  x y \t ", "x y"), (b"", ""), (b"\xe9\xff", "\xe9\xff"), (b"a\tb", "a\tb")])
def test_values(raw: bytes, value: str) -> None:
    assert parse(get(b"GET / HTTP/1.1", b"X:" + raw)).environ["HTTP_X"] == value


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", "/", ""),
        (b"//", "//", ""),
        (b"/a?b?c", "/a", "b?c"),
        (b"/?", "/", ""),
        (b"/%2e%2e/%2F%zz%4", "/..//%zz%4", ""),
        (b"/a;b=c", "/a;b=c", ""),
        (b"/a/../b", "/b", ""),
        (b"/../a/./b/..", "/a/", ""),
        (b"/..?a/../b", "/", "a/../b"),
        (b"//..//b", "//b", ""),
        (b"/a/.%2e/b/%2e./..%2fc", "/a/../b/../../c", ""),
        (b"/.a/..b/c../...", "/.a/..b/c../...", ""),
    ],
)
def test_targets(target: bytes, path: str, query: str) -> None:
    environ = parse(get(b"GET " + target + b" HTTP/1.1")).environ
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == (path, query)
    assert environ["REQUEST_URI"] == target.decode()


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://other:99/p?q", "/p", "q"),
        (b"http://other:99", "/", ""),
        (b"HTTPS://other:99?q", "/", "q"),
    ],
)
def test_an_absolute_target_replaces_the_host(target: bytes, path: str, query: str) -> None:
    # RFC 9112 section 3.2.2
    environ = parse(get(b"GET " + target + b" HTTP/1.1")).environ
    assert (environ["PATH_INFO"], environ["QUERY_STRING"], environ["HTTP_HOST"]) == (path, query, "other:99")


def test_the_asterisk() -> None:
    environ = parse(get(b"OPTIONS * HTTP/1.1")).environ
    assert (environ["PATH_INFO"], environ["REQUEST_METHOD"]) == ("*", "OPTIONS")


@pytest.mark.parametrize("host", [b"a", b"a:80", b"[::1]:8080", b"a.b-c_d:", b"", b"xn--4ca.example"])
def test_hosts(host: bytes) -> None:
    assert parse(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n").environ["HTTP_HOST"] == host.decode()


@pytest.mark.parametrize(
    ("line", "header", "keep_alive"),
    [
        (b"GET / HTTP/1.1", b"X: y", True),
        (b"GET / HTTP/1.1", b"Connection: close", False),
        (b"GET / HTTP/1.1", b"Connection: Foo, CLOSE", False),
        (b"GET / HTTP/1.0", b"X: y", False),
        (b"GET / HTTP/1.0", b"Connection: Keep-Alive", True),
    ],
)
def test_keep_alive(line: bytes, header: bytes, keep_alive: bool) -> None:
    found = parse(get(line, header))
    assert found.keep_alive is keep_alive
    assert found.http11 is line.endswith(b"1.1")


def test_http_10_needs_no_host() -> None:
    assert "HTTP_HOST" not in parse(b"GET / HTTP/1.0\r\n\r\n").environ


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((b"Expect: 100-continue", b"Content-Length: 3"), True),
        ((b"Expect: 100-Continue", b"Transfer-Encoding: chunked"), True),
        ((b"Expect: 100-continue",), False),
        ((b"Content-Length: 3",), False),
    ],
)
def test_expectations(headers: tuple[bytes, ...], expected: bool) -> None:
    assert parse(get(b"POST / HTTP/1.1", *headers)).expect_continue is expected


def test_sizes() -> None:
    head = get(b"GET / HTTP/1.1", b"A: b", b"C_D: e")
    found = parse(head)
    assert found.head_size == len(head)
    assert found.header_count == 3


# -- what stays unread


def test_pipelined_requests_wait() -> None:
    found = parse(get(b"GET /1 HTTP/1.1") + get(b"GET /2 HTTP/1.1") + get(b"GET /3 HTTP/1.1")[:-1])
    assert found.environ["PATH_INFO"] == "/1"
    assert found.feed_unread()
    assert found.environ["PATH_INFO"] == "/2"
    assert not found.feed_unread()
    assert not found.has_unread
    assert found.started
    assert found.feed(b"\nrest")
    assert found.environ["PATH_INFO"] == "/3"
    assert found.take_unread() == b"rest"
    assert found.take_unread() == b""


@pytest.mark.parametrize("upgrade", [(b"Connection: Upgrade", b"Upgrade: websocket"), ()])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_bytes_behind_a_handshake_stay_as_they_are(upgrade: tuple[bytes, ...], step: int) -> None:
    frames = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\r\n\r\n\x00"
    head = get(b"GET /ws HTTP/1.1", *upgrade, b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Sec-WebSocket-Version: 13")
    found = parser()
    stream = head + frames
    taken = 0
    for start in range(0, len(stream), step):
        taken = start + step
        if found.feed(stream[start:taken]):
            break
    assert found.take_unread() + stream[taken:] == frames
    assert found.content_length == 0


def test_an_upgrade_to_something_else_is_a_plain_request() -> None:
    found = parse(get(b"POST /a HTTP/1.1", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"Content-Length: 3") + b"abc")
    assert found.content_length == 3
    assert found.take_unread() == b"abc"
    assert found.feed(get(b"GET /b HTTP/1.1", b"Connection: Upgrade", b"Upgrade: h2c") + get(b"GET /c HTTP/1.1"))
    assert found.environ["PATH_INFO"] == "/b"
    assert found.feed_unread()
    assert found.environ["PATH_INFO"] == "/c"


def test_bodies_are_left_alone() -> None:
    found = parse(get(b"POST / HTTP/1.1", b"Content-Length: 5") + b"\r\n\r\nx" + get(b"GET /2 HTTP/1.1"))
    assert found.content_length == 5
    unread = found.take_unread()
    assert unread[:5] == b"\r\n\r\nx"
    found.put_back(unread[5:])
    assert found.feed_unread()
    assert found.environ["PATH_INFO"] == "/2"


def test_empty_lines_before_a_request_are_ignored() -> None:
    found = parse(b"\r\n\r\n" + get())
    assert found.take_unread() == b""
    assert not found.feed(b"\r")
    assert not found.started
    assert not found.feed(b"\n")
    assert found.feed(get(b"GET /2 HTTP/1.1"))


def test_but_not_for_ever() -> None:
    found = parser(100)
    for _ in range(50):
        found.feed(b"\r\n")
    with pytest.raises(HTTPError, match="empty lines"):
        found.feed(b"\r\n")


# -- what is refused

BAD = http.BAD_REQUEST


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", BAD),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", BAD),
        (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", BAD),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", BAD),
        (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", BAD),
        (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", BAD),
        (get(b"GET / HTTP/1.1", b"A : b"), BAD),
        (get(b"GET / HTTP/1.1", b"A: b", b" folded"), BAD),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", BAD),
        (b"GET / HTTP/1.1\nHost: a\n\n", BAD),
        (b"GET / HTTP/1.1\r\nHost: a\nB: c\r\n\r\n", BAD),
        (b"GET / HTTP/1.1\r\nHost: a\rB: c\r\n\r\n", BAD),
        (get(b"GET / HTTP/1.1", b"A: b\x00"), BAD),
        (get(b"GET / HTTP/1.1", b"A: \x7f"), BAD),
        (get(b"GET / HTTP/1.1", b": b"), BAD),
        (get(b"GET / HTTP/1.1", b"A"), BAD),
        (get(b"GET / HTTP/1.1", b"\xe9: b"), BAD),
        (get(b"GET /\xe9 HTTP/1.1"), BAD),
        (get(b"GET /a b HTTP/1.1"), BAD),
        (get(b"GET /a\x00 HTTP/1.1"), BAD),
        (get(b"GET /a#b HTTP/1.1"), BAD),
        (get(b"GET a HTTP/1.1"), BAD),
        (get(b"GET * HTTP/1.1"), BAD),
        (get(b"OPTIONS *?a HTTP/1.1"), BAD),
        (get(b"GET http:///a HTTP/1.1"), BAD),
        (get(b"GET http://u:p@a/ HTTP/1.1"), BAD),
        (get(b"GET ftp://a/ HTTP/1.1"), BAD),
        (b"GET http://a/ HTTP/1.1\r\n\r\n", BAD),
        (get(b"GET / HTTP/1.1 "), BAD),
        (get(b"GET / http/1.1"), BAD),
        (get(b"get / HTTP/1.1"), http.NOT_IMPLEMENTED),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", BAD),
        (b"SSH-2.0-OpenSSH_9.2\r\n", BAD),
        (get(b"POST / HTTP/1.1", b"Content-Length: 3", b"Content-Length: 3"), BAD),
        (get(b"POST / HTTP/1.1", b"Content-Length: 3", b"Content-Length: 4"), BAD),
        (get(b"POST / HTTP/1.1", b"Content-Length: 3, 3"), BAD),
        (get(b"POST / HTTP/1.1", b"Content-Length: +3"), BAD),
        (get(b"POST / HTTP/1.1", b"Content-Length: -3"), BAD),
        (get(b"POST / HTTP/1.1", b"Content-Length: 0x3"), BAD),
        (get(b"POST / HTTP/1.1", b"Content-Length: " + b"0" * 300 + b"3"), BAD),
        (get(b"POST / HTTP/1.1", b"Content-Length: "), BAD),
        (get(b"POST / HTTP/1.1", b"Content-Length: 3 3"), BAD),
        (get(b"POST / HTTP/1.1", b"Content-Length: " + b"9" * 30), BAD),
        (get(b"POST / HTTP/1.1", b"Content-Length: 3", b"Transfer-Encoding: chunked"), BAD),
        (get(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked", b"Content-Length: 3"), BAD),
        (get(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), BAD),
        (get(b"POST / HTTP/1.1", b"Transfer-Encoding: chunked, gzip"), BAD),
        (get(b"POST / HTTP/1.1", b"Transfer-Encoding: \x0bchunked"), BAD),
        (get(b"POST / HTTP/1.0", b"Transfer-Encoding: chunked"), BAD),
        (get(b"POST / HTTP/1.1", b"Transfer-Encoding: gzip, chunked"), http.NOT_IMPLEMENTED),
        (get(b"POST / HTTP/1.1", b"Transfer-Encoding: gzip"), http.NOT_IMPLEMENTED),
        (get(b"POST / HTTP/1.1", b"Transfer-Encoding: identity"), http.NOT_IMPLEMENTED),
        (get(b"POST / HTTP/1.1", b"Transfer-Encoding: xchunked"), http.NOT_IMPLEMENTED),
        (get(b"BREW / HTTP/1.1"), http.NOT_IMPLEMENTED),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", http.NOT_IMPLEMENTED),
        (b"DESCRIBE / RTSP/1.0\r\n\r\n", http.NOT_IMPLEMENTED),
        (get(b"POST / HTTP/1.1", b"Expect: 200-ok", b"Content-Length: 3"), http.EXPECTATION_FAILED),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", http.VERSION_NOT_SUPPORTED),
        (get(b"GET / HTTP/2.0"), http.VERSION_NOT_SUPPORTED),
        (get(b"GET / HTTP/1.2"), http.VERSION_NOT_SUPPORTED),
        (get(b"GET / HTTP/0.9"), http.VERSION_NOT_SUPPORTED),
        (b"GET /\r\n\r\n", http.VERSION_NOT_SUPPORTED),
        (b"CONNECT  \n\r\nHost: a\r\n", BAD),  # llhttp sees the end of a head of HTTP/0.9 here
    ],
)
@pytest.mark.parametrize("step", [1, 3, 100000])
def test_refused(head: bytes, status: str, step: int) -> None:
    found = parser()

    def feed() -> None:
        for start in range(0, len(head), step):
            found.feed(head[start : start + step])

    with pytest.raises(HTTPError) as caught:
        feed()
    if step >= 100 or status != http.NOT_IMPLEMENTED:
        assert caught.value.status == status
    else:
        # llhttp refuses an unknown method at the first wrong byte, before it is known to be one.
        assert caught.value.status in (status, BAD)


def test_garbage_is_refused_at_once() -> None:
    with pytest.raises(HTTPError):
        parser().feed(b"\x16")


@pytest.mark.parametrize("step", [1, 100, 100000])
@pytest.mark.parametrize(
    ("head", "status"),
    [
        (get(b"GET /" + b"a" * 300 + b" HTTP/1.1"), http.URI_TOO_LONG),
        (get(b"GET / HTTP/1.1", b"A: " + b"a" * 300), http.HEADERS_TOO_LARGE),
        (get(b"GET / HTTP/1.1", *[b"A: b"] * 60), http.HEADERS_TOO_LARGE),
        (b"GET /" + b"a" * 100000, http.URI_TOO_LONG),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000, http.HEADERS_TOO_LARGE),
    ],
    ids=["line", "header", "headers", "endless line", "endless headers"],
)
def test_too_large(head: bytes, status: str, step: int) -> None:
    found = parser(200)

    def feed() -> int:
        for start in range(0, len(head), step):
            found.feed(head[start : start + step])
        return len(head)

    with pytest.raises(HTTPError) as caught:
        feed()
    # A long line that comes with its headers in one piece is a large head like any other.
    assert caught.value.status in (status, http.HEADERS_TOO_LARGE)
    if step == 1:
        assert caught.value.status == status
        assert found.head_size <= 201


def test_a_head_of_exactly_the_limit() -> None:
    head = get(b"GET / HTTP/1.1", b"A: " + b"a" * 100)
    assert parse(head, len(head)).head_size == len(head)
    with pytest.raises(HTTPError):
        parse(head, len(head) - 1)


# -- cut anywhere

MESSAGES: list[tuple[bytes, bytes, bytes]] = [
    # head, body as sent, body as meant
    (get(b"GET /1?a=b HTTP/1.1", b"Cookie: a", b"Cookie: b"), b"", b""),
    (get(b"POST /2 HTTP/1.1", b"Content-Length: 9"), b"\r\n\r\nGET /", b"\r\n\r\nGET /"),
    (get(b"POST /3 HTTP/1.1", b"Transfer-Encoding: chunked"), b"4\r\n\r\n\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: u\r\n\r\n", b"\r\n\r\nabc"),
    (get(b"GET /4 HTTP/1.1", b"Connection: upgrade", b"Upgrade: foo"), b"", b""),
    (get(b"GET http://a/5%41 HTTP/1.1"), b"", b""),
    (get(b"PUT /6 HTTP/1.1", b"Content-Length: 0"), b"", b""),
]
STREAM = b"".join(head + body for head, body, _ in MESSAGES)


def serve(pieces: list[bytes]) -> list[tuple[dict[str, Any], bytes]]:
    """Requests and their bodies, read as the server reads them."""
    found = parser()
    requests: list[tuple[dict[str, Any], bytes]] = []
    waiting = list(pieces)
    more = found.feed_unread()
    while True:
        while not more:
            if not waiting:
                return requests
            more = found.feed(waiting.pop(0))
        environ, left = found.environ, found.content_length
        body = b""
        decoder = ChunkDecoder(100) if left < 0 else None
        while left > 0 or (decoder is not None and not decoder.done):
            data = found.take_unread() or waiting.pop(0)
            if decoder is not None:
                chunks, rest = decoder.feed(data)
                body += b"".join(chunks)
                found.put_back(rest)
            else:
                body += data[:left]
                found.put_back(data[left:])
                left -= len(data[:left])
        requests.append((environ, body))
        more = found.feed_unread()


WHOLE = serve([STREAM])


def test_the_whole_stream() -> None:
    assert [environ["PATH_INFO"] for environ, _ in WHOLE] == ["/1", "/2", "/3", "/4", "/5A", "/6"]
    assert [body for _, body in WHOLE] == [meant for _, _, meant in MESSAGES]


@given(st.sets(st.integers(1, len(STREAM) - 1), max_size=12))
def test_cut_anywhere(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert serve([STREAM[a:b] for a, b in zip(edges, edges[1:])]) == WHOLE


@pytest.mark.parametrize("step", range(1, 12))
def test_cut_regularly(step: int) -> None:
    assert serve([STREAM[i : i + step] for i in range(0, len(STREAM), step)]) == WHOLE


@settings(max_examples=300)
@given(st.binary(min_size=1, max_size=200), st.integers(1, 50))
def test_nonsense_never_breaks_the_parser(data: bytes, step: int) -> None:
    found = parser(100)
    try:
        for start in range(0, len(data), step):
            if found.feed(data[start : start + step]):
                return
    except HTTPError as error:
        assert error.status[:1] in "45"  # noqa: PT017


def test_the_cache_of_keys_is_bounded() -> None:
    found = parser(1 << 20)
    for first in range(0, 5000, 50):
        assert found.feed(get(b"GET / HTTP/1.1", *[b"X-%d: y" % number for number in range(first, first + 50)]))
        assert found.environ[f"HTTP_X_{first + 49}"] == "y"
    assert len(http._keys) <= http._MAX_CACHED_KEYS
