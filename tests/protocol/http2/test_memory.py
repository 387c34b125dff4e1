"""geuwsgi/protocol/http2/memory.py, against a decoder without a memory."""

from __future__ import annotations

from typing import Any

from hpack import Decoder
from hypothesis import given, settings
from hypothesis import strategies as st

from geuwsgi.protocol.http2.memory import RememberingDecoder, RememberingEncoder

FIELDS = st.lists(
    st.tuples(st.sampled_from([b":status", b"date", b"x-a", b"content-type"]), st.sampled_from([b"200", b"404", b"now", b"x" * 3000])),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.one_of(FIELDS, st.sampled_from([0, 100, 4096, 65536])), max_size=30))
def test_what_it_says_is_understood(steps: list[Any]) -> None:
    encoder = RememberingEncoder()
    plain, remembering = Decoder(), RememberingDecoder()
    for decoder in (plain, remembering):
        decoder.max_allowed_table_size = 65536
    for step in steps + steps[-3:] * 3:
        if isinstance(step, int):
            encoder.header_table_size = step
            continue
        block = encoder.encode(step)
        assert list(plain.decode(block, raw=True)) == step
        assert list(remembering.decode(block, raw=True)) == step


def test_it_remembers() -> None:
    encoder, decoder = RememberingEncoder(), RememberingDecoder()
    fields = [(b":status", b"200"), (b"x-a", b"b")]
    blocks = [encoder.encode(fields) for _ in range(3)]
    assert blocks[0] != blocks[1]
    assert blocks[1] is blocks[2]
    found = [decoder.decode(block, raw=True) for block in blocks]
    assert found[1] is found[2]
