"""RFC 7692 against a real process: what is agreed on, and messages in every form that it allows or forbids."""

from __future__ import annotations

import json
import random
import re
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

from geuwsgi import accel
from tests.conformance.client import BINARY, CONTINUATION, PING, TEXT, Event, RawClient, Response, Violation, request
from tests.protocol.wire import close_frame, frame, pieces

PD = "permessage-deflate"
RSV1 = 4
TAIL = b"\x00\x00\xff\xff"
HELLO = bytes.fromhex("f2 48 cd c9 c9 07 00")

StartServer = Callable[..., Any]


class DeflateClient(RawClient):
    """A RawClient that offers compression.

    Attributes:
        squeezed: for each message received, whether it came compressed.
    """

    def __init__(self, server: Any, offer: Any = PD, early: bytes = b"") -> None:
        import socket

        super().__init__(socket.create_connection(("127.0.0.1", server.port), 10))
        self.squeezed: list[bool] = []
        self._bit = False
        self._offer = offer
        self._early = early
        self._deflater: Any = None
        self._inflater: Any = None
        self._fresh = True
        self._bits = 15
        self._server_fresh = True

    def __enter__(self) -> DeflateClient:
        return self

    def open(self) -> Optional[str]:
        """Shake hands; what the server has agreed to."""
        data, _ = request("/", sec_websocket_extensions=self._offer)
        self.send(data + self._early)
        response = self.response()
        assert response.status == 101
        agreed = response.get("sec-websocket-extensions")
        if agreed is not None:
            self._take_on(agreed)
        return agreed

    def refused(self) -> Response:
        self.send(request("/", sec_websocket_extensions=self._offer)[0])
        response = self.response()
        self.body(response)
        return response

    def _take_on(self, agreed: str) -> None:
        name, *parameters = agreed.split("; ")
        assert name == PD
        said = dict(parameter.partition("=")[::2] for parameter in parameters)
        assert len(said) == len(parameters)
        self._fresh = "client_no_context_takeover" in said
        self._server_fresh = "server_no_context_takeover" in said
        self._bits = int(said.get("client_max_window_bits", "15"))
        self._server_bits = int(said.get("server_max_window_bits", "15"))
        self._inflater = zlib.decompressobj(-self._server_bits)

    def squeeze(self, payload: bytes) -> bytes:
        """A message as it goes into frames."""
        if self._deflater is None or self._fresh:
            self._deflater = zlib.compressobj(6, zlib.DEFLATED, -max(self._bits, 9))
        data: bytes = self._deflater.compress(payload) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
        return data[:-4]

    def say(self, opcode: int, payload: bytes) -> None:
        self.send(frame(opcode, self.squeeze(payload), rsv=RSV1))

    def close(self) -> None:
        self.send(close_frame(1000))
        assert self.event() == Event("close", b"", 1000)
        assert self.event() == Event("end")

    def _octets(self, count: int, end: float) -> Optional[bytes]:
        data = super()._octets(count, end)
        if count == 2 and data is not None and self._inflater is not None:
            # The first two octets of a frame. The rest of the client is to see them as RFC 6455 has them.
            self._bit = bool(data[0] & 0x40)
            data = bytes((data[0] & ~0x40, data[1]))
        return data

    def _judge(self, fin: bool, opcode: int, payload: bytes) -> Optional[Event]:
        if opcode in (TEXT, BINARY):
            self.squeezed.append(self._bit)
            if self._bit:
                payload = self._inflated(payload)
        elif self._bit:
            raise Violation(f"RSV1 on a frame with opcode {opcode}")
        return super()._judge(fin, opcode, payload)

    def _inflated(self, payload: bytes) -> bytes:
        try:
            plain: bytes = self._inflater.decompress(payload + TAIL)
        except zlib.error as error:
            raise Violation(f"compressed message: {error}") from None
        if self._server_fresh:
            self._inflater = zlib.decompressobj(-self._server_bits)
        return plain


#: Each variant of the code with each way of keeping contexts.
SERVERS: dict[str, tuple[list[str], Optional[dict[str, str]]]] = {
    "fresh": (["--websockets-deflate"], None),
    "takeover": (["--websockets-deflate", "--websockets-deflate-takeover"], None),
}
if accel.COMPILED:
    SERVERS.update({f"{name}-pure": (options, {"GEUWSGI_PURE": "1"}) for name, (options, _) in list(SERVERS.items())})


@dataclass(frozen=True)
class Endpoint:
    server: Any
    takeover: bool


@pytest.fixture(params=SERVERS)
def endpoint(request: pytest.FixtureRequest, shared_server: StartServer) -> Endpoint:
    options, env = SERVERS[request.param]
    server = shared_server("conformance.py", "--websockets-max-size", "2048", "--disable-logging", *options, env=env)
    return Endpoint(server, "takeover" in request.param)


@pytest.fixture
def client(endpoint: Endpoint) -> Iterator[DeflateClient]:
    with DeflateClient(endpoint.server) as opened:
        opened.open()
        yield opened


# -- the handshake

FRESH = f"{PD}; server_no_context_takeover; client_no_context_takeover"

AGREED: list[tuple[Any, Optional[str], Optional[str]]] = [
    (PD, FRESH, PD),
    (f"{PD}; client_max_window_bits", FRESH, PD),
    (f"{PD}; server_max_window_bits=9; client_max_window_bits=10", f"{FRESH}; server_max_window_bits=9; client_max_window_bits=10", "same"),
    (["x-unknown; a=1", PD], FRESH, PD),
    ([f"{PD}; server_max_window_bits=8", f"{PD}; server_no_context_takeover"], FRESH, f"{PD}; server_no_context_takeover"),
    ([f"{PD}; unknown", "x"], None, None),
    ("", None, None),
]


@pytest.mark.parametrize(("offer", "fresh", "takeover"), AGREED, ids=[str(offer) for offer, _, _ in AGREED])
def test_agreed(endpoint: Endpoint, offer: Any, fresh: Optional[str], takeover: Optional[str]) -> None:
    with DeflateClient(endpoint.server, offer) as client:
        expected = takeover if endpoint.takeover else fresh
        if expected == "same":
            expected = offer
        assert client.open() == expected
        if expected is None:
            client.send(frame(TEXT, b"plain " * 100))
            assert client.event() == Event("text", b"plain " * 100)
            client.send(frame(TEXT, HELLO, rsv=RSV1))
            assert client.event().code == 1002
        else:
            client.say(TEXT, b"squeezed " * 100)
            assert client.event() == Event("text", b"squeezed " * 100)
            client.close()


@pytest.mark.parametrize("offer", [f"{PD};", "a b", f"{PD}; client_max_window_bits=", [PD, "="]])
def test_malformed(endpoint: Endpoint, offer: Any) -> None:
    with DeflateClient(endpoint.server, offer) as client:
        response = client.refused()
        assert response.status == 400
        assert response.get("sec-websocket-accept") is None


def test_off_by_default(shared_server: StartServer) -> None:
    server = shared_server("conformance.py", "--disable-logging")
    for offer in (PD, "a b"):
        with DeflateClient(server, offer) as client:
            assert client.open() is None
            client.send(frame(TEXT, HELLO, rsv=RSV1))
            assert client.event().code == 1002


def test_frames_in_a_hurry_go_without(endpoint: Endpoint) -> None:
    with DeflateClient(endpoint.server, PD, early=frame(TEXT, b"early " * 100)) as client:
        assert client.open() is None
        assert client.event() == Event("text", b"early " * 100)
        client.send(close_frame(1000))
        assert client.event() == Event("close", b"", 1000)


# -- messages

NOISE = random.Random(7692).randbytes(1 << 20)
SIZES = (0, 1, 2, 125, 126, 127, 128, 129, 1000, 4095, 4096, 4097, 65535, 65536, 65537, 300_000, 1 << 20)
KINDS: dict[str, Callable[[int], bytes]] = {
    "zeros": bytes,
    "noise": lambda size: NOISE[:size],
    "words": lambda size: (b"the quick brown fox %d " * (size // 20 + 1))[:size],
    "noise and zeros": lambda size: b"".join(NOISE[i * 64 : i * 64 + 64] + bytes(200) for i in range(size // 264 + 1))[:size],
}


@pytest.mark.parametrize("kind", KINDS)
def test_sizes(client: DeflateClient, kind: str) -> None:
    for size in SIZES:
        payload = KINDS[kind](size)
        client.say(BINARY, payload)
        assert client.event() == Event("binary", payload)
        # Under the threshold messages are left alone.
        assert client.squeezed.pop() == (size >= 128)
    client.close()


def test_plain_and_squeezed_in_turn(client: DeflateClient) -> None:
    for number in range(20):
        payload = b"message %d " % (number % 3) * 30
        if number % 2:
            client.send(frame(TEXT, payload))
        else:
            client.say(TEXT, payload)
        assert client.event() == Event("text", payload)
    client.close()


def test_pipelined(client: DeflateClient) -> None:
    payloads = [b"number %d " % number * (number * 7 % 60) for number in range(300)]
    client.send(b"".join(frame(TEXT, client.squeeze(payload), rsv=RSV1) for payload in payloads))
    for payload in payloads:
        assert client.event() == Event("text", payload)
    client.close()


def test_octet_by_octet(client: DeflateClient) -> None:
    for piece in pieces(frame(TEXT, client.squeeze(b"slowly " * 40), rsv=RSV1), 1):
        client.send(piece)
    assert client.event() == Event("text", b"slowly " * 40)
    client.close()


@pytest.mark.parametrize("size", [1, 7, 100])
def test_fragments_and_control_frames_between_them(client: DeflateClient, size: int) -> None:
    payload = KINDS["words"](500) + NOISE[:300]
    for _ in range(2):
        parts = list(pieces(client.squeeze(payload), size))
        for number, part in enumerate(parts):
            client.send(frame(CONTINUATION if number else BINARY, part, fin=False, rsv=0 if number else RSV1) + frame(PING, b"%d" % number))
            assert client.event() == Event("pong", b"%d" % number)
        client.send(frame(CONTINUATION))
        assert client.event() == Event("binary", payload)
    client.close()


@pytest.mark.parametrize(
    "payload",
    [
        "00 05 00 fa ff 48 65 6c 6c 6f 00",
        "f3 48 cd c9 c9 07 00 00",
        "f2 48 05 00 00 00 ff ff ca c9 c9 07 00",
    ],
)
def test_the_examples(client: DeflateClient, payload: str) -> None:
    client.send(frame(TEXT, bytes.fromhex(payload), rsv=RSV1))
    assert client.event() == Event("text", b"Hello")
    client.close()


# -- failures

FAILURES: dict[str, tuple[bytes, int]] = {
    "RSV2": (frame(TEXT, HELLO, rsv=2), 1002),
    "RSV1 and RSV3": (frame(TEXT, HELLO, rsv=5), 1002),
    "RSV1 on a ping": (frame(PING, HELLO, rsv=RSV1), 1002),
    "RSV1 on a close frame": (close_frame(1000, rsv=RSV1), 1002),
    "RSV1 on a continuation": (frame(TEXT, HELLO[:2], fin=False, rsv=RSV1) + frame(CONTINUATION, HELLO[2:], rsv=RSV1), 1002),
    "RSV1 on the continuation of a plain message": (frame(TEXT, b"a", fin=False) + frame(CONTINUATION, HELLO, rsv=RSV1), 1002),
    "rubbish": (frame(TEXT, b"\xff" * 30, rsv=RSV1), 1007),
    "nothing": (frame(TEXT, b"", rsv=RSV1), 1007),
    "cut short": (frame(TEXT, HELLO[:-2], rsv=RSV1), 1007),
    "bad UTF-8 inside": (frame(TEXT, b"\x00\x02\x00\xfd\xff\xc0\xaf\x00", rsv=RSV1), 1007),
}


@pytest.mark.parametrize(("data", "code"), FAILURES.values(), ids=FAILURES)
def test_failures(client: DeflateClient, data: bytes, code: int) -> None:
    client.say(TEXT, b"before " * 30)
    client.send(data)
    assert client.event() == Event("text", b"before " * 30)
    failure = client.event()
    assert (failure.kind, failure.code) == ("close", code)
    assert client.event() == Event("end")


def squeezed_zeros(size: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = bytes(1 << 20)
    parts = [compressor.compress(piece) for _ in range(size >> 20)]
    return b"".join([*parts, compressor.compress(piece[: size & 0xFFFFF]), compressor.flush(zlib.Z_SYNC_FLUSH)])[:-4]


def most_memory(server: Any) -> int:
    """The most that the process has had in memory so far, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.pid}/status").read_text())
    assert found is not None
    return int(found.group(1)) << 10


def test_bombs(server: StartServer) -> None:
    """One that is too large, and many that are just not: neither takes more memory than the limits allow."""
    running = server("conformance.py", "--websockets-deflate", "--disable-logging")
    before = most_memory(running)
    with DeflateClient(running) as client:
        client.open()
        client.send(frame(BINARY, squeezed_zeros(1 << 30), rsv=RSV1))
        assert client.event().code == 1009
    small = frame(BINARY, squeezed_zeros(1 << 20), rsv=RSV1)
    assert len(small) < 1100
    with DeflateClient(running) as client:
        client.open()
        client.send(small * 200)
        for _ in range(200):
            event = client.event()
            assert (event.kind, len(event.payload or b"")) == ("binary", 1 << 20)
    # 200 MB came out of one packet's worth of octets; at no moment were more than the inbox and one read there.
    assert most_memory(running) - before < 24 << 20


# -- one message for many


def call(client: DeflateClient, *words: Any) -> Any:
    """Have tests/apps/channels.py do something; what it answers."""
    client.say(TEXT, json.dumps(words).encode())
    while True:
        event = client.event()
        if event.payload is not None and event.payload.startswith(b'["'):
            kind, answer = json.loads(event.payload)
            assert kind == "="
            return answer


@pytest.mark.parametrize("takeover", [[], ["--websockets-deflate-takeover"]], ids=["fresh", "takeover"])
def test_a_room_of_all_kinds(shared_server: StartServer, takeover: list[str]) -> None:
    server = shared_server("channels.py", "--disable-logging", "--websockets-deflate", *takeover)
    offers = ["", PD, f"{PD}; server_no_context_takeover", f"{PD}; server_max_window_bits=9", f"{PD}; server_max_window_bits=9", PD]
    with ExitStack() as stack:
        members = [stack.enter_context(DeflateClient(server, offer)) for offer in offers]
        for member in members[1:]:
            member.open()
            call(member, "join", "room")
        members[0].open()
        members[0].send(frame(TEXT, b'["join", "room"]'))
        assert members[0].event() == Event("text", b'["=", null]')
        for number in range(20):
            words = f"{number}: hello, everybody in the room. " * (number % 4 + 1)
            members[1].say(TEXT, json.dumps(["send_others", "room", words]).encode())
            assert members[1].event() == Event("text", b'["=", null]')
            for member in (members[0], *members[2:]):
                assert member.event() == Event("text", words.encode())
        assert not any(members[0].squeezed)
        # Those that keep no context get the long ones compressed.
        assert members[2].squeezed[1:] == [number % 4 > 2 for number in range(20)]


@pytest.mark.parametrize("overflow", ["drop-newest", "drop-oldest"])
@pytest.mark.parametrize("takeover", [[], ["--websockets-deflate-takeover"]], ids=["fresh", "takeover"])
def test_what_is_dropped_leaves_the_context_whole(server: StartServer, overflow: str, takeover: list[str]) -> None:
    options = ["--channel-queue", "20", "--channel-overflow", overflow, "--websockets-deflate", *takeover]
    running = server("channels.py", "--disable-logging", *options)
    texts = [f"{number} " + NOISE[number * 1000 : number * 1000 + 6_000].hex() for number in range(10)]
    with DeflateClient(running) as slow, DeflateClient(running) as fast:
        slow.open()
        fast.open()
        call(slow, "join", "room")
        sent = 0
        while not sent or call(fast, "channels")["room"]["dropped"] < 30:
            for text in texts:
                call(fast, "send", "room", text)
                sent += 1
        received = sent - call(fast, "channels")["room"]["dropped"]
        for _ in range(received):
            event = slow.event()
            assert (event.kind, (event.payload or b"").decode() in texts) == ("text", True)
        # What comes now still refers to nothing that was lost.
        call(fast, "send", "room", texts[0])
        assert slow.event() == Event("text", texts[0].encode())
        assert call(slow, "count", "room") == 1
        assert call(slow, "sleep", 0) is None


# -- others

COMBINATIONS = list(product([False, True], [False, True], [None, 9, 15], [None, True, 9, 15]))


def test_websockets_in_every_combination(endpoint: Endpoint) -> None:
    for combination in COMBINATIONS:
        factory = ClientPerMessageDeflateFactory(*combination)
        with connect(endpoint.server.ws_url, compression=None, extensions=[factory], max_size=None) as client:
            assert [type(extension).__name__ for extension in client.protocol.extensions] == ["PerMessageDeflate"], combination
            for payload in ("", "Grüße " * 50, b"\x00\xff" * 3000, NOISE[:5000], "", "Grüße " * 50):
                client.send(payload)
                assert client.recv(timeout=10) == payload, combination
            client.send(["cut ", "in ", "pieces " * 50])
            assert client.recv(timeout=10) == "cut in " + "pieces " * 50


@pytest.mark.browser
def test_chromium(chromium: Any, endpoint: Endpoint, shared_server: StartServer) -> None:
    options, env = SERVERS["takeover" if endpoint.takeover else "fresh"]
    page = shared_server("browser_page.py", *options, "--websockets-max-size", "2048", env=env)
    chromium.get(page.url + "/")
    extensions, same, code = chromium.execute_async_script(
        """
        const done = arguments[0];
        const socket = open_socket("/ws");
        const noise = new Uint8Array(1 << 16);
        crypto.getRandomValues(noise);
        const sent = ["", "short", "again and again ".repeat(100), "again and again ".repeat(100), "\\u00fc\\u{1f388}".repeat(100000),
                      new Uint8Array(0), new Uint8Array(300000), noise, ""];
        let same = 0;
        const text = message => typeof message == "string" ? message : Array.from(new Uint8Array(message)).join();
        socket.onopen = () => sent.forEach(message => socket.send(message));
        socket.onmessage = event => {
            if (typeof event.data == typeof sent[same] && text(event.data) === text(sent[same])) same++;
            if (same == sent.length) { window.extensions = socket.extensions; socket.send("close 1000 bye"); }
        };
        socket.onclose = event => done([socket.extensions, same, event.code]);
        """
    )
    expected = PD if endpoint.takeover else FRESH
    assert (extensions, same, code) == (expected, 9, 1000)
