"""A page in a real Chromium with twenty sockets in one room."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from tests.harness.browser import serious_messages
from tests.harness.servers import Geuwsgi

pytestmark = pytest.mark.browser

StartServer = Callable[..., Geuwsgi]

SOCKETS = 20
ROUNDS = 10

#: Opens the sockets, has each of them say something several times, a text and then bytes, and tells what each has heard.
SCRIPT = """
const [count, rounds, done] = arguments;
const heard = Array.from({length: count}, () => []);
const sockets = [];
let joined = 0, missing = count * count * rounds * 2;
const decoder = new TextDecoder();
const show = text => document.getElementById("log").textContent = text;
for (let index = 0; index < count; index++) {
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    sockets.push(socket);
    socket.onmessage = event => {
        if (event.data === "joined") {
            if (++joined == count)
                for (let round = 0; round < rounds; round++)
                    sockets.forEach((speaker, number) => {
                        speaker.send(`text ${number} ${round}`);
                        speaker.send(new TextEncoder().encode(`bytes ${number} ${round}`));
                    });
            return;
        }
        const bytes = event.data instanceof ArrayBuffer;
        heard[index].push(bytes ? [decoder.decode(event.data), true] : [event.data, false]);
        if (--missing == 0) {
            show(`${count} sockets have heard ${heard[0].length} messages each`);
            // A little longer, in case that something comes twice.
            setTimeout(() => { sockets.forEach(socket => socket.close()); done(heard); }, 200);
        }
    };
    socket.onclose = event => { if (missing) done(`closed: ${event.code} ${event.reason}`); };
}
"""


@pytest.mark.parametrize(
    "options", [(), ("--master", "--processes", "2"), ("--websockets-deflate",)], ids=["one", "two-workers", "deflate"]
)
def test_twenty_sockets_in_one_room(
    options: tuple[str, ...], server: StartServer, chromium: Any, artifacts: Path, request: pytest.FixtureRequest
) -> None:
    # Chromium keeps connections open for later; they are to end before the test looks for what is left.
    running = server("channel_page.py", "--gevent", "100", "--http-keepalive=2", "--http-headers-timeout=1", *options)
    chromium.get(running.url + "/")
    heard = chromium.execute_async_script(SCRIPT, SOCKETS, ROUNDS)
    assert isinstance(heard, list), heard
    expected = sorted(
        [f"{kind} {number} {turn}", kind == "bytes"] for kind in ("text", "bytes") for number in range(SOCKETS) for turn in range(ROUNDS)
    )
    for messages in heard:
        assert sorted(messages) == expected
        for number in range(SOCKETS):
            own = [text for text, _ in messages if text.split()[1] == str(number)]
            assert own == [f"{kind} {number} {turn}" for turn in range(ROUNDS) for kind in ("text", "bytes")]
    assert chromium.find_element("id", "log").text == f"{SOCKETS} sockets have heard {len(expected)} messages each"
    chromium.save_screenshot(str(artifacts / "room.png"))
    assert serious_messages(chromium) == []
    chromium.get("about:blank")
