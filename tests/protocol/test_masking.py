"""geuwsgi/protocol/masking.py"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geuwsgi.protocol.masking import apply_mask, is_ascii
from tests.protocol.wire import mask

keys = st.binary(min_size=4, max_size=4)


def test_the_example_of_rfc_6455() -> None:
    # Section 5.7: a single-frame masked text message, "Hello".
    assert apply_mask(b"\x7f\x9f\x4d\x51\x58", b"\x37\xfa\x21\x3d") == b"Hello"


def test_nothing_stays_nothing() -> None:
    assert apply_mask(b"", b"\x37\xfa\x21\x3d") == b""
    assert apply_mask(b"", b"\x37\xfa\x21\x3d", 7) == b""


@pytest.mark.parametrize("offset", range(9))
def test_an_offset_turns_the_key(offset: int) -> None:
    assert apply_mask(b"\0\0\0\0\0", b"abcd", offset) == (b"abcd" * 4)[offset : offset + 5]


def test_a_key_of_zeros_changes_nothing() -> None:
    assert apply_mask(b"\x00\xff\x80", b"\0\0\0\0") == b"\x00\xff\x80"


def test_leading_and_trailing_zeros_survive() -> None:
    # Both ends of a big integer are where octets could get lost.
    assert apply_mask(b"\x37\xfa\x21\x3d\x37", b"\x37\xfa\x21\x3d") == b"\0\0\0\0\0"


# Around what is done at once: 8, 32 and 64 bytes, 256 as the least for the last.
SIZES = [*range(20), 31, 32, 33, 63, 64, 65, 125, 126, 255, 256, 257, 319, 320, 321, 4095, 4096, 4097, 4103, 4105, 8200, 65535, 65536]


@pytest.mark.parametrize("size", [*SIZES, 1 << 20])
def test_sizes(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    assert apply_mask(data[:size], b"\x01\x80\xfe\x7f") == mask(data[:size], b"\x01\x80\xfe\x7f")


@given(st.binary(max_size=600), keys, st.integers(0, 1 << 40))
def test_agrees_octet_by_octet(data: bytes, key: bytes, offset: int) -> None:
    assert apply_mask(data, key, offset) == bytes(octet ^ key[(offset + i) % 4] for i, octet in enumerate(data))


@given(st.binary(max_size=600), keys, st.integers(0, 9))
def test_twice_is_once_too_many(data: bytes, key: bytes, offset: int) -> None:
    assert apply_mask(apply_mask(data, key, offset), key, offset) == data


@given(st.binary(max_size=300), keys, st.integers(0, 300))
def test_in_two_parts_as_in_one(data: bytes, key: bytes, position: int) -> None:
    position = min(position, len(data))
    assert apply_mask(data[:position], key) + apply_mask(data[position:], key, position) == apply_mask(data, key)


@pytest.mark.parametrize("size", SIZES)
def test_ascii(size: int) -> None:
    text = bytes(index % 128 for index in range(size))
    assert is_ascii(text)
    # In each word of a block, in the second block, and behind the blocks.
    for position in {0, 9, 18, 27, 36, 45, 54, 63, 64, size // 2, size - 64, size - 8, size - 1}:
        if 0 <= position < size:
            assert not is_ascii(text[:position] + b"\x80" + text[position + 1 :])
