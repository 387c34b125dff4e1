"""uWSGI's HTTP router with connections that stay open: what it makes of responses with and without a length."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.harness.clients import client_factory
from tests.harness.router import UWSGIRouter

APP = """
import uwsgi

def application(environ, start_response):
    if "HTTP_SEC_WEBSOCKET_KEY" in environ:
        uwsgi.websocket_handshake()
        while True:
            uwsgi.websocket_send(uwsgi.websocket_recv())
    body = environ["wsgi.input"].read()
    length = [("Content-Length", str(len(body)))] if environ["PATH_INFO"] == "/length" else []
    start_response("200 OK", [("Content-Type", "text/plain"), *length])
    return [body]
"""


@pytest.fixture
def address(server: Callable[..., Any], tmp_path: Path) -> str:
    app = tmp_path / "app.py"
    app.write_text(APP)
    return str(server(None, "--socket", "127.0.0.1:0", "--wsgi-file", str(app)).address)


@pytest.mark.parametrize(("options", "stays"), [((), False), (("--http-auto-chunked",), True)], ids=["", "chunked"])
def test_keepalive(address: str, tmp_path: Path, options: tuple[str, ...], stays: bool) -> None:
    router = UWSGIRouter(tmp_path, address, "--http-keepalive", *options)
    try:
        connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=10)
        for target, left_open in (("/length", True), ("/length", True), ("/", stays), ("/length", True)):
            connection.request("POST", target, b"hello")
            assert connection.getresponse().read() == b"hello"
            assert (connection.sock is not None) is left_open
        connection.close()
        with client_factory("websockets", f"ws://127.0.0.1:{router.port}") as connect:
            client = connect("/")
            client.text("hello")
            assert client.receive() == ("text", "hello")
            assert client.close(4000, "bye") == ("close", 4000, "bye")
    finally:
        router.kill()
