"""Pattern 8: python-socketio and Flask-SocketIO with `async_mode="gevent_uwsgi"`, talked to by their own client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

import pytest
import requests
import socketio

from tests.harness.servers import Server
from tests.harness.wait import wait_until

#: Websocket from the start; and long polling that is upgraded to a websocket.
TRANSPORTS = {"websocket": ["websocket"], "upgrade": ["polling", "websocket"]}

GEVENT = ("--gevent", "100", "--gevent-monkey-patch")


@pytest.fixture(params=TRANSPORTS)
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[[str], socketio.SimpleClient]]:
    """Connect a client with one of the transports; all are disconnected at the end."""
    clients: list[socketio.SimpleClient] = []
    sessions: list[requests.Session] = []

    def start(url: str) -> socketio.SimpleClient:
        session = requests.Session()
        sessions.append(session)
        client = socketio.SimpleClient(reconnection=False, http_session=session)
        clients.append(client)
        client.connect(url, transports=TRANSPORTS[request.param], wait_timeout=10)
        return client

    yield start
    for client in clients:
        client.disconnect()
    for session in sessions:
        session.close()


def events(client: socketio.SimpleClient, name: str, count: int = 1) -> list[Any]:
    """The next `count` events of this name; others between them are dropped."""
    found: list[Any] = []
    while len(found) < count:
        event, *values = client.receive(timeout=10)
        if event == name:
            found.append(values[0] if len(values) == 1 else values)
    return found


@pytest.fixture
def url(shared_server: Callable[..., Server]) -> str:
    return shared_server("socketio_app.py", *GEVENT).url


@pytest.fixture
def flask_url(shared_server: Callable[..., Server]) -> str:
    return shared_server("flask_socketio_app.py", *GEVENT).url


def test_ends_on_a_websocket(url: str, connect: Callable[[str], socketio.SimpleClient]) -> None:
    client = connect(url)
    assert events(client, "welcome")[0]["transport"] in ("websocket", "polling")
    wait_until(lambda: client.call("transport") == "websocket", what="the upgrade")
    assert client.client.transport() == "websocket"


# The driver of python-engineio takes a message for text when its first byte is 48 or more, so these bytes start lower.
PAYLOADS = ["text", {"a": [1, 2.5, None]}, b"\x00\xff" * 1000, {"blob": b"\x01\x80", "n": 1}, "x" * 200_000]


@pytest.mark.parametrize("data", PAYLOADS, ids=["text", "json", "binary", "nested", "large"])
def test_echo(url: str, connect: Callable[[str], socketio.SimpleClient], data: Any) -> None:
    assert connect(url).call("echo", data, timeout=10) == data


def test_broadcast_and_disconnects(url: str, connect: Callable[[str], socketio.SimpleClient]) -> None:
    clients = [connect(url) for _ in range(5)]
    clients[0].emit("chat", {"text": "hello", "blob": b"\x01\x02"})
    for client in clients:
        assert events(client, "chat") == [{"text": "hello", "blob": b"\x01\x02"}]
    clients[4].disconnect()
    left = events(clients[0], "left")[0]
    clients[3].emit("kick")
    assert events(clients[0], "left") == [left + 1]
    wait_until(lambda: not clients[3].connected, what="the kicked client's disconnect")


def test_background_task(url: str, connect: Callable[[str], socketio.SimpleClient]) -> None:
    """python-socketio emits from a greenlet of its own."""
    client = connect(url)
    client.emit("count", 50)
    assert events(client, "number", 50) == list(range(50))


def test_a_lost_client_is_noticed(url: str, connect: Callable[[str], socketio.SimpleClient]) -> None:
    witness, lost = connect(url), connect(url)
    wait_until(lambda: lost.call("transport") == "websocket", what="the upgrade")
    lost.client.eio.ws.sock.shutdown(2)  # no close frame, as when a laptop's lid is shut
    assert events(witness, "left")


def test_flask_rooms(flask_url: str, connect: Callable[[str], socketio.SimpleClient]) -> None:
    ann, bob, cid = (connect(flask_url) for _ in range(3))
    for client in (ann, bob):
        client.emit("enter", "kitchen")
        events(client, "entered")
    cid.emit("say", ("kitchen", "dinner"))
    assert [events(client, "said") for client in (ann, bob)] == [["dinner"], ["dinner"]]
    assert cid.call("echo", b"\x00binary") == b"\x00binary"
    bob.disconnect()
    assert events(ann, "left")


def test_flask_pages_beside_it(flask_url: str) -> None:
    assert requests.get(flask_url + "/", timeout=10).text == "hello from Flask"
