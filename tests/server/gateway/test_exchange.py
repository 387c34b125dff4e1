"""One request through the front, byte by byte."""

from __future__ import annotations

from typing import Any

import gevent
import gevent.event
import pytest

from geuwsgi.server.gateway.link import BackendError, Link
from tests.server.serving import wait_for

from .fronting import Backends, Peer, fronting

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
KEY = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")


def http(text: bytes) -> Any:
    """A handler that answers every request of a connection with the same bytes, and closes."""

    def handle(peer: Peer) -> None:
        peer.head()
        peer.send(text)

    return handle


@pytest.mark.parametrize("application", [False, True], ids=["front", "application"])
def test_uwsgi_request(backends: Backends, application: bool) -> None:
    seen: list[Any] = []

    def handle(peer: Peer) -> None:
        seen.append(peer.variables())
        peer.send(OK + b"\r\nhello")

    backend = backends(handle)
    with fronting(backend.address + ",7,1", application=application) as front:
        answer = front.ask(
            "/a%20b?x=1", "GET", "X-Real-Ip: 1.2.3.4", "X-Forwarded-For: 9.9.9.9", "Connection: keep-alive, TE", "TE: trailers"
        )
    assert (answer.code, answer.body) == (200, b"hello")
    ((modifier1, variables, modifier2),) = seen
    assert (modifier1, modifier2) == (7, 1)
    assert variables["PATH_INFO"] == "/a b"
    assert variables["REQUEST_URI"] == "/a%20b?x=1"
    assert variables["QUERY_STRING"] == "x=1"
    assert variables["HTTP_X_REAL_IP"] == "1.2.3.4"
    assert variables["REMOTE_ADDR"] == "9.9.9.9"  # which a proxy on this machine has told
    assert variables["UWSGI_ROUTER"] == "http"
    assert "HTTP_TE" not in variables
    assert "geuwsgi.peer" not in variables
    assert "CONTENT_LENGTH" not in variables


def test_http_request(backends: Backends) -> None:
    seen: list[bytes] = []

    def handle(peer: Peer) -> None:
        seen.append(peer.head())
        peer.send(OK + b"Content-Length: 2\r\n\r\nok")

    with fronting("http://" + backends(handle).address) as front:
        assert front.ask("/a%20b?x=1", "GET", "X-Real-Ip: 1.2.3.4", "X-Forwarded-For: 9.9.9.9", "Expect: 100-continue").body == b"ok"
    (head,) = seen
    assert head == (
        b"GET /a%20b?x=1 HTTP/1.1\r\nHost: test\r\nX-Forwarded-Proto: http\r\nX-Forwarded-For: 9.9.9.9, 127.0.0.1\r\n"
        b"X-Real-Ip: 1.2.3.4\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("fields", "more"),
    [
        # RFC 9110 section 7.6.1: what is said to be for this connection only is not handed on.
        ("Connection: close, X-Own, cookie\r\nX-Own: 1\r\nCookie: a=b\r\nX-Other: 2", b"X-Other: 2\r\n"),
        # But nobody gets rid of what proxies have said of him, nor of the length of his body.
        ("Connection: X-Forwarded-For, Content-Length, Host\r\nContent-Length: 2", b"Content-Length: 2\r\n"),
        ("Connection: upgrade\r\nUpgrade: x", b"Upgrade: x\r\nConnection: Upgrade\r\n"),
        ("Connection: not-upgrade\r\nUpgrade: x", b""),
    ],
)
def test_fields_of_one_connection(backends: Backends, fields: str, more: bytes) -> None:
    seen: list[bytes] = []

    def handle(peer: Peer) -> None:
        seen.append(peer.head())
        peer.send(OK + b"Content-Length: 2\r\n\r\nok")

    with fronting("http://" + backends(handle).address) as front:
        client = front.connect()
        client.send(f"GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 9.9.9.9\r\n{fields}\r\n\r\nhi".encode())
        assert client.answer().body == b"ok"
    (head,) = seen
    assert head == (b"GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-Proto: http\r\nX-Forwarded-For: 9.9.9.9, 127.0.0.1\r\n" + more + b"\r\n")


@pytest.mark.parametrize(
    ("response", "head", "body"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", {"content-length": "5"}, b"hello"),
        (OK + b"Content-Length: 5\r\n\r\nhello and more", {"content-length": "5"}, b"hello"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\n", {"content-length": "5"}, b"hello"),
        (OK + b"Connection: close, X-Own\r\nX-Own: 1\r\nKeep-Alive: 5\r\nContent-Length: 0\r\n\r\n", {"content-length": "0"}, b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx", {"content-length": "1"}, b"x"),
    ],
)
def test_response(backends: Backends, response: bytes, head: dict[str, str], body: bytes) -> None:
    with fronting("http://" + backends(http(response)).address) as front:
        client = front.connect()
        for _ in range(2):  # the client's connection lives on, whatever the backend does with its own
            answer = client.ask()
            assert (answer.code, answer.body) == (200, body)
            answer.headers.pop("date")
            assert answer.headers == {"content-type": "text/plain", **head}


@pytest.mark.parametrize(
    "response",
    [
        OK + b"Content-Length: 5\r\n\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3;x\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"\r\nhello",
    ],
)
def test_response_in_drips(backends: Backends, response: bytes) -> None:
    def handle(peer: Peer) -> None:
        peer.head()
        for byte in response:
            peer.send(bytes((byte,)))
            gevent.sleep(0.0005)

    with fronting("http://" + backends(handle).address) as front:
        assert front.ask().body == b"hello"


def test_response_that_ends_with_the_connection(backends: Backends) -> None:
    with fronting("http://" + backends(http(OK + b"\r\nhello")).address) as front:
        client = front.connect()
        assert client.ask().body == b"hello"
        assert client.ask().body == b"hello"
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.rest().endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("code", [b"204 No Content", b"304 Not Modified"])
def test_response_without_a_body(backends: Backends, code: bytes) -> None:
    with fronting("http://" + backends(http(b"HTTP/1.1 " + code + b'\r\nETag: "x"\r\n\r\n')).address) as front:
        client = front.connect()
        assert client.ask().body == b""
        assert client.ask().headers["etag"] == '"x"'


def test_head(backends: Backends) -> None:
    with fronting("http://" + backends(http(OK + b"Content-Length: 5\r\n\r\n")).address) as front:
        client = front.connect()
        assert client.ask("/", "HEAD").headers["content-length"] == "5"
        assert client.ask("/", "HEAD").code == 200


@pytest.mark.parametrize(
    ("method", "said", "connections"),
    [
        ("HEAD", OK + b"Content-Length: 5\r\n\r\n", 2),
        ("HEAD", OK + b"Transfer-Encoding: chunked\r\n\r\n", 2),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 2),
        ("HEAD", OK + b"Content-Length: 0\r\n\r\n", 1),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 1),
    ],
)
def test_body_that_may_come_where_none_belongs(backends: Backends, method: str, said: bytes, connections: int) -> None:
    """There are backends that send one, and whoever comes next would take it for his answer."""

    def handle(peer: Peer) -> None:
        while peer.more():
            target = peer.head().split()[1]
            peer.send(said if target == b"/first" else OK + b"Content-Length: 2\r\n\r\nok")

    backend = backends(handle)
    with fronting("http://" + backend.address) as front:
        client = front.connect()
        client.ask("/first", method)
        assert client.ask("/second").body == b"ok"
    assert backend.connections == connections


def test_early_hints(backends: Backends) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    with fronting("http://" + backends(http(hints + OK + b"Content-Length: 0\r\n\r\n")).address) as front:
        client = front.connect()
        assert client.ask().status == "HTTP/1.1 103 Early Hints"
        assert client.answer().code == 200


def test_connection_is_kept(backends: Backends) -> None:
    def handle(peer: Peer) -> None:
        for _ in range(3):
            if not peer.more():
                return
            peer.head()
            peer.send(OK + b"Content-Length: 2\r\n\r\nok")

    backend = backends(handle)
    with fronting("http://" + backend.address) as front:
        client = front.connect()
        for _ in range(4):  # the fourth finds the kept connection closed
            assert client.ask().body == b"ok"
    assert backend.connections == 2


@pytest.mark.parametrize("size", [5, 200_000])
@pytest.mark.parametrize("scheme", ["", "http://"])
def test_body(backends: Backends, scheme: str, size: int) -> None:
    def handle(peer: Peer) -> None:
        if scheme:
            assert b"Content-Length: %d\r\n" % size in peer.head()
        else:
            assert peer.variables()[1]["CONTENT_LENGTH"] == str(size)
        peer.send(OK + b"\r\n%d" % len(peer.take(size)))

    with fronting(scheme + backends(handle).address) as front:
        assert front.ask("/", "POST", body=b"x" * size).body == b"%d" % size


@pytest.mark.parametrize("how", ["http", "collected", "chunks"])
def test_chunked_body(backends: Backends, how: str) -> None:
    def handle(peer: Peer) -> None:
        if how == "http":
            assert b"Transfer-Encoding: chunked\r\n" in peer.head()
        elif how == "chunks":
            variables = peer.variables()[1]
            assert variables["HTTP_TRANSFER_ENCODING"] == "chunked"
            assert "CONTENT_LENGTH" not in variables
        else:
            assert peer.variables()[1]["CONTENT_LENGTH"] == "11"
            assert peer.take(11) == b"hello world"
        if how != "collected":
            while not peer.buffer.endswith(b"0\r\n\r\n"):
                peer.more()
            found = peer.take(len(peer.buffer))
            assert found.replace(b"5\r\n", b"").replace(b"6\r\n", b"").replace(b"b\r\n", b"").replace(b"\r\n", b"") == b"hello world0"
        peer.send(OK + b"\r\nthanks")

    with fronting(("http://" if how == "http" else "") + backends(handle).address, chunked_input=how == "chunks") as front:
        client = front.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        client.send(b"6\r\n world\r\n0\r\n\r\n")
        assert client.answer().body == b"thanks"
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
        assert client.answer().body == b"thanks"


def test_answer_before_the_end_of_the_body(backends: Backends) -> None:
    """Both directions at once: the backend sends back what it has got so far."""

    def handle(peer: Peer) -> None:
        peer.variables()
        peer.send(OK + b"Content-Length: 10\r\n\r\n" + peer.take(5))
        peer.send(peer.take(5))

    with fronting(backends(handle).address) as front:
        client = front.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello")
        assert client.until(b"hello").endswith(b"\r\n\r\nhello")
        client.send(b"world")
        assert client.exactly(5) == b"world"


def test_connection_on_which_a_request_was_cut_short_is_not_kept(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next request would be read as the rest of this one."""
    cut = gevent.event.Event()
    send = Link.send

    def send_less(link: Link, data: Any) -> None:
        if data == b"world":
            cut.set()
            raise BackendError("the backend has taken nothing for a while")
        send(link, data)

    def handle(peer: Peer) -> None:
        posted = peer.head().startswith(b"POST")
        if posted:
            peer.take(5)
            cut.wait(20)
        peer.send(OK + b"Content-Length: 2\r\n\r\nok")
        if posted:
            assert peer.rest() == b""

    monkeypatch.setattr(Link, "send", send_less)
    backend = backends(handle)
    with fronting("http://" + backend.address) as front:
        client = front.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello")
        wait_for(lambda: backend.connections == 1)
        client.send(b"world")
        assert client.answer().body == b"ok"
        assert front.ask("/next").body == b"ok"
    assert backend.connections == 2


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_websocket(backends: Backends, scheme: str) -> None:
    def handle(peer: Peer) -> None:
        if scheme:
            head = peer.head()
            assert b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" in head
            assert b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" in head
        else:
            assert peer.variables()[1]["HTTP_SEC_WEBSOCKET_KEY"] == "dGhlIHNhbXBsZSBub25jZQ=="
        peer.send(b"HTTP/1.1 101 Switching\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: chat\r\n\r\nearly")
        assert peer.take(9) == b"too early"
        peer.send(b"x" * 300_000)
        assert peer.take(300_000) == b"y" * 300_000
        peer.send(b"\x88\x00")

    with fronting(scheme + backends(handle).address) as front:
        client = front.connect()
        client.send("\r\n".join(["GET / HTTP/1.1", "Host: test", *KEY, "", "too early"]).encode())
        assert client.until(b"\r\n\r\n") == (
            b"HTTP/1.1 101 Switching\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
        )
        assert client.exactly(300_005) == b"early" + b"x" * 300_000
        client.send(b"y" * 300_000)
        assert client.rest() == b"\x88\x00"


def test_raw_body(backends: Backends) -> None:
    def handle(peer: Peer) -> None:
        peer.variables()
        assert peer.take(8) == b"anything"
        peer.send(b"HTTP/1.0 200 OK\r\n\r\n")
        peer.send(b"got " + peer.take(4))

    with fronting(backends(handle).address, raw_body=True) as front:
        client = front.connect()
        client.send(b"PUT /stream HTTP/1.1\r\nHost: test\r\n\r\nanything")
        client.until(b"\r\n\r\n")
        client.send(b"more")
        assert client.rest() == b"got more"
