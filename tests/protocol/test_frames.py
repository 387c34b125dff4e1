"""geuwsgi/protocol/frames.py"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.uri import parse_uri
from wsproto.frame_protocol import FrameProtocol

from geuwsgi.protocol.frames import BINARY, CLOSE, PING, PONG, TEXT, close_code_allowed, encode_close, encode_frame
from tests.protocol.reference import ALLOWED_CLOSE_CODES


def test_the_examples_of_rfc_6455() -> None:
    # Section 5.7, the unmasked ones.
    assert encode_frame(TEXT, b"Hello") == b"\x81\x05\x48\x65\x6c\x6c\x6f"
    assert encode_frame(PING, b"Hello") == b"\x89\x05\x48\x65\x6c\x6c\x6f"
    assert encode_frame(BINARY, b"\xaa" * 256) == b"\x82\x7e\x01\x00" + b"\xaa" * 256
    assert encode_frame(BINARY, b"\xaa" * 65536) == b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + b"\xaa" * 65536


@pytest.mark.parametrize(
    ("opcode", "first"), [(TEXT, b"\x81"), (BINARY, b"\x82"), (CLOSE, b"\x88"), (PING, b"\x89"), (PONG, b"\x8a")], ids=str
)
def test_opcodes(opcode: int, first: bytes) -> None:
    assert encode_frame(opcode, b"") == first + b"\x00"
    assert encode_frame(opcode, b"\xff\x00") == first + b"\x02\xff\x00"


@pytest.mark.parametrize(
    ("size", "length"),
    [
        (0, b"\x00"),
        (1, b"\x01"),
        (125, b"\x7d"),
        (126, b"\x7e\x00\x7e"),
        (127, b"\x7e\x00\x7f"),
        (255, b"\x7e\x00\xff"),
        (256, b"\x7e\x01\x00"),
        (65535, b"\x7e\xff\xff"),
        (65536, b"\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        (65537, b"\x7f\x00\x00\x00\x00\x00\x01\x00\x01"),
        (16 << 20, b"\x7f\x00\x00\x00\x00\x01\x00\x00\x00"),
    ],
)
@pytest.mark.parametrize("rsv1", [False, True])
def test_lengths_take_their_shortest_form(size: int, length: bytes, rsv1: bool) -> None:
    frame = encode_frame(BINARY, bytes(size), rsv1)
    assert frame[: 1 + len(length)] == (b"\xc2" if rsv1 else b"\x82") + length
    assert len(frame) == 1 + len(length) + size


def test_a_close_frame() -> None:
    assert encode_close(1000) == b"\x88\x02\x03\xe8"
    assert encode_close(1001, "bye") == b"\x88\x05\x03\xe9bye"
    assert encode_close(4999, "\u00e9") == b"\x88\x04\x13\x87\xc3\xa9"


def test_no_status_is_an_empty_close_frame() -> None:
    assert encode_close(1005) == b"\x88\x00"
    assert encode_close(1005, "never sent") == b"\x88\x00"


@pytest.mark.parametrize("character", ["x", "\u00e9", "\u20ac", "\U0001f600"])
@pytest.mark.parametrize("lead", ["", "1", "12", "123"])
def test_a_long_reason_is_cut_between_characters(character: str, lead: str) -> None:
    frame = encode_close(1000, lead + character * 130)
    assert frame[1] == len(frame) - 2 <= 125
    reason = frame[4:].decode("utf-8")
    assert (lead + character * 130).startswith(reason)
    assert 123 - len(frame[4:]) < len(character.encode())


def test_a_reason_that_is_not_unicode_stays_valid_utf_8() -> None:
    assert encode_close(1000, "a\ud800b")[4:].decode("utf-8") == "a?b"


def test_close_codes() -> None:
    # Section 7.4 and the registry: 1004 is reserved, 1005, 1006 and 1015 are for local use.
    assert [code for code in range(0x10000) if close_code_allowed(code)] == [
        *range(1000, 1004),
        *range(1007, 1015),
        *range(3000, 5000),
    ]
    assert {code for code in range(0x10000) if close_code_allowed(code)} == ALLOWED_CLOSE_CODES
    assert not close_code_allowed(-1)
    assert not close_code_allowed(1 << 20)


# -- second opinions

_opcodes = st.sampled_from([TEXT, BINARY, PING, PONG])


def _payload(opcode: int, text: str) -> bytes:
    payload = text.encode()
    return payload[:120].decode("utf-8", "ignore").encode() if opcode >= 8 else payload


@given(st.lists(st.tuples(_opcodes, st.text(max_size=400)), max_size=8), st.sampled_from([1000, 1001, 3000, 4999]), st.text(max_size=30))
def test_websockets_reads_the_same(items: list[tuple[int, str]], code: int, reason: str) -> None:
    sent = [(opcode, _payload(opcode, text)) for opcode, text in items]
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN)
    client.receive_data(b"".join(encode_frame(*item) for item in sent) + encode_close(code, reason))
    events = client.events_received()
    assert [(int(event.opcode), bytes(event.data)) for event in events[:-1]] == sent
    assert events[-1].opcode is Opcode.CLOSE
    assert client.close_rcvd is not None
    assert client.close_rcvd.code == code
    assert reason.startswith(client.close_rcvd.reason)
    assert client.parser_exc is None


@given(st.lists(st.tuples(_opcodes, st.text(max_size=400)), max_size=8))
def test_wsproto_reads_the_same(items: list[tuple[int, str]]) -> None:
    sent = [(opcode, _payload(opcode, text)) for opcode, text in items]
    client = FrameProtocol(client=True, extensions=[])
    client.receive_bytes(b"".join(encode_frame(*item) for item in sent))
    received = []
    for frame in client.received_frames():
        payload = frame.payload.encode() if isinstance(frame.payload, str) else bytes(frame.payload)
        received.append((int(frame.opcode), payload))
        assert frame.frame_finished
        assert frame.message_finished
    assert received == sent
