"""Items between workers, byte by byte."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geuwsgi.channels import wire
from geuwsgi.channels.channel import Message
from geuwsgi.channels.wire import Item, Splitter
from geuwsgi.errors import ChannelError


def test_literals() -> None:
    assert wire.pack(wire.HELLO, "7-ab") == b"\x02\x00\x047-ab\x00"
    assert wire.framed(b"\x08\x00\x00\x00") == b"\x00\x00\x00\x04\x08\x00\x00\x00"
    message = Message(2, b"\xff", b"0123456789abcdef")
    assert wire.pack_message(wire.MESSAGE, "é", message) == b"\x00\x00\x00\x17\x01\x00\x02\xc3\xa9\x020123456789abcdef\xff"


def test_a_message_without_identity() -> None:
    item = wire.unpack(wire.pack_message(wire.MESSAGE, "room", Message(1, b"text"))[4:])
    assert (item.kind, item.name) == (wire.MESSAGE, "room")
    message = item.message()
    assert (message.opcode, message.payload, message.identity) == (1, b"text", b"")


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x01\x00\x04abc", b"\x01\x00\x04abcd", b"\x01\xff\xffx\x00"])
def test_malformed(data: bytes) -> None:
    with pytest.raises(ChannelError, match="malformed"):
        wire.unpack(data)


@pytest.mark.parametrize("item", [Item(1, "room", 1, b"short"), Item(1, "room", 3, bytes(20)), Item(1, "room", 0, bytes(20))])
def test_no_message(item: Item) -> None:
    with pytest.raises(ChannelError, match="malformed"):
        item.message()


ITEMS = st.lists(
    st.tuples(st.integers(1, 8), st.text(max_size=5), st.sampled_from([0, 1, 2]), st.binary(max_size=40)).map(lambda fields: Item(*fields)),
    max_size=8,
)


@given(ITEMS, st.data())
def test_cut_anywhere(items: list[Item], data: Any) -> None:
    stream = b"".join(wire.framed(wire.pack(*item)) for item in items)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    splitter = Splitter(1000)
    found = [item for a, b in zip([0, *cuts], [*cuts, len(stream)]) for item in splitter.feed(stream[a:b])]
    assert found == items


@given(st.integers(0, 300), st.lists(st.integers(1, 60), max_size=12))
def test_one_that_is_too_long_is_left_out(size: int, pieces: list[int]) -> None:
    before, after = Item(1, "a", 1, b"before"), Item(1, "b", 2, b"after")
    large = Item(1, "large", 1, bytes(size + 100))
    stream = b"".join(wire.framed(wire.pack(*item)) for item in (before, large, after))
    splitter = Splitter(50)
    found: list[Item] = []
    for piece in [*pieces, len(stream)]:
        found += splitter.feed(stream[:piece])
        stream = stream[piece:]
    assert found == [before, after]
    assert splitter.refused == [size + 100 + 9]
