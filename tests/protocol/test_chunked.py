"""geuwsgi/protocol/chunked.py"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geuwsgi.errors import HTTPError
from geuwsgi.protocol.chunked import ChunkDecoder


def decode(data: bytes, step: int = 100000, limit: int = 1000) -> tuple[list[bytes], bytes, bool]:
    """The chunks, what is behind the body, and whether it ended."""
    decoder = ChunkDecoder(limit)
    pieces: list[bytes] = []
    rest = b""
    for start in range(0, len(data), step):
        if decoder.done:
            rest += data[start : start + step]
            continue
        found, rest = decoder.feed(data[start : start + step])
        pieces += found
    chunks = [b""]
    for piece in pieces:
        chunks[-1] += piece
        if not piece:
            chunks.append(b"")
    return [chunk for chunk in chunks if chunk], rest, decoder.done


@pytest.mark.parametrize("step", [1, 2, 3, 5, 100000])
@pytest.mark.parametrize(
    ("data", "chunks", "rest"),
    [
        (b"0\r\n\r\n", [], b""),
        (b"3\r\nabc\r\n0\r\n\r\n", [b"abc"], b""),
        (b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n", [b"abc", b"de"], b"GET / HTTP/1.1\r\n\r\n"),
        (b"00A\r\n0123456789\r\n000\r\n\r\n", [b"0123456789"], b""),
        (b"a\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n\r\n\r\n", [b"\r\n\r\n\r\n\r\n\r\n"], b"\r\n\r\n"),
        (b'3;a=b;c="d e"\r\nabc\r\n0;x\r\n\r\n', [b"abc"], b""),
        (b"3\r\nabc\r\n0\r\nTrailer: x\r\nHost: y\r\n\r\nrest", [b"abc"], b"rest"),
    ],
)
def test_bodies(data: bytes, chunks: list[bytes], rest: bytes, step: int) -> None:
    assert decode(data, step) == (chunks, rest, True)


def test_not_yet_ended() -> None:
    assert decode(b"3\r\nab") == ([b"ab"], b"", False)
    assert decode(b"3\r\nabc\r\n0\r\n") == ([b"abc"], b"", False)
    assert decode(b"3\r\nabc\r\n0\r\nA: b\r\n") == ([b"abc"], b"", False)


@pytest.mark.parametrize("step", [1, 3, 100000])
@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"x\r\n",
        b"-1\r\n",
        b"0x3\r\nabc\r\n",
        b" 3\r\nabc\r\n",
        b"3 \r\nabc\r\n",
        b"3\nabc\r\n",
        b"3\r\nabcd\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"3;\x00\r\nabc\r\n",
        b"3;a\nb\r\nabc\r\n",
        b"ffffffffffffffffff\r\n",
        b"0\r\nA : b\r\n\r\n",
        b"0\r\nContent-Length: 3\r\n\r\n",
        b"0\r\nA: b\n\n",
        b"0\r\n A: b\r\n\r\n",
    ],
)
def test_refused(data: bytes, step: int) -> None:
    with pytest.raises(HTTPError) as caught:
        decode(data, step)
    assert caught.value.status == "400 Bad Request"


@pytest.mark.parametrize("step", [7, 64])
@pytest.mark.parametrize("data", [b"3;" + b"a" * 5000, b"0\r\n" + b"A: b\r\n" * 1000], ids=["extension", "trailers"])
def test_what_is_not_data_is_bounded(data: bytes, step: int) -> None:
    with pytest.raises(HTTPError, match="1000 bytes"):
        decode(data, step)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.binary(max_size=10), st.data())
def test_cut_anywhere(chunks: list[bytes], rest: bytes, data: st.DataObject) -> None:
    stream = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n" + rest
    decoder = ChunkDecoder(1000)
    pieces: list[bytes] = []
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream)), max_size=8)))
    behind = b""
    for start, end in zip([0, *cuts], [*cuts, len(stream)]):
        if decoder.done or start == end:
            behind += stream[start:end]
            continue
        found, behind = decoder.feed(stream[start:end])
        pieces += found
    assert b"".join(pieces) == b"".join(chunks)
    assert behind == rest
    assert decoder.done
