"""geuwsgi/protocol/http2/guard.py"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geuwsgi.protocol.http2 import guard as guarding
from geuwsgi.protocol.http2.guard import ENHANCE_YOUR_CALM, FRAME_SIZE_ERROR, FrameGuard, HTTP2Error


def frame(kind: int, flags: int = 0, payload: bytes = b"", stream: int = 1) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


DATA = frame(0, 0, b"some data")
EMPTY = frame(0)
HEADERS = frame(1, 4, b"\x82")
PRIORITY = frame(2, 0, bytes(5))
RESET = frame(3, 0, bytes(4))
SETTINGS = frame(4, stream=0)
PING = frame(6, 0, bytes(8), 0)
GOAWAY = frame(7, 0, bytes(8), 0)
WINDOW = frame(8, 0, bytes(4))
UNKNOWN = frame(99, 0, b"?")


def fed(*data: bytes, now: float = 0.0) -> list[bytes]:
    guard = FrameGuard(1000, now)
    return [piece for part in data for piece in guard.feed(part, now)]


def test_frames_pass_as_they_are() -> None:
    data = SETTINGS + HEADERS + DATA + WINDOW
    assert fed(data) == [data]
    assert fed(data)[0] is data


@settings(deadline=None)
@given(st.lists(st.sampled_from([DATA, HEADERS, PING, RESET, UNKNOWN, frame(1, 0, b"a") + frame(9, 4, b"b")]), max_size=20), st.data())
def test_however_they_are_cut(frames: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    parts = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)])]
    assert b"".join(fed(*parts)) == whole


@settings(deadline=None)
@given(st.integers(0, 100))
def test_goaway_is_taken_out(cut: int) -> None:
    whole = PING + GOAWAY + DATA
    guard = FrameGuard(1000, 0.0)
    pieces = guard.feed(whole[:cut], 0.0) + guard.feed(whole[cut:], 0.0)
    assert b"".join(pieces) == PING + DATA
    assert guard.goaway


def test_a_few_frames_at_a_time() -> None:
    pieces = fed(DATA * (guarding.FRAMES_AT_ONCE * 2 + 1))
    assert pieces == [DATA * guarding.FRAMES_AT_ONCE, DATA * guarding.FRAMES_AT_ONCE, DATA]


def test_a_large_frame_is_refused_before_it_comes() -> None:
    with pytest.raises(HTTP2Error) as caught:
        fed(b"\x00\x40\x01\x00\x00\x00\x00\x00\x01")
    assert caught.value.code == FRAME_SIZE_ERROR
    assert fed(b"\x00\x40\x00\x00\x00\x00\x00\x00\x01")


@pytest.mark.parametrize(
    "kind", [EMPTY, frame(0, 8, b"\x05" + bytes(5)), PRIORITY, SETTINGS, PING, GOAWAY, WINDOW, UNKNOWN, frame(9, 0, b"")]
)
def test_frames_without_content_are_counted(kind: bytes) -> None:
    count = int(guarding.CONTROL_BURST)
    guard = FrameGuard(1000, 0.0)
    guard.feed(kind * (count - 1), 0.0)
    with pytest.raises(HTTP2Error) as caught:
        guard.feed(kind, 0.0)
    assert caught.value.code == ENHANCE_YOUR_CALM


@pytest.mark.parametrize("kind", [DATA, frame(0, 1), HEADERS, frame(0, 8, b"\x04" + bytes(5))])
def test_what_has_content_is_not(kind: bytes) -> None:
    fed(kind * 3000)


def test_time_fills_the_allowance_up_again() -> None:
    guard = FrameGuard(1000, 5.0)
    guard.feed(PING * (int(guarding.CONTROL_BURST) - 1), 5.0)
    guard.feed(PING * int(guarding.CONTROL_RATE), 6.0)
    with pytest.raises(HTTP2Error):
        guard.feed(PING, 6.0)


def test_so_does_useful_work() -> None:
    guard = FrameGuard(1000, 0.0)
    guard.feed(WINDOW * 1999, 0.0)
    guard.sent(5)
    guard.served()
    guard.feed(WINDOW * 14, 0.0)
    with pytest.raises(HTTP2Error):
        guard.feed(WINDOW, 0.0)


def test_resets_are_counted_apart() -> None:
    guard = FrameGuard(1000, 0.0)
    guard.feed((HEADERS + RESET) * int(guarding.RESET_BURST), 0.0)
    with pytest.raises(HTTP2Error) as caught:
        guard.feed(RESET, 0.0)
    assert str(caught.value) == "too many streams were reset (ENHANCE_YOUR_CALM)"
    guard.feed(RESET * int(guarding.RESET_RATE), 2.0)


def test_refused_streams_count_as_resets() -> None:
    guard = FrameGuard(1000, 0.0)
    for _ in range(int(guarding.RESET_BURST)):
        guard.refused(0.0)
    with pytest.raises(HTTP2Error):
        guard.refused(0.0)


def test_a_header_block_has_a_size() -> None:
    start = frame(1, 0, bytes(600))
    fed(start, frame(9, 4, bytes(400)))
    with pytest.raises(HTTP2Error) as caught:
        fed(start, frame(9, 4, bytes(401)))
    assert caught.value.code == ENHANCE_YOUR_CALM


def test_a_header_block_has_so_many_pieces() -> None:
    fed(frame(1, 0, b"a"), frame(9) * guarding.MAX_CONTINUATIONS)
    with pytest.raises(HTTP2Error):
        fed(frame(1, 0, b"a"), frame(9) * (guarding.MAX_CONTINUATIONS + 1))


def test_when_a_head_began() -> None:
    guard = FrameGuard(1000, 0.0)
    assert guard.head_began < 0
    guard.feed(frame(1, 0, b"a"), 1.0)
    assert guard.head_began == 1.0
    guard.feed(frame(9, 0, b"a"), 2.0)
    assert guard.head_began == 1.0
    guard.feed(frame(9, 4, b"a"), 3.0)
    assert guard.head_began < 0
    guard.feed(HEADERS[:-1], 4.0)
    assert guard.head_began == 4.0
    guard.feed(HEADERS[-1:] + DATA[:4], 5.0)
    assert guard.head_began < 0
