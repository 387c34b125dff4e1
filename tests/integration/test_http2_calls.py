"""The calls of the `uwsgi` module in requests of HTTP/2, by a client that sees every frame."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.conformance.client import RawClient
from tests.harness.h2socket import H2Socket
from tests.harness.programs import APPS
from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until
from tests.server.http2client import H2Client

SOURCE = (APPS / "http2_calls.py").read_bytes()


@pytest.fixture(scope="module", params=["greenlets", "threads"])
def running(request: pytest.FixtureRequest, shared_server: Callable[..., Geuwsgi]) -> Geuwsgi:
    return shared_server("http2_calls.py", *(("--threads", "4") if request.param == "threads" else ()))


@pytest.fixture
def client(running: Geuwsgi) -> Iterator[H2Client]:
    found = H2Client(("127.0.0.1", running.port))
    yield found
    found.close()


@pytest.mark.parametrize("path", ["/sendfile", "/offload"])
def test_files(client: H2Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status, answer.body, answer.ended) == (200, SOURCE, True)


def test_a_response_by_hand(client: H2Client) -> None:
    answer = client.get("/send")
    assert (answer.status, answer.headers["x-raw"], answer.body) == (201, "yes", b"raw body")
    assert "transfer-encoding" not in answer.headers


def test_chunks(client: H2Client) -> None:
    number = client.ask("/chunks", "POST", end=False)
    for piece in (b"one ", b"two ", b"three"):
        client.send(number, piece)
    client.h2.end_stream(number)
    client.flush()
    assert client.answer(number).body == b"one two three"


def test_recv(client: H2Client) -> None:
    number = client.ask("/recv", "POST", end=False)
    client.send(number, b"as it comes", end=True)
    assert client.answer(number).body == b"as it comes"


def test_disconnect(client: H2Client) -> None:
    whole = client.get("/disconnect")
    assert (whole.body, whole.ended, whole.reset) == (b"over", True, None)
    cut = client.get("/cut")
    assert (cut.body, cut.ended, cut.reset) == (b"half", False, 8)
    assert b"('disconnected', True)" in client.get("/seen").body


def test_is_connected(client: H2Client) -> None:
    number = client.ask("/connected")
    client.until(lambda: client.answers[number].body == b"waiting")
    client.h2.reset_stream(number, 8)
    client.flush()
    wait_until(lambda: b"('left', True)" in client.get("/seen").body, 20, "the application to notice")


@pytest.mark.parametrize(("path", "body"), [("/suspend", b"woken"), ("/logvar", b"me"), ("/", b"True True")])
def test_the_rest(client: H2Client, path: str, body: bytes) -> None:
    assert client.get(path).body == body


def test_harakiri_ends_a_stream_and_not_the_connection(server: Callable[..., Geuwsgi], tmp_path: Path) -> None:
    app = tmp_path / "slow.py"
    app.write_text(
        "import time\n"
        "def application(env, start_response):\n"
        "    time.sleep(30 if env['PATH_INFO'] == '/slow' else 0)\n"
        "    start_response('200 OK', [])\n"
        "    return [b'quick']\n"
    )
    options = ("--wsgi-file", str(app), "--harakiri", "1")
    started = server(None, *options, expect_log=["HARAKIRI", "Harakiri", "Traceback", "the application raised", "File "])
    client = H2Client(("127.0.0.1", started.port))
    slow = client.ask("/slow")
    assert client.get("/quick").body == b"quick"
    assert client.answer(slow).status == 500
    assert client.get("/quick").body == b"quick"
    client.close()


@pytest.mark.parametrize("app", ["flask_socketio_app.py", "socketio_app.py"])
def test_socketio(app: str, server: Callable[..., Geuwsgi]) -> None:
    """python-engineio looks at the environ, asks for the descriptor before the handshake and waits on it."""
    started = server(app, "--gevent", "100")
    with RawClient(H2Socket(socket.create_connection(("127.0.0.1", started.port), 10))) as found:  # type: ignore[arg-type]
        found.handshake("/socket.io/?EIO=4&transport=websocket")
        assert (found.event().payload or b"").startswith(b'0{"sid":')
        found.send(text(b"40"))  # the namespace
        while not (found.event().payload or b"").startswith(b"40{"):
            pass
        found.send(text(b'421["echo","round"]'))
        while found.event().payload != b'431["round"]':
            pass


def text(message: bytes) -> bytes:
    """A client's frame."""
    return bytes((0x81, 0x80 | len(message))) + bytes(4) + message


def test_channels(server: Callable[..., Geuwsgi], tmp_path: Path) -> None:
    """A room on streams of one connection: what one sends, all get."""
    app = tmp_path / "room.py"
    app.write_text(
        "import uwsgi\n"
        "def application(env, start_response):\n"
        "    uwsgi.websocket_handshake()\n"
        "    uwsgi.websocket_channel_join('room')\n"
        "    uwsgi.websocket_send('in')\n"
        "    while True:\n"
        "        try:\n"
        "            uwsgi.channel_send('room', uwsgi.websocket_recv())\n"
        "        except OSError:\n"
        "            return []\n"
    )
    started = server(None, "--wsgi-file", str(app))
    client = H2Client(("127.0.0.1", started.port))
    numbers: list[Any] = [client.ask("/", "CONNECT", [("sec-websocket-version", "13")], end=False, protocol="websocket") for _ in range(20)]
    client.until(lambda: all(client.answers[number].body == b"\x81\x02in" for number in numbers))
    client.send(numbers[3], b"\x81\x85" + bytes(4) + b"hello")
    client.until(lambda: all(client.answers[number].body.endswith(b"\x81\x05hello") for number in numbers))
    client.close()
