"""hypothesis strategies: conversations of a client as frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.protocol.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

keys = st.binary(min_size=4, max_size=4)
controls = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))
texts = st.text(max_size=40).map(lambda text: (TEXT, text.encode()))
binaries = st.binary(max_size=300).map(lambda data: (BINARY, data))


@dataclass
class Conversation:
    """A valid stream and what it carries."""

    data: bytes = b""
    messages: list[tuple[int, bytes]] = field(default_factory=list)
    control: list[tuple[int, bytes]] = field(default_factory=list)
    close_code: int = 1006
    close_reason: str = ""


@st.composite
def conversations(draw: Any, closed: Any = st.booleans()) -> Conversation:
    """Messages in any fragments, control frames anywhere between frames, perhaps a close frame at the end."""
    talk = Conversation()

    def some_controls() -> None:
        for opcode, payload in draw(st.lists(controls, max_size=2)):
            talk.data += frame(opcode, payload, key=draw(keys))
            talk.control.append((opcode, payload))

    for opcode, payload in draw(st.lists(texts | binaries, max_size=4)):
        marks = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
        starts, ends = [0, *marks], [*marks, len(payload)]
        for number, (start, end) in enumerate(zip(starts, ends)):
            some_controls()
            last = number == len(marks)
            talk.data += frame(CONTINUATION if number else opcode, payload[start:end], fin=last, key=draw(keys))
        talk.messages.append((opcode, payload))
    some_controls()
    if draw(closed):
        talk.close_code = draw(st.sampled_from([1005, 1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999]))
        talk.close_reason = draw(st.text(max_size=30)) if talk.close_code != 1005 else ""
        payload = b"" if talk.close_code == 1005 else talk.close_code.to_bytes(2, "big") + talk.close_reason.encode()
        talk.data += frame(CLOSE, payload, key=draw(keys))
        talk.control.append((CLOSE, payload))
    return talk


@st.composite
def spoilt(draw: Any) -> bytes:
    """A conversation with octets changed, lost, doubled or put in."""
    data = bytearray(draw(conversations()).data)
    for _ in range(draw(st.integers(1, 3))):
        if not data:
            break
        position = draw(st.integers(0, len(data) - 1))
        kind = draw(st.sampled_from(["flip", "set", "lose", "insert", "double"]))
        if kind == "flip":
            data[position] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set":
            data[position] = draw(st.integers(0, 255))
        elif kind == "lose":
            del data[position : position + draw(st.integers(1, 5))]
        elif kind == "insert":
            data[position:position] = draw(st.binary(min_size=1, max_size=6))
        else:
            data[position:position] = data[position : position + draw(st.integers(1, 20))]
    return bytes(data)
