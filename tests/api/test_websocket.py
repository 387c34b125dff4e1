"""geuwsgi/api/websocket.py: uWSGI's names, types and error texts"""

from __future__ import annotations

from typing import Any, Callable

import gevent
import pytest

from geuwsgi.api import websocket as uwsgi
from geuwsgi.server.request import find_request
from tests.conformance.client import Event, RawClient
from tests.protocol.wire import BINARY, PING, TEXT, close_frame, frame
from tests.server.serving import serving

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
END = Event("end")


def talked(talk: Callable[[dict[str, Any]], Any], data: bytes = b"", events: int = 0, **changes: Any) -> list[Event]:
    """Serve one websocket with `talk(environ)`; what the client, which sends `data`, sees: so many events, 0 for all to the end."""
    failures: list[BaseException] = []

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        try:
            talk(environ)
        except AssertionError as error:
            failures.append(error)
        return []

    with serving(application) as server:
        client = RawClient(server.connect().sock, 20)
        client.handshake(key=KEY, **changes)
        client.send(data)
        seen: list[Event] = []
        while len(seen) < events or (not events and seen[-1:] != [END]):
            seen.append(client.event())
            if seen[-1].kind == "close":
                client.send(close_frame(1000))
        client.sock.close()
    if failures:
        raise failures[0]
    return seen


def closed(code: int, reason: bytes = b"") -> list[Event]:
    return [Event("close", reason, code), END]


# -- receiving


def test_messages_are_bytes() -> None:
    got: list[Any] = []

    def talk(environ: Any) -> None:
        uwsgi.websocket_handshake(environ["HTTP_SEC_WEBSOCKET_KEY"], environ.get("HTTP_ORIGIN", ""))
        assert uwsgi.websocket_opcode() == 0
        got.append(uwsgi.websocket_recv())
        got.append(uwsgi.websocket_opcode())
        got.append(uwsgi.websocket_recv_nb())
        got.append(uwsgi.websocket_opcode())
        got.append(uwsgi.websocket_recv_nb())
        got.append(uwsgi.websocket_opcode())

    assert talked(talk, frame(TEXT, "h\u00e9".encode()) + frame(BINARY, b"\xff")) == closed(1000)
    assert got == [b"h\xc3\xa9", 1, b"\xff", 2, b"", 2]
    assert type(got[0]) is bytes


def test_the_end_is_an_os_error_that_knows_why() -> None:
    errors: list[Any] = []

    def talk(environ: Any) -> None:
        uwsgi.websocket_handshake()
        for call in (uwsgi.websocket_recv, uwsgi.websocket_recv_nb, lambda: uwsgi.websocket_send("x")):
            with pytest.raises(OSError) as caught:
                call()
            errors.append(caught.value)

    assert talked(talk, close_frame(3001, b"enough")) == closed(3001, b"enough")
    assert [str(error) for error in errors] == ["unable to receive websocket message"] * 2 + ["unable to send websocket message"]
    assert {(error.code, error.reason) for error in errors} == {(3001, "enough")}
    assert {error.__cause__.code for error in errors} == {3001}


# -- sending


def test_what_kind_of_message_is_sent() -> None:
    def talk(environ: Any) -> None:
        uwsgi.websocket_handshake()
        assert uwsgi.websocket_send("h\u00e9") is None  # type: ignore[func-returns-value]
        uwsgi.websocket_send(b"h\xc3\xa9")
        uwsgi.websocket_send(b"\xff not UTF-8")
        uwsgi.websocket_send(message="by name")
        assert uwsgi.websocket_send_binary(b"h") is None  # type: ignore[func-returns-value]
        uwsgi.websocket_send_binary("h\u00e9")
        uwsgi.websocket_send_binary(message=b"by name")
        uwsgi.websocket_send("")
        uwsgi.websocket_send_binary(b"")

    assert talked(talk) == [
        Event("text", b"h\xc3\xa9"),
        Event("text", b"h\xc3\xa9"),
        Event("binary", b"\xff not UTF-8"),
        Event("text", b"by name"),
        Event("binary", b"h"),
        Event("binary", b"h\xc3\xa9"),
        Event("binary", b"by name"),
        Event("text", b""),
        Event("binary", b""),
        *closed(1000),
    ]


@pytest.mark.parametrize("message", [bytearray(b"x"), memoryview(b"x"), None, 1, ["x"]])
def test_what_cannot_be_sent(message: Any) -> None:
    def talk(environ: Any) -> None:
        uwsgi.websocket_handshake()
        for send in (uwsgi.websocket_send, uwsgi.websocket_send_binary):
            with pytest.raises(TypeError):
                send(message)
        uwsgi.websocket_send("still open")

    assert talked(talk) == [Event("text", b"still open"), *closed(1000)]


# -- closing


def test_closing() -> None:
    def talk(environ: Any) -> None:
        uwsgi.websocket_handshake()
        assert uwsgi.websocket_close(4001, "bye") is None  # type: ignore[func-returns-value]
        uwsgi.websocket_close(1000)
        with pytest.raises(OSError) as caught:
            uwsgi.websocket_recv()
        assert (caught.value.code, caught.value.reason) == (4001, "bye")  # type: ignore[attr-defined]

    assert talked(talk) == closed(4001, b"bye")


def test_a_close_code_that_is_no_number() -> None:
    with pytest.raises(TypeError, match=r"^the close code must be an int, not str$"):
        uwsgi.websocket_close("1000")


def test_closing_with_nothing_said() -> None:
    def talk(environ: Any) -> None:
        uwsgi.websocket_handshake()
        uwsgi.websocket_close()

    assert talked(talk) == closed(1000)


def test_a_reason_in_bytes_or_too_long() -> None:
    def talk(environ: Any) -> None:
        uwsgi.websocket_handshake()
        uwsgi.websocket_close(reason=b"h\xc3\xa9" * 60)

    assert talked(talk) == closed(1000, b"h\xc3\xa9" * 41)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, -1])
def test_codes_that_may_not_be_sent(code: int) -> None:
    def talk(environ: Any) -> None:
        uwsgi.websocket_handshake()
        with pytest.raises(ValueError, match="close code"):
            uwsgi.websocket_close(code)

    assert talked(talk) == closed(1000)


# -- the handshake


def test_twice() -> None:
    def talk(environ: Any) -> None:
        uwsgi.websocket_handshake()
        with pytest.raises(OSError, match=r"^unable to complete websocket handshake$"):
            uwsgi.websocket_handshake()
        uwsgi.websocket_send("still open")

    assert talked(talk) == [Event("text", b"still open"), *closed(1000)]


@pytest.mark.parametrize("kind", [str, str.encode])
def test_arguments_as_text_or_bytes(kind: Callable[[str], Any]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        uwsgi.websocket_handshake(kind(KEY), kind("http://here"), kind("chat"))
        return []

    with serving(application) as server:
        client = RawClient(server.connect().sock, 20)
        response = client.handshake(key=KEY, sec_websocket_protocol="other, chat")
        assert response.get("sec-websocket-origin") == "http://here"
        assert response.get("sec-websocket-protocol") == "chat"


def test_without_a_handshake() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        for call, text in (
            (uwsgi.websocket_recv, "receive"),
            (uwsgi.websocket_recv_nb, "receive"),
            (lambda: uwsgi.websocket_send("x"), "send"),
            (lambda: uwsgi.websocket_send_binary("x"), "send"),
        ):
            with pytest.raises(OSError, match=f"^unable to {text} websocket message$"):
                call()
        for call in (uwsgi.websocket_opcode, uwsgi.websocket_close):
            with pytest.raises(OSError, match="not a websocket"):
                call()
        with pytest.raises(OSError, match=r"^unable to complete websocket handshake$"):
            uwsgi.websocket_handshake()
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with serving(application) as server:
        assert server.ask("/").body == b"ok"


def test_what_asks_for_no_websocket(capfd: pytest.CaptureFixture[str]) -> None:
    """It is the client's doing: a status that says what is wanted, and no traceback."""

    def application(environ: Any, start_response: Any) -> Any:
        uwsgi.websocket_handshake()

    with serving(application) as server:
        client = server.connect()
        for _ in range(2):
            answer = client.ask("/chat")
            assert (answer.code, answer.headers["upgrade"], answer.headers["sec-websocket-version"]) == (426, "websocket", "13")
    said = [line for line in capfd.readouterr().err.splitlines() if "=> generated" not in line]
    assert said == ["127.0.0.1: GET /chat: 426 Upgrade Required: no Sec-WebSocket-Key"] * 2


# -- whose websocket it is


def test_greenlets_that_the_application_spawned() -> None:
    def talk(environ: Any) -> None:
        uwsgi.websocket_handshake()

        def grandchild() -> None:
            uwsgi.websocket_send(b"grandchild: " + uwsgi.websocket_recv())

        def child() -> None:
            uwsgi.websocket_send("child")
            gevent.spawn(grandchild).join()

        gevent.spawn(child).join()

    assert talked(talk, frame(TEXT, b"hello")) == [Event("text", b"child"), Event("text", b"grandchild: hello"), *closed(1000)]


def test_a_context_wins_over_the_greenlet() -> None:
    contexts: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        uwsgi.websocket_handshake(request_context=find_request())
        contexts.append(find_request())
        if len(contexts) == 1:
            assert uwsgi.websocket_recv() == b"go"
        else:
            first = contexts[0]
            uwsgi.websocket_send("from the second", request_context=first)
            uwsgi.websocket_send_binary(b"from the second", request_context=first)
            assert uwsgi.websocket_opcode(first) == 0
            uwsgi.websocket_close(4000, "by the second", first)
        return []

    with serving(application) as server:
        clients = [RawClient(server.connect().sock, 20) for _ in range(2)]
        for client in clients:
            client.handshake()
        assert [clients[0].event() for _ in range(3)] == [
            Event("text", b"from the second"),
            Event("binary", b"from the second"),
            Event("close", b"by the second", 4000),
        ]
        assert clients[1].event() == Event("close", b"", 1000)


def test_a_context_from_outside_any_request() -> None:
    contexts: list[Any] = []

    def talk(environ: Any) -> None:
        uwsgi.websocket_handshake()
        contexts.append(find_request())
        with pytest.raises(OSError):
            uwsgi.websocket_recv()

    def application(environ: Any, start_response: Any) -> Any:
        talk(environ)
        return []

    with serving(application) as server:
        client = RawClient(server.connect().sock, 20)
        client.handshake()
        client.send(frame(PING))
        assert client.event() == Event("pong")
        uwsgi.websocket_send("from outside", request_context=contexts[0])
        assert client.event() == Event("text", b"from outside")
        client.send(close_frame(1000))
        assert [client.event(), client.event()] == closed(1000)
        gevent.sleep(0.01)
        for call in (uwsgi.websocket_recv, uwsgi.websocket_recv_nb, lambda context: uwsgi.websocket_send("x", context)):
            with pytest.raises(OSError):
                call(contexts[0])


def test_outside_any_request() -> None:
    for call in (uwsgi.websocket_recv, uwsgi.websocket_recv_nb, lambda: uwsgi.websocket_send("x"), uwsgi.websocket_handshake):
        with pytest.raises(SystemError, match="you can call uwsgi api function only from the main callable"):
            call()


def test_a_context_that_is_none() -> None:
    with pytest.raises(TypeError):
        uwsgi.websocket_recv(request_context="x")


# -- every way to wait, in a real process with everything patched


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("way", ["select", "poll", "selectors", "wait_fd_read", "asyncio"])
def test_waiting_on_the_descriptor(shared_server: Callable[..., Any], way: str, moment: str) -> None:
    import socket

    server = shared_server("descriptor.py", "--http-websockets", "--websockets-ping-freq", "0.05", "--disable-logging")
    with RawClient(socket.create_connection(("127.0.0.1", server.port), 10)) as client:
        client.handshake(f"/{way}/{moment}")
        for _ in range(3):
            # The application is waiting meanwhile; neither the ping nor its pong may wake it.
            assert client.event() == Event("ping")
            client.send(frame(0xA))
        for number in range(20):
            payload = b"%d" % number
            client.send(frame(PING, payload) + frame(TEXT, payload))
            came = []
            while len(came) < 2:
                event = client.event()
                if event.kind == "ping":
                    client.send(frame(0xA, event.payload or b""))
                else:
                    came.append(event)
            assert Event("pong", payload) in came
            # 0: no event has brought nothing, pings and pongs included.
            assert Event("text", payload + b" 0") in came
        client.send(close_frame(1000))
        event = client.event()
        while event.kind == "ping":
            event = client.event()
        assert [event, client.event()] == closed(1000)
