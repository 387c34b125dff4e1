"""A real Chromium over TLS: the page's requests and its websockets share one connection of HTTP/2 (RFC 8441)."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.harness.browser import serious_messages, start_chromium
from tests.harness.certificates import certificates
from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

pytestmark = pytest.mark.browser

WHERE = """
const [sockets, done] = arguments;
const requests = Array.from({length: 10}, (_, index) => fetch("/where/" + index).then(response => response.json()));
const opened = Array.from({length: sockets}, () => new Promise((resolve, reject) => {
    const socket = open_socket("/ws");
    socket.onopen = () => socket.send("where");
    socket.onmessage = event => { resolve(JSON.parse(event.data)); socket.close(); };
    socket.onerror = () => reject("error");
}));
Promise.all([Promise.all(requests), Promise.all(opened)]).then(done, error => done(String(error)));
"""

ECHO = """
const [size, done] = arguments;
const socket = open_socket("/ws", ["chat"]);
const text = "0123456789abcde\\u00e9".repeat(size / 16), bytes = new Uint8Array(size).map((_, index) => index * 7);
const found = [];
socket.onopen = () => { found.push(socket.protocol); socket.send(text); socket.send(bytes); };
socket.onmessage = event => {
    const data = event.data;
    found.push(typeof data == "string" ? data === text : new Uint8Array(data).every((byte, index) => byte == bytes[index]));
    if (found.length == 3) socket.send("close 4321");
};
socket.onclose = event => done([...found, event.code, event.reason, event.wasClean]);
"""

StartServer = Callable[..., Geuwsgi]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A Chromium that believes any certificate."""
    driver = start_chromium(tmp_path_factory.mktemp("chromium"), "--ignore-certificate-errors")
    yield driver
    driver.quit()


def https2() -> str:
    found = certificates()
    return f"127.0.0.1:0,{found.cert},{found.key}"


@pytest.fixture
def page(browser: Any, shared_server: StartServer) -> Any:
    """The driver, with the page loaded."""
    server = shared_server("http2_page.py", "--https2", https2(), "--websockets-max-size", "4096")
    browser.get(f"https://{server.address}/")
    return browser


def test_the_pages_own_connection(page: Any) -> None:
    requests, sockets = page.execute_async_script(WHERE, 5)
    assert len(requests) == 10
    assert len(sockets) == 5
    found = {json.dumps(one) for one in requests + sockets}
    protocol, _, scheme, https, method = requests[0]
    assert (protocol, scheme, https, method) == ("HTTP/2.0", "https", "on", "GET")
    # All fifteen, on one TCP connection, told by the client's port.
    assert found == {json.dumps(requests[0])}


@pytest.mark.parametrize("size", [16, 65_536, 1 << 20])
def test_messages_and_the_end(page: Any, size: int) -> None:
    assert page.execute_async_script(ECHO, size) == ["chat", True, True, 4321, "as asked for", True]


def test_the_console_is_silent(page: Any) -> None:
    page.execute_async_script(WHERE, 1)
    assert serious_messages(page) == []


def test_a_reload_says_1012(browser: Any, server: StartServer) -> None:
    running = server("http2_page.py", "--https2", https2(), "--master")
    browser.get(f"https://{running.address}/")
    browser.execute_async_script(
        """
        const done = arguments[0];
        const socket = open_socket("/ws");
        socket.onopen = done;
        socket.onclose = event => { window.goodbye = [event.code, event.reason, event.wasClean]; };
        """
    )
    running.process.send_signal(signal.SIGHUP)
    assert wait_until(lambda: browser.execute_script("return window.goodbye"), 20, "onclose") == [1012, "service restart", True]
    # And the page goes on, on a connection to the new worker. (Without any, Chromium opens a websocket with HTTP/1.1.)
    wait_until(lambda: "gracefully (RE)spawned" in running.log or running.log.count("spawned uWSGI worker") > 1, 20, "the new worker")
    browser.execute_async_script(WHERE, 0)
    requests, sockets = browser.execute_async_script(WHERE, 1)
    assert requests[0][0] == sockets[0][0] == "HTTP/2.0"


def test_firefox_and_others_may_still_speak_http_1(tmp_path: Path, server: StartServer) -> None:
    """A browser without HTTP/2 finds the same websocket on the same port."""
    driver = start_chromium(tmp_path, "--ignore-certificate-errors", "--disable-http2")
    try:
        running = server("http2_page.py", "--https2", https2())
        driver.get(f"https://{running.address}/")
        requests, sockets = driver.execute_async_script(WHERE, 2)
        assert {one[0] for one in requests + sockets} == {"HTTP/1.1"}
    finally:
        driver.quit()
