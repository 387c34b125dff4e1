"""A real Chromium: the page, text, bytes, a large message, close codes. A screenshot stays in artifacts/.

Two tabs that chat are in test_chat_page.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from tests.harness.browser import serious_messages
from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

pytestmark = pytest.mark.browser

StartServer = Callable[..., Geuwsgi]

#: The body of a script for execute_async_script: what `arguments` holds before the callback is its own.
ECHO = """
const [message, done] = arguments;
const socket = open_socket("/ws");
socket.onopen = () => socket.send(message);
socket.onmessage = event => { say("received " + event.data); done(event.data); socket.close(); };
socket.onerror = () => done("error");
"""

ECHO_BYTES = """
const [length, done] = arguments;
const socket = open_socket("/ws");
const sent = new Uint8Array(length).map((_, index) => index * 7);
socket.onopen = () => socket.send(sent);
socket.onmessage = event => {
    const received = new Uint8Array(event.data);
    const same = received.length == sent.length && received.every((byte, index) => byte == sent[index]);
    say("received " + received.length + " bytes");
    done([event.data.constructor.name, received.length, same]);
    socket.close();
};
socket.onerror = () => done("error");
"""

ECHO_LONG = """
const [length, done] = arguments;
const socket = open_socket("/ws");
const sent = "0123456789abcde\\u00e9".repeat(length / 16);
socket.onopen = () => socket.send(sent);
socket.onmessage = event => { done([event.data.length, event.data === sent]); socket.close(); };
socket.onclose = event => done(["closed", event.code, event.reason]);
"""

CLOSED = """
const [message, done] = arguments;
const socket = open_socket("/ws");
socket.onopen = () => socket.send(message);
socket.onclose = event => { say("closed " + event.code); done([event.code, event.reason, event.wasClean]); };
"""


@pytest.fixture(scope="module")
def page(chromium: Any, shared_server: StartServer) -> Any:
    """The driver, with the echo page loaded."""
    server = shared_server("browser_page.py", "--websockets-max-size", "2048", expect_log=["ValueError: a bug in the application"])
    chromium.get(server.url + "/")
    return chromium


def test_page_loads(page: Any) -> None:
    assert page.title == "geuwsgi echo"
    assert page.find_element("tag name", "h1").text == "Echo"


@pytest.mark.parametrize("message", ["hello", "", "Grüße 🎈", "x" * 126, "y" * 70_000], ids=["short", "empty", "unicode", "126", "70000"])
def test_text(page: Any, message: str) -> None:
    assert page.execute_async_script(ECHO, message) == message


@pytest.mark.parametrize("length", [0, 1, 125, 65_536, 1_000_000])
def test_bytes(page: Any, length: int) -> None:
    assert page.execute_async_script(ECHO_BYTES, length) == ["ArrayBuffer", length, True]


def test_a_megabyte_of_text(page: Any) -> None:
    """Chromium cuts it into fragments."""
    assert page.execute_async_script(ECHO_LONG, 1 << 20) == [1 << 20, True]


def test_a_message_beyond_the_limit(page: Any) -> None:
    assert page.execute_async_script(ECHO_LONG, 3 << 20)[:2] == ["closed", 1009]


@pytest.mark.parametrize(("code", "reason"), [(1000, "done"), (4321, "Grüße"), (3000, "")])
def test_close_from_the_server(page: Any, code: int, reason: str) -> None:
    assert page.execute_async_script(CLOSED, f"close {code} {reason}") == [code, reason, True]


def test_an_exception_in_the_application(page: Any) -> None:
    code, _, clean = page.execute_async_script(CLOSED, "crash")
    assert (code, clean) == (1011, True)


def test_screenshot_and_console(page: Any, artifacts: Path) -> None:
    page.execute_async_script(ECHO, "the last one")
    page.save_screenshot(str(artifacts / "echo.png"))
    assert serious_messages(page) == []


def test_control_c_says_goodbye(chromium: Any, server: StartServer) -> None:
    running = server("browser_page.py")
    chromium.get(running.url + "/")
    chromium.execute_async_script(
        """
        const done = arguments[0];
        window.socket = open_socket("/ws");
        socket.onopen = done;
        socket.onclose = event => { window.goodbye = [event.code, event.wasClean]; };
        """
    )
    _, seconds = running.interrupt()
    assert seconds < 4.5
    assert wait_until(lambda: chromium.execute_script("return window.goodbye"), what="onclose") == [1001, True]
