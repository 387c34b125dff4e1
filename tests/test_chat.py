"""The demo's chat, played by real clients; under geuwsgi and, the same application unchanged, under the real uWSGI."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, Callable

import pytest
import websocket

from tests.harness.programs import ROOT
from tests.harness.servers import Server

INI = ROOT / "bombertab_demo" / "chat.ini"
ARGUMENTS = ("--ini", f"{INI}:chat", "--http-socket", "127.0.0.1:0")


class Person:
    """One page of the chat."""

    def __init__(self, server: Server, name: str = "", room: str = "hall", tab: str = "") -> None:
        self.socket = websocket.create_connection(server.ws_url + "/chat", timeout=10)
        self.name = name
        if name:
            self.send(t="join", room=room, name=name, hue=120, key=f"key of {name}", tab=tab or f"tab of {name}")
            self.welcome = self.expect("welcome")

    def send(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def say(self, text: str, ref: str = "r") -> None:
        self.send(t="say", text=text, ref=ref)

    def receive(self) -> dict[str, Any]:
        opcode, data = self.socket.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return {"t": "(closed)", "code": int.from_bytes(data[:2], "big"), "reason": data[2:].decode()}
        assert opcode == websocket.ABNF.OPCODE_TEXT
        message: dict[str, Any] = json.loads(data)
        return message

    def expect(self, kind: str) -> dict[str, Any]:
        """The next message, which has to be of this type."""
        message = self.receive()
        assert message["t"] == kind, message
        return message

    def nothing_came(self) -> bool:
        """Whether the next message is the answer to a ping sent now."""
        self.send(t="ping", n=1)
        return self.receive() == {"t": "pong", "n": 1}


@pytest.fixture(params=["geuwsgi", "uwsgi"])
def chat(request: pytest.FixtureRequest) -> Server:
    """A server of the chat. Each test has its own rooms, so one process does for all."""
    start = request.getfixturevalue("shared_server" if request.param == "geuwsgi" else "uwsgi_server")
    server: Server = start(None, *ARGUMENTS)
    return server


@pytest.fixture
def enter(chat: Server) -> Iterator[Callable[..., Person]]:
    """Open a page: `enter("Ada", room="a")`."""
    people: list[Person] = []

    def open_page(*arguments: Any, **options: Any) -> Person:
        people.append(Person(chat, *arguments, **options))
        return people[-1]

    yield open_page
    for person in people:
        person.socket.shutdown()


def test_two_people_talk(enter: Callable[..., Person]) -> None:
    ada = enter("Ada", room="talk")
    assert [member["name"] for member in ada.welcome["members"]] == ["Ada"]
    grace = enter("Grace", room="talk")
    assert sorted(member["name"] for member in grace.welcome["members"]) == ["Ada", "Grace"]
    assert ada.expect("joined")["who"] == grace.welcome["you"]
    ada.send(t="typing", on=True)
    assert grace.expect("typing") == {"t": "typing", "id": ada.welcome["you"]["id"], "on": True}
    ada.say("<b>Grüße</b> \U0001f63a", ref="first")
    heard, confirmed = grace.expect("said"), ada.expect("said")
    assert heard["text"] == confirmed["text"] == "<b>Grüße</b> \U0001f63a"
    assert heard["who"] == ada.welcome["you"]
    assert confirmed["ref"] == "first"
    assert "ref" not in heard  # it tells the author's page that the message is its own
    ada.send(t="me", name="Countess", hue=7)
    assert grace.expect("changed") == {
        "t": "changed",
        "who": {"id": ada.welcome["you"]["id"], "name": "Countess", "hue": 7},
        "before": "Ada",
    }
    ada.socket.shutdown()
    assert grace.expect("left")["who"]["name"] == "Countess"


def test_rooms_are_apart_and_remember(enter: Callable[..., Person]) -> None:
    ada, other = enter("Ada", room="kitchen"), enter("Grace", room="garden")
    ada.say("soup", ref="1")
    ada.expect("said")
    assert other.nothing_came()
    late = enter("Linus", room="kitchen")
    assert [(said["text"], "ref" in said) for said in late.welcome["history"]] == [("soup", False)]
    ada.expect("joined")
    ada.socket.shutdown()
    late.expect("left")
    back = enter("Ada", room="kitchen")
    assert [said["ref"] for said in back.welcome["history"]] == ["1"]
    back.say("soup", ref="1")  # sent again, as a page does that has lost the confirmation
    assert back.nothing_came()


def test_same_tab_replaces_and_names_stay_apart(enter: Callable[..., Person]) -> None:
    first, twin = enter("Ada", room="twins"), enter("Ada", room="twins", tab="another tab")
    assert twin.welcome["you"]["name"] == "Ada 2"
    first.expect("joined")
    again = enter("Ada", room="twins")
    assert again.welcome["you"]["name"] == "Ada"
    assert first.expect("bye")["text"] == "this page has opened a new connection"
    assert [twin.receive()["t"] for _ in range(2)] == ["left", "joined"]


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        ("hello", "This is not JSON."),
        ("\x00", "This is not JSON."),
        ("[" * 10_000, "This is not JSON."),
        ("9" * 10_000, "This is not JSON."),
        ('"' + "x" * 20_000 + '"', "This message is too long."),
        ("[]", 'A message is an object with a type in "t".'),
        ('{"t": 1}', 'A message is an object with a type in "t".'),
        ('{"t": "__init__"}', "There is no message of the type '__init__'."),
        ('{"t": "say", "text": 1, "ref": "r"}', '"text" has to be text.'),
        ('{"t": "say", "text": " \\n\\u0007", "ref": "r"}', "There is nothing in this message."),
        ('{"t": "say", "text": "\\ud800", "ref": "r"}', "There is nothing in this message."),
        ('{"t": "say", "text": "%s", "ref": "r"}' % ("x" * 2001), '"text" is too long: 2000 characters at most.'),
        ('{"t": "say", "text": "x", "ref": null}', '"ref" has to be text.'),
        ('{"t": "me", "name": "\\u200b \\u202e", "hue": 1}', '"name" is empty.'),
        ('{"t": "me", "name": "A", "hue": NaN}', '"hue" has to be a whole number from 0 to 359.'),
        ('{"t": "ping", "n": true}', "A ping has a number."),
    ],
)
def test_rubbish_is_answered_and_disturbs_nobody(enter: Callable[..., Person], data: str, answer: str) -> None:
    ada, grace = enter("Ada", room=f"rubbish{len(data)}"), enter("Grace", room=f"rubbish{len(data)}")
    ada.expect("joined")
    ada.socket.send(data)
    assert ada.expect("error")["text"] == answer
    assert ada.nothing_came()
    assert grace.nothing_came()


def test_binary_that_is_no_text_is_answered(enter: Callable[..., Person]) -> None:
    ada = enter("Ada", room="binary")
    ada.socket.send_binary(b"\xff\xfe\x00")
    assert ada.expect("error")["text"] == "This is not JSON."


def test_speaking_before_joining_is_refused(enter: Callable[..., Person]) -> None:
    stranger = enter()
    stranger.say("hello?")
    assert stranger.expect("error")["text"] == "Join a room first."


def test_flood_ends_for_who_floods_only(enter: Callable[..., Person], chat: Server) -> None:
    flood, grace = enter("Flood", room="flood"), enter("Grace", room="flood")
    flood.expect("joined")
    start = time.monotonic()
    try:
        for number in range(1000):
            flood.say("me me me", ref=str(number))
    except OSError:
        pass  # thrown out before it was through
    heard = 0
    while True:
        message = grace.receive()
        if message["t"] == "left":
            break
        assert message["t"] == "said"
        heard += 1
    assert heard <= 9 + 2 * (time.monotonic() - start)  # the burst that is allowed, and what the time it took allows
    assert grace.nothing_came()
    if type(chat).__name__ == "Geuwsgi":  # which can say why; uWSGI hangs up on unread data, and that resets the connection
        end = flood.receive()
        while end["t"] in ("said", "error"):
            end = flood.receive()
        assert end["t"] == "bye"
        assert flood.expect("(closed)") == {"t": "(closed)", "code": 1008, "reason": "too many messages that make no sense here"}


def test_page_is_served_and_the_rest_is_not(chat: Server) -> None:
    import requests

    page = requests.get(chat.url + "/", timeout=10)
    assert page.status_code == 200
    assert "text/html" in page.headers["Content-Type"]
    assert "<title>geuwsgi chat</title>" in page.text
    assert requests.get(chat.url + "/chat.js", timeout=10).status_code == 200
    assert requests.get(chat.url + "/chat", timeout=10).status_code == 400
    assert requests.get(chat.url + "/../chat.py", timeout=10).status_code == 404
