"""uwsgi packets: bytes in, an environ out. The bytes are those of nginx and of uWSGI's router, or what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geuwsgi.errors import HTTPError
from geuwsgi.protocol.uwsgi import PING, WSGI_WITH_SCRIPT_NAME, PacketParser, decode_vars, packet
from tests.protocol.packets import encode_vars
from tests.protocol.wire import cut

TEMPLATE = {
    "SCRIPT_NAME": "",
    "SERVER_NAME": "box",
    "SERVER_PORT": "3031",
    "REMOTE_ADDR": "192.0.2.9",
    "REMOTE_PORT": "4711",
    "wsgi.url_scheme": "http",
    "wsgi.multithread": False,
}

#: What nginx 1.22 sends with Debian's uwsgi_params.
NGINX = {
    "QUERY_STRING": "x=1",
    "REQUEST_METHOD": "GET",
    "CONTENT_TYPE": "",
    "CONTENT_LENGTH": "",
    "REQUEST_URI": "/a%20b?x=1",
    "PATH_INFO": "/a b",
    "DOCUMENT_ROOT": "/usr/share/nginx/html",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REQUEST_SCHEME": "http",
    "REMOTE_ADDR": "198.51.100.7",
    "REMOTE_PORT": "5000",
    "SERVER_PORT": "80",
    "SERVER_NAME": "",
    "HTTP_HOST": "example.org",
}


def parse(variables: dict[str, str], modifier1: int = 0, behind: bytes = b"") -> PacketParser:
    parser = PacketParser(TEMPLATE, 4096)
    assert parser.feed(packet(modifier1, encode_vars(variables)) + behind)
    return parser


def environ(**changes: Any) -> dict[str, Any]:
    """Of nginx's request with some variables changed, or left out (None)."""
    changed = {**NGINX, **changes}
    return parse({key: value for key, value in changed.items() if value is not None}).environ


def refused(data: bytes) -> HTTPError:
    with pytest.raises(HTTPError) as caught:
        PacketParser(TEMPLATE, 4096).feed(data)
    return caught.value


def test_the_bytes_of_a_packet() -> None:
    assert packet(0, encode_vars({"A": "bc"})) == b"\x00\x07\x00\x00\x01\x00A\x02\x00bc"
    assert packet(PING, modifier2=1) == b"d\x00\x00\x01"
    assert decode_vars(b"\x01\x00A\x02\x00bc\x02\x00DE\x00\x00") == {"A": "bc", "DE": ""}
    with pytest.raises(ValueError, match="no packet"):
        packet(0, bytes(65536))


def test_a_request() -> None:
    parser = parse(NGINX, behind=b"more")
    assert parser.environ == {
        **{key: value for key, value in NGINX.items() if key not in ("CONTENT_TYPE", "CONTENT_LENGTH")},
        "SCRIPT_NAME": "",
        "SERVER_NAME": "box",
        "wsgi.url_scheme": "http",
        "wsgi.multithread": False,
    }
    assert (parser.content_length, parser.keep_alive, parser.expect_continue, parser.http11, parser.started) == (
        0,
        False,
        False,
        True,
        False,
    )
    assert (parser.head_size, parser.header_count) == (len(encode_vars(NGINX)), len(NGINX))
    assert parser.has_unread
    assert parser.take_unread() == b"more"
    assert not parser.has_unread
    assert not parser.feed_unread()


def test_however_it_is_cut() -> None:
    data = packet(0, encode_vars(NGINX)) + b"body"
    for at in range(1, len(data) - 4):
        parser = PacketParser(TEMPLATE, 4096)
        assert not parser.feed(data[:at])
        assert parser.started
        assert parser.feed(data[at:])
        assert parser.environ == parse(NGINX).environ
        assert parser.take_unread() == b"body"


def test_a_body() -> None:
    assert parse({**NGINX, "CONTENT_LENGTH": "12"}).content_length == 12
    # What a front server has joined has a length, and its chunks are gone.
    assert parse({**NGINX, "CONTENT_LENGTH": "12", "HTTP_TRANSFER_ENCODING": "chunked"}).content_length == 12
    assert parse({**NGINX, "HTTP_TRANSFER_ENCODING": "Chunked"}).content_length == -1


@pytest.mark.parametrize(
    ("changes", "scheme"),
    [
        ({"HTTPS": "on"}, "https"),
        ({"HTTPS": "1"}, "https"),
        ({"HTTPS": "off"}, "http"),
        ({"HTTPS": ""}, "http"),
        ({"UWSGI_SCHEME": "https"}, "https"),
        ({"UWSGI_SCHEME": "http", "HTTPS": "on"}, "http"),
        ({"UWSGI_SCHEME": "javascript"}, "http"),
    ],
)
def test_the_scheme(changes: dict[str, str], scheme: str) -> None:
    assert environ(**changes)["wsgi.url_scheme"] == scheme


def test_nothing_of_the_server_is_replaced() -> None:
    found = environ(**{"wsgi.multithread": "yes", "wsgi.url_scheme": "ftp", "a.b": "c"})
    assert (found["wsgi.multithread"], found["wsgi.url_scheme"], found["a.b"]) == (False, "http", "c")


def test_the_address_of_the_client() -> None:
    assert "REMOTE_PORT" not in environ(REMOTE_PORT=None)
    alone = environ(REMOTE_ADDR=None, REMOTE_PORT=None)
    assert (alone["REMOTE_ADDR"], alone["REMOTE_PORT"]) == ("192.0.2.9", "4711")


def test_what_can_be_had_from_the_rest() -> None:
    found = environ(PATH_INFO=None, QUERY_STRING=None, REQUEST_URI="/x/%C3%A9?q", SCRIPT_NAME="/x")
    assert (found["PATH_INFO"], found["QUERY_STRING"]) == ("/\xc3\xa9", "q")
    found = environ(REQUEST_URI=None, SCRIPT_NAME="/x", PATH_INFO="/\xc3\xa9")
    assert found["REQUEST_URI"] == "/x/%C3%A9?x=1"
    found = parse({"REQUEST_METHOD": "GET"}).environ
    assert (found["REQUEST_URI"], found["PATH_INFO"], found["QUERY_STRING"], found["SERVER_PROTOCOL"]) == ("", "", "", "HTTP/1.0")
    assert not parse({"REQUEST_METHOD": "GET"}).http11
    assert parse({**NGINX, "SERVER_PROTOCOL": "HTTP/2.0"}).http11


@pytest.mark.parametrize(("path", "left"), [("/x/y", "/y"), ("/x", ""), ("/xy", "/xy"), ("/", "/")])
def test_the_script_name_that_is_to_be_taken_off(path: str, left: str) -> None:
    variables = {**NGINX, "SCRIPT_NAME": "/x", "PATH_INFO": path}
    assert parse(variables, WSGI_WITH_SCRIPT_NAME).environ["PATH_INFO"] == left
    assert parse(variables).environ["PATH_INFO"] == path


def test_names_that_come_twice() -> None:
    def pair(key: str, *values: str) -> bytes:
        return b"".join(encode_vars({key: value}) for value in values)

    block = encode_vars(NGINX) + pair("HTTP_A", "1", "2") + pair("HTTP_COOKIE", "a=b", "c=d") + pair("X", "1", "2") + pair("Y", "", "2")
    parser = PacketParser(TEMPLATE, 4096)
    assert parser.feed(packet(0, block))
    found = parser.environ
    assert (found["HTTP_A"], found["HTTP_COOKIE"], found["X"], found["Y"]) == ("1, 2", "a=b; c=d", "2", "2")
    assert "two different CONTENT_LENGTH" in refused(packet(0, encode_vars(NGINX) + pair("CONTENT_LENGTH", "1", "2"))).detail


def test_other_packets() -> None:
    parser = PacketParser(TEMPLATE, 4096)
    assert parser.feed(b"\xad\x03\x00\x02abcd")
    assert (parser.modifier1, parser.modifier2, parser.block, parser.take_unread()) == (173, 2, b"abc", b"d")
    parser = PacketParser(TEMPLATE, 4096)
    assert parser.feed(b"d\x00\x00\x00")
    assert (parser.modifier1, parser.block) == (PING, b"")


@pytest.mark.parametrize(
    ("data", "status", "detail"),
    [
        (b"\x00\x00\x00\x00", 400, "without variables"),
        (b"\x00\x01\x00\x00a", 400, "beyond the end"),
        (b"\x00\x03\x00\x00\x01\x00a", 400, "beyond the end"),
        (b"\x00\x06\x00\x00\x01\x00a\xff\xffb", 400, "beyond the end"),
        (b"\x00\x06\x00\x00\xff\xff\x01\x00ab", 400, "beyond the end"),
        (b"\x00\x06\x00\x00\x00\x00\x02\x00ab", 400, "without a name"),
        (b"\x00\x01\x10\x00", 431, "4097 bytes, more than 4096 (buffer-size)"),
        (b"GET / HTTP/1.1\r\n", 400, "an HTTP request"),
        (b"PRI * HTTP/2.0\r\n", 400, "an HTTP request"),
        (b"PROXY TCP4 ", 400, "a PROXY protocol header"),
        (b"\r\n\r\n\x00\r\nQUIT\n", 400, "a PROXY protocol header"),
        (b"\x16\x03\x01\x02\x00", 400, "a TLS handshake"),
        (packet(0, encode_vars({"A": "b"})), 400, "REQUEST_METHOD ''"),
        (packet(0, encode_vars({**NGINX, "REQUEST_METHOD": "GET /"})), 400, "REQUEST_METHOD 'GET /'"),
        (packet(0, encode_vars({**NGINX, "REQUEST_URI": "/a\nb"})), 400, "control characters"),
        (packet(0, encode_vars({**NGINX, "REMOTE_ADDR": "1\x7f"})), 400, "control characters"),
        (packet(0, encode_vars({"REQUEST_METHOD": "GET", "QUERY_STRING": "\n"})), 400, "control characters"),
        (packet(0, encode_vars({**NGINX, "HTTP_X_FORWARDED_FOR": "1.2.3.4\nline"})), 400, "control characters"),
        (packet(0, encode_vars({**NGINX, "CONTENT_LENGTH": "-1"})), 400, "CONTENT_LENGTH '-1'"),
        (packet(0, encode_vars({**NGINX, "CONTENT_LENGTH": "1 "})), 400, "CONTENT_LENGTH '1 '"),
        (packet(0, encode_vars({**NGINX, "CONTENT_LENGTH": "9" * 300})), 400, "CONTENT_LENGTH '9999"),
        (packet(0, encode_vars({**NGINX, "HTTP_TRANSFER_ENCODING": "gzip"})), 501, "transfer coding 'gzip'"),
    ],
)
def test_what_is_refused(data: bytes, status: int, detail: str) -> None:
    error = refused(data)
    assert int(error.status[:3]) == status
    assert detail in error.detail


@given(st.dictionaries(st.text(st.characters(max_codepoint=255), min_size=1), st.text(st.characters(max_codepoint=255))))
def test_there_and_back(variables: dict[str, str]) -> None:
    assert decode_vars(encode_vars(variables)) == variables


def outcome(data: bytes, cuts: list[int]) -> Any:
    parser = PacketParser(TEMPLATE, 200)
    done = False
    rest = b""
    try:
        for piece in cut(data, cuts):
            if done:
                rest += piece
            elif piece:
                done = parser.feed(piece)
    except HTTPError as error:
        return str(error)
    return done, parser.started, parser.modifier1, parser.modifier2, parser.block, parser.environ, parser.take_unread() + rest


@given(
    st.one_of(
        st.binary(max_size=64),
        st.builds(
            lambda block, modifier, rest: packet(modifier, block) + rest,
            st.one_of(st.binary(max_size=64), st.just(encode_vars({"REQUEST_METHOD": "GET", "HTTP_A": "b"}))),
            st.sampled_from((0, 0, 30, 100, 71)),
            st.binary(max_size=8),
        ),
    ),
    st.lists(st.integers(0, 70)),
)
def test_any_bytes_cut_anywhere(data: bytes, cuts: list[int]) -> None:
    whole = outcome(data, [])
    assert outcome(data, cuts) == whole
    if isinstance(whole, tuple) and whole[0] and whole[2] in (0, 30):
        found = whole[5]
        assert found["wsgi.multithread"] is False
        assert all(type(value) is str for key, value in found.items() if "." not in key)
