"""The shortest way through all layers: a page, an echo, Ctrl-C."""

from __future__ import annotations

from typing import Any, Callable

import requests

from tests.harness.servers import Geuwsgi


def test_a_page(server: Callable[..., Geuwsgi]) -> None:
    assert requests.get(server("validated.py").url + "/hello", timeout=10).text == "/hello"


def test_an_echo_and_control_c(server: Callable[..., Geuwsgi], ws: Callable[..., Any]) -> None:
    running = server("blocking_echo.py", "--gevent", "10")
    client = ws(running.ws_url)
    client.send("hello")
    assert client.recv() == "hello"
    status, seconds = running.interrupt()
    assert status == 0
    assert seconds < 4.5
    opcode, data = client.recv_data()
    assert (opcode, data[:2]) == (8, (1001).to_bytes(2, "big"))  # going away
