"""geuwsgi/protocol/messages.py, and its compiled twin where there is one."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.protocol import State
from websockets.server import ServerProtocol
from wsproto.frame_protocol import FrameProtocol, ParseFailed

from geuwsgi.errors import WebSocketError
from tests.protocol.decoders import results
from tests.protocol.reference import ALLOWED_CLOSE_CODES, ReferenceDecoder
from tests.protocol.strategies import Conversation, conversations, spoilt
from tests.protocol.texts import BAD_TEXTS, GOOD_TEXTS
from tests.protocol.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, cut, frame, pieces

Decoders = Callable[[int], Any]
LIMIT = 1 << 20

# The fixture is a class, the same for every example.
with_fixture = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
cuts = st.lists(st.integers(0, 1 << 12), max_size=8)


def fails_at(decoder_class: Decoders, data: bytes, max_size: int = LIMIT) -> tuple[int, int]:
    """(the close code, how many octets were in when the failure appeared), fed one octet at a time; (0, 0) without one."""
    decoder = decoder_class(max_size)
    for position in range(len(data)):
        decoder.feed(data[position : position + 1])
        if decoder.error is not None:
            assert isinstance(decoder.error, WebSocketError)
            assert len(decoder.error.reason.encode()) <= 123
            return decoder.error.code, position + 1
    return 0, 0


def decoded(decoder_class: Decoders, data: bytes, max_size: int = LIMIT) -> Any:
    decoder = decoder_class(max_size)
    decoder.feed(data)
    return decoder


# -- valid


def test_the_example_of_rfc_6455(decoder_class: Decoders) -> None:
    decoder = decoded(decoder_class, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")
    assert list(decoder.messages) == [(TEXT, b"Hello")]
    assert decoder.size == 5
    assert decoder.error is None


def test_fragments_of_rfc_6455(decoder_class: Decoders) -> None:
    # Section 5.7, "Hel" and "lo", masked here as a client must.
    data = b"\x01\x83\x37\xfa\x21\x3d\x7f\x9f\x4d" + b"\x80\x82\x37\xfa\x21\x3d\x5b\x95"
    assert list(decoded(decoder_class, data).messages) == [(TEXT, b"Hello")]


def test_a_ping_of_rfc_6455(decoder_class: Decoders) -> None:
    decoder = decoded(decoder_class, b"\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")
    assert decoder.control == [(PING, b"Hello")]
    assert not decoder.messages


def test_a_fresh_decoder(decoder_class: Decoders) -> None:
    decoder = decoder_class(LIMIT)
    decoder.feed(b"")
    assert results(decoder) == ([], [], None, 1006, "")
    assert decoder.size == 0


def test_the_frame_that_is_arriving(decoder_class: Decoders) -> None:
    decoder = decoded(decoder_class, frame(BINARY, b"x" * 70_000)[:-1])
    assert decoder.arriving == 70_000
    decoder.feed(b"x")
    assert decoder.arriving == 0


@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 127, 128, 255, 256, 65534, 65535, 65536, 65537, 200000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_sizes(decoder_class: Decoders, opcode: int, size: int) -> None:
    payload = (b"0123456789" * (size // 10 + 1))[:size]
    data = frame(opcode, payload)
    for piece in (len(data), 1024, 7):
        decoder = decoder_class(LIMIT)
        for part in pieces(data, piece):
            decoder.feed(part)
        assert list(decoder.messages) == [(opcode, payload)]
        assert decoder.size == size
        assert type(decoder.messages[0][1]) is bytes


def test_several_frames_in_one_read(decoder_class: Decoders) -> None:
    data = frame(TEXT, b"a") + frame(PING, b"p") + frame(BINARY, b"b") + frame(PONG, b"") + frame(TEXT, b"")
    decoder = decoded(decoder_class, data)
    assert list(decoder.messages) == [(TEXT, b"a"), (BINARY, b"b"), (TEXT, b"")]
    assert decoder.control == [(PING, b"p"), (PONG, b"")]
    assert decoder.size == 2


def test_control_frames_inside_a_message(decoder_class: Decoders) -> None:
    data = frame(TEXT, b"a", fin=False) + frame(PING, b"1") + frame(CONTINUATION, b"b", fin=False) + frame(PONG, b"2")
    decoder = decoded(decoder_class, data)
    assert decoder.control == [(PING, b"1"), (PONG, b"2")]
    assert not decoder.messages
    decoder.feed(frame(CONTINUATION, b"c"))
    assert list(decoder.messages) == [(TEXT, b"abc")]


def test_empty_fragments(decoder_class: Decoders) -> None:
    empty = frame(CONTINUATION, fin=False)
    assert list(decoded(decoder_class, frame(TEXT, fin=False) + empty + frame(CONTINUATION)).messages) == [(TEXT, b"")]
    assert list(decoded(decoder_class, frame(BINARY, fin=False) + empty + frame(CONTINUATION, b"x")).messages) == [(BINARY, b"x")]
    assert list(decoded(decoder_class, frame(BINARY, b"x", fin=False) + empty + frame(CONTINUATION)).messages) == [(BINARY, b"x")]


def test_a_message_of_many_fragments(decoder_class: Decoders) -> None:
    data = frame(BINARY, b"x", fin=False) + frame(CONTINUATION, b"y", fin=False) * 5000 + frame(CONTINUATION, b"z")
    assert list(decoded(decoder_class, data).messages) == [(BINARY, b"x" + b"y" * 5000 + b"z")]


def test_every_key_rotates_through_a_cut_payload(decoder_class: Decoders) -> None:
    payload = bytes(range(64))
    for key in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x02\x04\x08"):
        for size in (1, 2, 3, 5, 7):
            decoder = decoder_class(LIMIT)
            for part in pieces(frame(BINARY, payload, key=key), size):
                decoder.feed(part)
            assert list(decoder.messages) == [(BINARY, payload)]


def test_size_is_the_takers_to_lower(decoder_class: Decoders) -> None:
    decoder = decoded(decoder_class, frame(TEXT, b"abc") + frame(TEXT, b"de"))
    assert decoder.size == 5
    decoder.size -= len(decoder.messages.pop(0)[1])
    decoder.feed(frame(BINARY, b"f"))
    assert decoder.size == 3
    assert list(decoder.messages) == [(TEXT, b"de"), (BINARY, b"f")]


# -- close


@pytest.mark.parametrize("code", sorted(ALLOWED_CLOSE_CODES - set(range(3001, 4999)) | {3001, 3999, 4000, 4998}))
def test_close_codes_allowed(decoder_class: Decoders, code: int) -> None:
    decoder = decoded(decoder_class, close_frame(code, b"bye"))
    assert results(decoder) == ([], [(CLOSE, code.to_bytes(2, "big") + b"bye")], None, code, "bye")


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, 32768, 65535])
def test_close_codes_forbidden(decoder_class: Decoders, code: int) -> None:
    decoder = decoded(decoder_class, close_frame(code))
    assert results(decoder) == ([], [], 1002, 1006, "")


def test_close_without_a_code(decoder_class: Decoders) -> None:
    assert results(decoded(decoder_class, close_frame())) == ([], [(CLOSE, b"")], None, 1005, "")


def test_close_with_half_a_code(decoder_class: Decoders) -> None:
    assert results(decoded(decoder_class, frame(CLOSE, b"\x03"))) == ([], [], 1002, 1006, "")


def test_close_with_the_longest_reason(decoder_class: Decoders) -> None:
    reason = "\u20ac" * 41
    assert results(decoded(decoder_class, close_frame(1000, reason.encode())))[2:] == (None, 1000, reason)


@pytest.mark.parametrize("reason", [b"\xff", b"\xc3", b"a\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"])
def test_close_with_a_reason_that_is_not_utf_8(decoder_class: Decoders, reason: bytes) -> None:
    assert results(decoded(decoder_class, close_frame(1000, reason))) == ([], [], 1007, 1006, "")


def test_a_bad_code_comes_before_a_bad_reason(decoder_class: Decoders) -> None:
    assert decoded(decoder_class, close_frame(1005, b"\xff")).error.code == 1002


def test_nothing_counts_behind_a_close_frame(decoder_class: Decoders) -> None:
    decoder = decoded(decoder_class, frame(TEXT, b"a") + close_frame(1001) + frame(TEXT, b"b") + b"\xff\xff\xff")
    decoder.feed(frame(TEXT, b"c"))
    assert results(decoder) == ([(TEXT, b"a")], [(CLOSE, b"\x03\xe9")], None, 1001, "")


def test_close_inside_a_message(decoder_class: Decoders) -> None:
    decoder = decoded(decoder_class, frame(TEXT, b"a", fin=False) + close_frame(1000) + frame(CONTINUATION, b"b"))
    assert results(decoder) == ([], [(CLOSE, b"\x03\xe8")], None, 1000, "")


# -- failures, and the octet at which they appear


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG])
def test_reserved_bits_fail_at_the_first_octet(decoder_class: Decoders, opcode: int, rsv: int) -> None:
    before = frame(TEXT, b"a", fin=False) if opcode == CONTINUATION else frame(TEXT, b"a")
    assert fails_at(decoder_class, before + frame(opcode, rsv=rsv)) == (1002, len(before) + 1)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("fin", [True, False])
def test_reserved_opcodes_fail_at_the_first_octet(decoder_class: Decoders, opcode: int, fin: bool) -> None:
    assert fails_at(decoder_class, frame(opcode, b"payload", fin=fin)) == (1002, 1)
    before = frame(BINARY, b"a", fin=False)
    assert fails_at(decoder_class, before + frame(opcode, b"payload", fin=fin)) == (1002, len(before) + 1)


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_fragmented_control_frames_fail_at_the_first_octet(decoder_class: Decoders, opcode: int) -> None:
    assert fails_at(decoder_class, frame(opcode, fin=False)) == (1002, 1)


@pytest.mark.parametrize("fin", [True, False])
def test_a_continuation_of_nothing_fails_at_the_first_octet(decoder_class: Decoders, fin: bool) -> None:
    assert fails_at(decoder_class, frame(CONTINUATION, b"a", fin=fin)) == (1002, 1)
    whole = frame(TEXT, b"a")
    assert fails_at(decoder_class, whole + frame(CONTINUATION, b"a", fin=fin)) == (1002, len(whole) + 1)
    joined = frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b")
    assert fails_at(decoder_class, joined + frame(CONTINUATION, b"a", fin=fin)) == (1002, len(joined) + 1)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
def test_a_message_inside_another_fails_at_the_first_octet(decoder_class: Decoders, opcode: int, fin: bool) -> None:
    for start in (frame(TEXT, b"a", fin=False), frame(BINARY, b"", fin=False) + frame(CONTINUATION, b"x", fin=False)):
        assert fails_at(decoder_class, start + frame(opcode, b"b", fin=fin)) == (1002, len(start) + 1)


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_an_unmasked_frame_fails_at_the_second_octet(decoder_class: Decoders, opcode: int) -> None:
    assert fails_at(decoder_class, frame(opcode, b"", key=None)) == (1002, 2)
    assert fails_at(decoder_class, frame(opcode, bytes(100), key=None)) == (1002, 2)


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
@pytest.mark.parametrize("size", [126, 127, 65535, 65536])
def test_a_long_control_frame_fails_at_the_second_octet(decoder_class: Decoders, opcode: int, size: int) -> None:
    assert fails_at(decoder_class, frame(opcode, bytes(size))) == (1002, 2)


@pytest.mark.parametrize("opcode", [PING, PONG])
def test_a_control_frame_may_not_use_a_long_length_either(decoder_class: Decoders, opcode: int) -> None:
    assert fails_at(decoder_class, frame(opcode, b"a", width=2)) == (1002, 2)
    assert fails_at(decoder_class, frame(opcode, b"a", width=8)) == (1002, 2)


@pytest.mark.parametrize(("size", "width"), [(0, 2), (1, 2), (125, 2), (0, 8), (125, 8), (126, 8), (65535, 8)])
def test_lengths_not_in_their_shortest_form(decoder_class: Decoders, size: int, width: int) -> None:
    assert fails_at(decoder_class, frame(BINARY, bytes(size), width=width)) == (1002, 2 + width)


@pytest.mark.parametrize("size", [1 << 63, (1 << 64) - 1, 1 << 63 | 65536])
def test_a_length_with_its_top_bit_set_fails_at_that_octet(decoder_class: Decoders, size: int) -> None:
    data = frame(BINARY, size=size, width=8)
    assert fails_at(decoder_class, data, 1 << 62) == (1002, 3)
    assert decoded(decoder_class, data, 1 << 62).error.code == 1002


def test_a_message_over_the_limit_fails_at_its_length(decoder_class: Decoders) -> None:
    assert fails_at(decoder_class, frame(BINARY, bytes(100)), 100) == (0, 0)
    assert fails_at(decoder_class, frame(BINARY, bytes(101)), 100) == (1009, 2)
    assert fails_at(decoder_class, frame(BINARY, bytes(301)), 300) == (1009, 4)
    assert fails_at(decoder_class, frame(BINARY, size=1 << 40), 70000) == (1009, 10)
    assert fails_at(decoder_class, frame(BINARY, size=(1 << 63) - 1), 70000) == (1009, 10)
    # Behind a fragment the sum would not fit into 63 bits.
    start = frame(BINARY, b"x", fin=False)
    assert fails_at(decoder_class, start + frame(CONTINUATION, size=(1 << 63) - 1), 70000) == (1009, len(start) + 10)
    assert decoded(decoder_class, start + frame(CONTINUATION, size=(1 << 63) - 1)).error.code == 1009


def test_the_limit_is_on_the_joined_message(decoder_class: Decoders) -> None:
    start = frame(BINARY, bytes(60), fin=False)
    assert fails_at(decoder_class, start + frame(CONTINUATION, bytes(40)), 100) == (0, 0)
    assert fails_at(decoder_class, start + frame(CONTINUATION, bytes(41)), 100) == (1009, len(start) + 2)
    # A message of its own starts from nothing, and control frames do not count.
    data = frame(BINARY, bytes(100)) + start + frame(PING, bytes(100)) + frame(CONTINUATION, bytes(40)) + frame(TEXT, bytes(100))
    assert fails_at(decoder_class, data, 100) == (0, 0)


def test_a_limit_of_nothing(decoder_class: Decoders) -> None:
    assert fails_at(decoder_class, frame(TEXT), 0) == (0, 0)
    assert fails_at(decoder_class, frame(TEXT, b"a"), 0) == (1009, 2)


def test_what_came_before_a_failure_remains(decoder_class: Decoders) -> None:
    decoder = decoded(decoder_class, frame(TEXT, b"a") + frame(PING, b"p") + frame(TEXT, b"b", fin=False) + b"\xff" + frame(TEXT, b"c"))
    assert results(decoder) == ([(TEXT, b"a")], [(PING, b"p")], 1002, 1006, "")
    error = decoder.error
    decoder.feed(frame(TEXT, b"d") + close_frame(1000))
    assert results(decoder) == ([(TEXT, b"a")], [(PING, b"p")], 1002, 1006, "")
    assert decoder.error is error


# -- UTF-8

LEADS = {"alone": b"", "after text": b"\xce\xba\xe1\xbd\xb9 ", "after much text": "\u20ac".encode() * 500}


@pytest.mark.parametrize("text", GOOD_TEXTS.values(), ids=GOOD_TEXTS)
@pytest.mark.parametrize("lead", LEADS.values(), ids=LEADS)
def test_good_text_whole_and_cut_anywhere(decoder_class: Decoders, lead: bytes, text: bytes) -> None:
    payload = lead + text
    assert list(decoded(decoder_class, frame(TEXT, payload)).messages) == [(TEXT, payload)]
    assert fails_at(decoder_class, frame(TEXT, payload)) == (0, 0)
    for position in range(max(0, len(lead) - 1), len(payload) + 1):
        data = frame(TEXT, payload[:position], fin=False) + frame(CONTINUATION, payload[position:])
        assert list(decoded(decoder_class, data).messages) == [(TEXT, payload)]
        assert fails_at(decoder_class, data) == (0, 0)


@pytest.mark.parametrize(("text", "bad"), BAD_TEXTS.values(), ids=BAD_TEXTS)
@pytest.mark.parametrize("lead", LEADS.values(), ids=LEADS)
def test_bad_text_fails_at_the_bad_octet(decoder_class: Decoders, lead: bytes, text: bytes, bad: int) -> None:
    payload = lead + text
    data = frame(TEXT, payload)
    head = len(data) - len(payload)
    # An unfinished character in a final frame fails with the frame's last octet.
    expected = (1007, head + len(lead) + min(bad, len(text)))
    assert fails_at(decoder_class, data) == expected
    assert decoded(decoder_class, data).error.code == 1007
    assert decoded(decoder_class, data[: expected[1]]).error.code == 1007
    # The same with the rest of the message still far away.
    if bad <= len(text):
        data = frame(TEXT, payload + bytes(5000))
        head = len(data) - len(payload) - 5000
        assert decoded(decoder_class, data[: head + len(lead) + bad]).error.code == 1007
        assert fails_at(decoder_class, data) == (1007, head + len(lead) + bad)
    # The first of several fragments.
    data = frame(TEXT, payload, fin=False)
    assert fails_at(decoder_class, data) == ((1007, len(data) - len(text) + bad) if bad <= len(text) else (0, 0))


@pytest.mark.parametrize(("text", "bad"), BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_bad_text_fails_across_fragments(decoder_class: Decoders, text: bytes, bad: int) -> None:
    for position in range(len(text) + 1):
        first = frame(TEXT, b"ok " + text[:position], fin=False) + frame(PING, b"\xff")
        data = first + frame(CONTINUATION, text[position:])
        expected = bad if bad <= len(text) else len(text)
        if position >= bad:
            # In the first frame already.
            assert fails_at(decoder_class, data) == (1007, len(frame(TEXT, b"ok ", fin=False)) + bad)
        else:
            assert fails_at(decoder_class, data) == (1007, len(first) + 6 + expected - position)


def test_text_that_ends_in_an_empty_fragment(decoder_class: Decoders) -> None:
    start = frame(TEXT, b"\xe2\x82", fin=False)
    data = start + frame(CONTINUATION, b"")
    assert fails_at(decoder_class, data) == (1007, len(data))
    assert decoded(decoder_class, data).error.code == 1007


def test_binary_is_not_looked_at(decoder_class: Decoders) -> None:
    data = frame(BINARY, b"\xff", fin=False) + frame(CONTINUATION, b"\xc0\x80") + frame(BINARY, b"\xed\xa0\x80") + frame(PING, b"\xff")
    assert list(decoded(decoder_class, data).messages) == [(BINARY, b"\xff\xc0\x80"), (BINARY, b"\xed\xa0\x80")]


def test_one_text_does_not_spoil_the_next(decoder_class: Decoders) -> None:
    data = frame(TEXT, b"\xe2", fin=False) + frame(CONTINUATION, b"\x82\xac") + frame(TEXT, b"\xac")
    decoder = decoded(decoder_class, data)
    assert results(decoder)[:3] == ([(TEXT, "\u20ac".encode())], [], 1007)


@pytest.mark.parametrize("lead", range(0x80, 0x100))
def test_every_pair_of_octets(decoder_class: Decoders, lead: int) -> None:
    for second in range(256):
        data = frame(TEXT, bytes((lead, second)) + b"\x80\x80\x80a", fin=False)
        reference = ReferenceDecoder(LIMIT)
        reference.feed(data)
        assert fails_at(decoder_class, data) == (reference.error_code or 0, reference.failed_at)


# -- properties


@with_fixture
@given(conversations(), cuts)
def test_a_valid_conversation_cut_anywhere(decoder_class: Decoders, talk: Conversation, positions: list[int]) -> None:
    decoder = decoder_class(LIMIT)
    for part in cut(talk.data, positions):
        decoder.feed(part)
    assert results(decoder) == (talk.messages, talk.control, None, talk.close_code, talk.close_reason)
    assert decoder.size == sum(len(payload) for _, payload in talk.messages)


@with_fixture
@given(spoilt(), cuts)
def test_a_spoilt_conversation_as_the_reference(decoder_class: Decoders, data: bytes, positions: list[int]) -> None:
    reference = ReferenceDecoder(LIMIT)
    reference.feed(data)
    decoder = decoder_class(LIMIT)
    for part in cut(data, positions):
        decoder.feed(part)
    expected = reference.messages, reference.control, reference.error_code, reference.close_code, reference.close_reason
    assert results(decoder) == expected
    assert results(decoded(decoder_class, data)) == expected
    assert fails_at(decoder_class, data) == (reference.error_code or 0, reference.failed_at)


@with_fixture
@given(st.binary(max_size=200), cuts)
def test_noise_as_the_reference(decoder_class: Decoders, data: bytes, positions: list[int]) -> None:
    reference = ReferenceDecoder(LIMIT)
    reference.feed(data)
    decoder = decoder_class(LIMIT)
    for part in cut(data, positions):
        decoder.feed(part)
    assert results(decoder)[:3] == (reference.messages, reference.control, reference.error_code)


# -- second opinions: two libraries on the same octets


def by_websockets(data: bytes) -> tuple[list[tuple[int, bytes]], list[tuple[int, bytes]], bool]:
    """(messages, control frames, failed) of the sans-I/O protocol of `websockets`, which leaves joining and UTF-8 to its caller."""
    protocol = ServerProtocol(state=State.OPEN, max_size=LIMIT)
    protocol.receive_data(data)
    messages, control, opcode, joined, failed = [], [], 0, b"", False
    for event in protocol.events_received():
        if event.opcode >= 8:
            control.append((int(event.opcode), bytes(event.data)))
            continue
        opcode, joined = opcode or int(event.opcode), joined + event.data
        if event.fin:
            if opcode == TEXT:
                try:
                    joined.decode()
                except UnicodeDecodeError:
                    failed = True
                    break
            messages.append((opcode, joined))
            opcode, joined = 0, b""
    return messages, control, failed or protocol.parser_exc is not None


def by_wsproto(data: bytes) -> tuple[list[tuple[int, bytes]], list[tuple[int, bytes]], bool]:
    """(messages, control frames, failed) of the frame layer of `wsproto`."""
    protocol = FrameProtocol(client=False, extensions=[])
    protocol.receive_bytes(data)
    messages, control, opcode, joined = [], [], 0, b""
    try:
        for received in protocol.received_frames():
            payload = received.payload
            if received.opcode == CLOSE:
                code, reason = payload
                control.append((CLOSE, b"" if code == 1005 else int(code).to_bytes(2, "big") + (reason or "").encode()))
                break
            if received.opcode >= 8:
                control.append((int(received.opcode), bytes(payload)))
                continue
            opcode = opcode or int(received.opcode)
            joined += payload.encode() if isinstance(payload, str) else bytes(payload)
            if received.message_finished:
                messages.append((opcode, joined))
                opcode, joined = 0, b""
    except ParseFailed:
        return messages, control, True
    return messages, control, False


# wsproto does not know these newer codes.
_old_codes = conversations().filter(lambda talk: talk.close_code not in (1012, 1013, 1014))


@with_fixture
@given(_old_codes)
def test_both_libraries_read_a_valid_conversation_alike(decoder_class: Decoders, talk: Conversation) -> None:
    mine = results(decoded(decoder_class, talk.data))
    assert by_websockets(talk.data) == (*mine[:2], False)
    assert by_wsproto(talk.data) == (*mine[:2], False)


@with_fixture
@given(spoilt())
def test_both_libraries_agree_on_what_came_before_a_failure(decoder_class: Decoders, data: bytes) -> None:
    decoder = decoded(decoder_class, data)
    for theirs in (by_websockets(data), by_wsproto(data)):
        # Whoever is the stricter stops earlier: what one has delivered begins as what the other has.
        for one, other in zip((list(decoder.messages), decoder.control), theirs):
            assert one[: len(other)] == other[: len(one)]
