"""A chat between browser tabs, written against nothing but the public `uwsgi` module and gevent.

    geuwsgi bombertab_demo/chat.ini        then open http://127.0.0.1:8080/ in two tabs

Each connection has the greenlet of its request, which does all its reading and sending, and a small one that watches
the descriptor and wakes the first. Whoever has something for a client puts it into the client's queue and wakes it, so
a slow client holds up nobody. Everything is in the memory of one process.

Messages are JSON objects with a type in "t". From the page: join, say, typing, me, ping. To the page: welcome, joined,
left, changed, said, typing, pong, error, bye.
"""

from __future__ import annotations

import itertools
import json
import time
import unicodedata
from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any, Callable, Optional

import gevent
import gevent.event
import gevent.socket
import uwsgi

MAX_FRAME = 16 * 1024  #: bytes of one message from a page
MAX_TEXT = 2000  #: characters of one chat message
MAX_NAME = 24  #: characters of a person's name
MAX_ROOM = 40  #: characters of a room's name
MAX_TOKEN = 64  #: characters of what a page makes up: its key, its tab, a message's reference
MAX_MEMBERS = 200  #: people in one room
MAX_ROOMS = 500  #: rooms remembered; beyond it those empty for longest are forgotten
HISTORY = 100  #: messages that a newcomer sees
QUEUE = 256  #: messages waiting for one client; one that falls further behind is let go
READS_PER_TURN = 32  #: messages taken from one client before the others have their turn
JOIN_WITHIN = 10.0  #: seconds a connection may stay without joining a room
WAKE_EVERY = 2.0  #: seconds; uWSGI sends and checks its pings inside `websocket_recv_nb`, so it has to be called

BIDI_CONTROLS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # they would turn the text of others around

NORMAL, POLICY, TRY_LATER = 1000, 1008, 1013  # close codes of RFC 6455 and the registry that it opened

Message = dict[str, Any]


class Allowance:
    """A token bucket: `burst` at once, then `rate` a second."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self.left, self.seen = burst, time.monotonic()

    def spend(self) -> bool:
        """Take one; False when there is none left."""
        now = time.monotonic()
        self.left = min(self.burst, self.left + (now - self.seen) * self.rate)
        self.seen = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Mistake(Exception):
    """Something a page sent cannot be done; the text is shown to the person who sent it."""


class Goodbye(Exception):
    """The connection has to end."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Room:
    """The people in a room and what was said lately."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: dict[int, Client] = {}
        self.history: deque[tuple[str, Message]] = deque(maxlen=HISTORY)  # (the author's key, the message)

    def publish(self, message: Message, but: Optional[Client] = None) -> None:
        """Queue a message for everybody here, encoded once."""
        data = encode(message)
        for member in list(self.members.values()):
            if member is not but:
                member.queue(data)

    def free_name(self, wanted: str) -> str:
        """`wanted`, or with the first number behind it that nobody here has."""
        taken = {member.name.casefold() for member in self.members.values()}
        if wanted.casefold() not in taken:
            return wanted
        for number in itertools.count(2):
            name = f"{wanted[: MAX_NAME - 4]} {number}"
            if name.casefold() not in taken:
                return name
        raise AssertionError("unreachable")


rooms: OrderedDict[str, Room] = OrderedDict()  # the one used last comes last
#: Tells one run of this process from another: message numbers start anew with each.
started = str(time.time_ns())
member_ids = itertools.count(1)
message_ids = itertools.count(1)


def room_named(name: str) -> Room:
    """The room of that name, made when needed."""
    room = rooms.get(name)
    if room is None:
        room = rooms[name] = Room(name)
    rooms.move_to_end(name)
    if len(rooms) > MAX_ROOMS:
        empty = [old for old in rooms.values() if not old.members and old is not room]
        for old in empty[: len(rooms) - MAX_ROOMS]:
            del rooms[old.name]
    return room


class Client:
    """One open page."""

    def __init__(self) -> None:
        self.id = next(member_ids)
        self.key = self.tab = ""
        self.name = ""
        self.hue = 0
        self.room: Optional[Room] = None
        self.wake = gevent.event.Event()  # something to read or to send
        self.drained = gevent.event.Event()  # what there was to read has been read
        self.goodbye: Optional[Goodbye] = None
        self.connected = time.monotonic()
        self.outbox: deque[bytes] = deque()
        self.frames = Allowance(rate=20, burst=60)
        self.sayings = Allowance(rate=2, burst=8)
        self.mistakes = Allowance(rate=0.2, burst=10)

    # What others call; none of it waits.

    def queue(self, data: bytes) -> None:
        """Send `data` as soon as the client's own greenlet gets to it."""
        if self.goodbye is not None:
            return
        if len(self.outbox) >= QUEUE:
            self.dismiss(TRY_LATER, "your connection is too slow for this room")
            gevent.spawn(self.leave)  # not here: leaving publishes, which may find the next one too slow
            return
        self.outbox.append(data)
        self.wake.set()

    def tell(self, message: Message) -> None:
        self.queue(encode(message))

    def dismiss(self, code: int, reason: str) -> None:
        """End this connection when its greenlet wakes."""
        if self.goodbye is None:
            self.goodbye = Goodbye(code, reason)
            self.outbox.clear()
            self.wake.set()

    def about(self) -> Message:
        return {"id": self.id, "name": self.name, "hue": self.hue}

    # What the page asked for.

    def receive(self, data: bytes) -> None:
        """Carry out one message, or answer what is wrong with it.

        Raises:
            Goodbye: too many mistakes, or far too many messages.
        """
        ref: Any = None
        try:
            if not self.frames.spend():
                raise Mistake("Too fast. Take a breath.")
            message = decode(data)
            ref = message.get("ref")
            action = self.ACTIONS.get(message["t"])
            if action is None:
                raise Mistake(f"There is no message of the type {message['t'][:20]!r}.")
            if self.room is None and message["t"] not in ("join", "ping"):
                raise Mistake("Join a room first.")
            action(self, message)
        except Mistake as mistake:
            if not self.mistakes.spend():
                raise Goodbye(POLICY, "too many messages that make no sense here") from None
            self.tell({"t": "error", "text": str(mistake), "ref": ref if isinstance(ref, str) else None})

    def join(self, message: Message) -> None:
        self.key, self.tab = text(message, "key", MAX_TOKEN), text(message, "tab", MAX_TOKEN)
        name, hue = one_line(message, "name", MAX_NAME), degrees(message)
        room = room_named(one_line(message, "room", MAX_ROOM))
        self.leave()
        for member in list(room.members.values()):
            if member.tab == self.tab:  # the same page, back before its old connection was known to be dead
                member.dismiss(NORMAL, "this page has opened a new connection")
                member.leave()
        if len(room.members) >= MAX_MEMBERS:
            raise Goodbye(TRY_LATER, "this room is full")
        self.name, self.hue = room.free_name(name), hue
        self.room = room
        room.members[self.id] = self
        self.tell(
            {
                "t": "welcome",
                "you": self.about(),
                "room": room.name,
                "run": started,
                "members": [member.about() for member in room.members.values()],
                "history": [said if key == self.key else public(said) for key, said in room.history],
            }
        )
        room.publish({"t": "joined", "who": self.about()}, but=self)

    def leave(self) -> None:
        room, self.room = self.room, None
        if room is not None and self.id in room.members:
            del room.members[self.id]
            room.publish({"t": "left", "who": self.about()})

    def say(self, message: Message) -> None:
        assert self.room is not None
        words = text(message, "text", MAX_TEXT).strip()
        if not words:
            raise Mistake("There is nothing in this message.")
        ref = text(message, "ref", MAX_TOKEN)
        if any(key == self.key and said["ref"] == ref for key, said in self.room.history):
            return  # sent again after a lost connection, but it had arrived
        if not self.sayings.spend():
            raise Mistake("Too fast for the others to read.")
        said = {"t": "said", "id": next(message_ids), "who": self.about(), "text": words, "at": int(time.time() * 1000), "ref": ref}
        self.room.history.append((self.key, said))
        self.tell(said)
        self.room.publish(public(said), but=self)

    def typing(self, message: Message) -> None:
        assert self.room is not None
        self.room.publish({"t": "typing", "id": self.id, "on": message.get("on") is True}, but=self)

    def me(self, message: Message) -> None:
        assert self.room is not None
        name, hue = one_line(message, "name", MAX_NAME), degrees(message)
        before, self.name = self.name, ""
        self.name, self.hue = self.room.free_name(name), hue
        self.room.publish({"t": "changed", "who": self.about(), "before": before})

    def ping(self, message: Message) -> None:
        number = message.get("n")
        if type(number) is not int or not 0 <= number < 2**31:
            raise Mistake("A ping has a number.")
        self.tell({"t": "pong", "n": number})

    ACTIONS: dict[str, Callable[[Client, Message], None]] = {"join": join, "say": say, "typing": typing, "me": me, "ping": ping}


# Reading what a stranger sent.


def decode(data: bytes) -> Message:
    if len(data) > MAX_FRAME:
        raise Mistake("This message is too long.")
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        raise Mistake("This is not JSON.") from None
    if not isinstance(message, dict) or not isinstance(message.get("t"), str):
        raise Mistake('A message is an object with a type in "t".')
    return message


def encode(message: Message) -> bytes:
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def public(said: Message) -> Message:
    """A message as all but its author see it."""
    return {name: value for name, value in said.items() if name != "ref"}


def text(message: Message, field: str, limit: int) -> str:
    """A field's text without control characters (lines and tabs stay), half characters and bidi overrides."""
    value = message.get(field)
    if not isinstance(value, str):
        raise Mistake(f'"{field}" has to be text.')
    if len(value) > limit:
        raise Mistake(f'"{field}" is too long: {limit} characters at most.')
    return "".join(c for c in value if c in "\n\t" or not (unicodedata.category(c) in ("Cc", "Cs") or c in BIDI_CONTROLS))


def one_line(message: Message, field: str, limit: int) -> str:
    value = " ".join(text(message, field, limit).split())
    if not any(unicodedata.category(c)[0] in "LNPS" for c in value):
        raise Mistake(f'"{field}" is empty.')
    return value


def degrees(message: Message) -> int:
    hue = message.get("hue")
    if type(hue) is not int or not 0 <= hue < 360:
        raise Mistake('"hue" has to be a whole number from 0 to 359.')
    return hue


# The connection.


def watch(fd: int, client: Client) -> None:
    """Wake the client's greenlet when its descriptor has something, and wait until it has read that."""
    while True:
        gevent.socket.wait_read(fd)
        client.drained.clear()
        client.wake.set()
        client.drained.wait()


def converse(client: Client) -> None:
    """Read and send until one side ends it.

    Raises:
        OSError: the page is gone.
        Goodbye: this side has had enough.
    """
    while True:
        client.wake.wait(WAKE_EVERY)
        client.wake.clear()
        for _ in range(READS_PER_TURN):
            data = uwsgi.websocket_recv_nb()
            if not data:
                client.drained.set()
                break
            client.receive(data)
        else:
            client.wake.set()  # there may be more, after the others' turn
            gevent.sleep(0)
        while client.outbox:
            uwsgi.websocket_send(client.outbox.popleft())
        if client.goodbye is not None:
            raise client.goodbye
        if client.room is None and time.monotonic() - client.connected > JOIN_WITHIN:
            raise Goodbye(POLICY, "no room was joined")


def serve_chat() -> None:
    uwsgi.websocket_handshake()
    client = Client()
    watcher = gevent.spawn(watch, uwsgi.connection_fd(), client)
    try:
        converse(client)
    except Goodbye as goodbye:
        client.leave()
        try:
            uwsgi.websocket_send(encode({"t": "bye", "text": goodbye.reason}))
            if hasattr(uwsgi, "websocket_close"):  # the real uWSGI can only hang up, which it does when we return
                uwsgi.websocket_close(goodbye.code, goodbye.reason)
        except OSError:
            pass
    except OSError:
        pass  # the tab was closed, or the network is gone: nothing to report
    finally:
        client.leave()
        watcher.kill()  # before the server closes the descriptor that it watches


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The WSGI application: websockets at /chat; the page's files are the server's business (check-static)."""
    if environ.get("PATH_INFO") != "/chat":
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Not here. The chat's page is at /\n"]
    if "HTTP_SEC_WEBSOCKET_KEY" not in environ:
        start_response("400 Bad Request", [("Content-Type", "text/plain")])
        return [b"This address speaks websocket only.\n"]
    serve_chat()
    return []
