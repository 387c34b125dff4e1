"""The uwsgi protocol held against the real server: the same packets, what comes back, and what the application sees."""

from __future__ import annotations

import json
import socket
from typing import Any, Callable

import pytest

from geuwsgi.protocol.uwsgi import packet
from tests.harness.ports import free_ports
from tests.protocol.packets import encode_vars

pytestmark = pytest.mark.differential

Start = Callable[..., Any]

VARS = {
    "QUERY_STRING": "x=1",
    "REQUEST_METHOD": "POST",
    "CONTENT_TYPE": "text/x",
    "CONTENT_LENGTH": "3",
    "REQUEST_URI": "/a%20b?x=1",
    "PATH_INFO": "/a b",
    "SCRIPT_NAME": "",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "198.51.100.7",
    "REMOTE_PORT": "5000",
    "SERVER_PORT": "80",
    "SERVER_NAME": "example.org",
    "HTTP_HOST": "example.org",
}

APP = """
import json

def application(environ, start_response):
    body = environ["wsgi.input"].read()
    seen = {key: value for key, value in environ.items() if isinstance(value, str)}
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "0")][:1])
    return [json.dumps([seen, body.decode("latin-1")]).encode()]
"""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, shared_server: Start, uwsgi_server: Start) -> dict[str, int]:
    """Ports of both servers."""
    app = tmp_path_factory.mktemp("app") / "app.py"
    app.write_text(APP)
    (port,) = free_ports(1)
    uwsgi_server(None, "--socket", f"127.0.0.1:{port}", "--wsgi-file", str(app), "--gevent", "10", "--buffer-size", "4096")
    ours = shared_server(None, "--socket", "127.0.0.1:0", "--wsgi-file", str(app), "--gevent", "10", "--buffer-size", "4096")
    return {"uwsgi": port, "geuwsgi": ours.port}


def ask(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        answer = b""
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while more := sock.recv(65536):
                answer += more
        except OSError:
            pass
        return answer


def seen(answer: bytes) -> Any:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0], json.loads(body)


@pytest.mark.parametrize(
    ("changes", "modifier1"),
    [
        ({}, 0),
        ({"HTTPS": "on"}, 0),
        ({"UWSGI_SCHEME": "https"}, 0),
        ({"REQUEST_SCHEME": "https"}, 0),
        ({"HTTP_X_ANY": "a, b", "OTHER": "c", "lower": "d"}, 0),
        ({"SERVER_PROTOCOL": "HTTP/1.0"}, 0),
        ({"SCRIPT_NAME": "/a", "PATH_INFO": "/b"}, 0),
        ({"SCRIPT_NAME": "/a", "PATH_INFO": "/b"}, 30),
        ({"PATH_INFO": "/\xc3\xa9"}, 0),
        ({"wsgi.url_scheme": "evil"}, 0),
    ],
)
def test_the_same_request(both: dict[str, int], changes: dict[str, str], modifier1: int) -> None:
    data = packet(modifier1, encode_vars({**VARS, **changes})) + b"abc"
    theirs, ours = (seen(ask(both[name], data)) for name in ("uwsgi", "geuwsgi"))
    assert ours == theirs


def test_the_script_name_that_modifier_30_takes_off(both: dict[str, int]) -> None:
    """uWSGI documents that, and does it in Python 2 only."""
    data = packet(30, encode_vars({**VARS, "SCRIPT_NAME": "/a", "PATH_INFO": "/a/b"})) + b"abc"
    assert seen(ask(both["uwsgi"], data))[1][0]["PATH_INFO"] == "/a/b"
    assert seen(ask(both["geuwsgi"], data))[1][0]["PATH_INFO"] == "/b"


@pytest.mark.parametrize("modifier1", [1, 5, 7, 17, 31, 32, 48, 100, 110, 111, 173, 224, 255])
def test_the_same_answer_to_what_is_no_request(both: dict[str, int], modifier1: int) -> None:
    data = packet(modifier1, encode_vars(VARS))
    assert ask(both["geuwsgi"], data) == ask(both["uwsgi"], data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x00",
        packet(0),
        packet(0, bytes(5000)),
        packet(0, b"\x01\x00a\xff\xffb"),
        packet(0, b"\x00\x00\x00\x00"),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_uwsgi_does_not_answer(both: dict[str, int], data: bytes) -> None:
    """Here what is broken is answered as over HTTP, so that the client behind a front server is told its mistake, and not 502."""
    assert ask(both["uwsgi"], data) == b""
    answer = ask(both["geuwsgi"], data)
    assert answer == b"" if len(data) < 4 else answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 "))
