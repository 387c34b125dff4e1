"""A real Chromium on a TLS port: the page and its wss:// websocket, and a name that it finds by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from tests.harness.browser import serious_messages, start_chromium
from tests.harness.certificates import certificates
from tests.harness.servers import Geuwsgi

pytestmark = pytest.mark.browser

ECHO = """
const [length, done] = arguments;
const socket = open_socket("/ws");
const sent = new Uint8Array(length).map((_, index) => index * 7);
socket.onopen = () => { socket.send("text"); socket.send(sent); };
const got = [];
socket.onmessage = event => {
    got.push(typeof event.data == "string" ? event.data : new Uint8Array(event.data).every((byte, index) => byte == sent[index]));
    if (got.length == 2) socket.send("close 4001 enough");
};
socket.onclose = event => { say(socket.url + " closed " + event.code); done([got, event.code, event.reason, event.wasClean, socket.url]); };
"""


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_wss(server: Callable[..., Geuwsgi], tmp_path: Path, name: str) -> None:
    found = certificates()
    running = server("browser_page.py", "--https", f"127.0.0.1:0,{found.cert},{found.key}")
    # The authority is one that no browser knows.
    driver: Any = start_chromium(tmp_path, "--ignore-certificate-errors")
    try:
        driver.get(f"https://{name}:{running.port}/")
        assert driver.execute_script("return [location.protocol, isSecureContext]") == ["https:", True]
        got, code, reason, clean, url = driver.execute_async_script(ECHO, 300_000)
        assert url == f"wss://{name}:{running.port}/ws"
        assert (got, code, reason, clean) == (["text", True], 4001, "enough", True)
        assert serious_messages(driver) == []
    finally:
        driver.quit()
