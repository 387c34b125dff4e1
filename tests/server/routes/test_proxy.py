"""`uwsgi:` and `http:`: requests and websockets that another server answers. The backends are real: geuwsgi's HTTP and the real uWSGI."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.clients import client_factory
from tests.harness.servers import Server

APP = str(Path(__file__).with_name("backend_app.py"))
Start = Callable[..., Server]


def ask(server: Server, target: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("POST" if body else "GET", target, body or None, {"Host": "front.example", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture(params=["http", pytest.param("uwsgi", marks=pytest.mark.differential)])
def action(request: pytest.FixtureRequest, shared_server: Start, uwsgi_server: Start) -> str:
    """What routes to a backend."""
    if request.param == "http":
        return f"http:127.0.0.1:{shared_server(APP).port}"
    return f"uwsgi:127.0.0.1:{uwsgi_server(APP, '--gevent', '20', '--uwsgi-socket', '127.0.0.1:0').port},0,0"


def test_requests(action: str, server: Start) -> None:
    # A connection to an HTTP backend is kept for some seconds.
    front = server(APP, "--route", "^/back addvar:EXTRA=x$0", "--route", f"^/back {action}", lasting=1)
    status, body = ask(front, "/back/a%20b?q", b"y" * 200000, **{"X-Own": "o"})
    told = json.loads(body)
    assert status == 200
    assert (told["PATH_INFO"], told["QUERY_STRING"], told["HTTP_X_OWN"], told["body"]) == ("/back/a b", "q", "o", 200000)
    assert told["HTTP_HOST"] == "front.example"
    assert told.get("EXTRA") == ("x/back" if action.startswith("uwsgi") else None)
    assert json.loads(ask(front, "/own")[1])["pid"] != told["pid"]


@pytest.mark.parametrize("client", ["websocket-client", "websockets"])
def test_websockets(client: str, action: str, server: Start) -> None:
    """Text, size, subprotocol, and the close code of either side."""
    front = server(APP, "--route", f"^/back {action}")
    with client_factory(client, front.ws_url + "/back") as connect:
        echo = connect()
        echo.text("hello")
        assert echo.receive() == ("text", "hello")
        echo.text("x" * 100000)
        assert echo.receive() == ("text", "x" * 100000)
        # uWSGI's echo of a close has no code, geuwsgi's has.
        assert echo.close(4001, "enough")[:2] in {("close", 4001), ("close", 1005)}


def test_subprotocols_and_close_codes(shared_server: Start, server: Start) -> None:
    websocket = pytest.importorskip("websocket")
    back = shared_server(APP)
    front = server(APP, "--route", f"^/back http:127.0.0.1:{back.port}")
    client = websocket.create_connection(front.ws_url + "/back", subprotocols=["chat"], timeout=10)
    assert client.subprotocol == "chat"
    client.send("close 4321 over")
    assert client.recv_data(control_frame=True) == (8, b"\x10\xe1over")
    client.shutdown()  # its close() does nothing once a close was received


def test_a_choice_by_the_request(shared_server: Start, server: Start) -> None:
    back = shared_server(APP)
    front = server(
        APP, "--route", r"^/to/(\d+)/(.*) http:127.0.0.1:$1,other.example,/$2", expect_log=["is no address of a backend"], lasting=1
    )
    told = json.loads(ask(front, f"/to/{back.port}/deep?q")[1])
    assert (told["PATH_INFO"], told["HTTP_HOST"]) == ("/deep", "other.example")
    assert ask(front, "/to/999999/x")[0] == 502


def test_a_backend_that_is_not_there(server: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    front = server(
        APP,
        *("--route", f"^/back http:127.0.0.1:{port}", "--error-route-status", "503 redirect:/sorry"),
        expect_log=["no backend can be reached"],
    )
    status, body = ask(front, "/back")
    assert (status, body) == (302, b"Moved")


def test_a_request_that_is_answered_elsewhere_holds_no_core(shared_server: Start, server: Start) -> None:
    websocket = pytest.importorskip("websocket")
    back = shared_server(APP)
    front = server(APP, "--sync", "--route", f"^/back http:127.0.0.1:{back.port}")
    client = websocket.create_connection(front.ws_url + "/back", timeout=10)
    assert ask(front, "/own")[0] == 200
    client.send("hello")
    assert client.recv() == "hello"
    client.close()


def test_headers_of_a_handshake(server: Start) -> None:
    """Of a websocket that is served here."""
    websocket = pytest.importorskip("websocket")
    running = server(
        APP,
        *("--add-header", "X-All: yes", "--route", "^/ addheader:Set-Cookie: a=b", "--route", "^/ addheader:Sec-WebSocket-Protocol: x"),
        *("--response-route", "^/ addheader:X-Status: ${uwsgi[status]}", "--response-route", "^/ addheader:Connection: close"),
        *("--response-route", "^/ redirect:/x", "--final-route", "^/ log:over ${uwsgi[status]}"),
    )
    client = websocket.create_connection(running.ws_url + "/own", timeout=10)
    assert {name: client.headers.get(name) for name in ("x-all", "set-cookie", "x-status", "connection", "sec-websocket-protocol")} == {
        "x-all": "yes",
        "set-cookie": "a=b",
        "x-status": "101",
        "connection": "Upgrade",
        "sec-websocket-protocol": None,
    }
    client.send("hello")
    assert client.recv() == "hello"
    client.close()
    running.wait_log("over 101")
