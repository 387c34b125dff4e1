"""geuwsgi/protocol/deflate.py, alone and inside both decoders."""

from __future__ import annotations

import itertools
import random
import tracemalloc
import zlib
from typing import Any, Callable, Optional

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import Frame, Opcode

from geuwsgi.errors import WebSocketError
from geuwsgi.protocol.deflate import MAX_RATIO, DeflateParameters, Deflater, Inflater, negotiate, parse_extensions
from tests.protocol.decoders import results
from tests.protocol.texts import BAD_TEXTS
from tests.protocol.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, cut, frame, pieces

Decoders = Callable[..., Any]
LIMIT = 1 << 20
RSV1 = 4
TAIL = b"\x00\x00\xff\xff"

with_fixture = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
cuts = st.lists(st.integers(0, 1 << 12), max_size=8)


def compressed(*payloads: bytes, bits: int = 15, level: int = -1, fresh: bool = True) -> list[bytes]:
    """Messages as a peer's zlib makes them; `fresh` ones do not refer to each other."""
    found = []
    compressor = zlib.compressobj(level, zlib.DEFLATED, -bits)
    for payload in payloads:
        if fresh:
            compressor = zlib.compressobj(level, zlib.DEFLATED, -bits)
        data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert data.endswith(TAIL)
        found.append(data[:-4])
    return found


def inflated(data: bytes, bits: int = 15) -> bytes:
    """What a strict peer with a window of this size makes of a message: an octet at a time, so that each reference is checked."""
    stream = zlib.decompressobj(-bits)
    parts = []
    data += TAIL
    while True:
        part = stream.decompress(data, 1)
        if not part:
            assert not stream.eof
            return b"".join(parts)
        parts.append(part)
        data = stream.unconsumed_tail


def decoder_for(decoder_class: Decoders, max_size: int = LIMIT, bits: int = 15, takeover: bool = False) -> Any:
    return decoder_class(max_size, Inflater(bits, takeover))


def code_of(decoder: Any) -> Optional[int]:
    return None if decoder.error is None else int(decoder.error.code)


# -- negotiation

SERVER, CLIENT = "server_no_context_takeover", "client_no_context_takeover"
BOTH = f"; {SERVER}; {CLIENT}"
PD = "permessage-deflate"

#: (offer, the answer without takeover, the answer with it); None declines.
OFFERS: list[tuple[str, Optional[str], Optional[str]]] = [
    (PD, PD + BOTH, PD),
    (f"{PD}; {SERVER}", PD + BOTH, f"{PD}; {SERVER}"),
    (f"{PD}; {CLIENT}", PD + BOTH, f"{PD}; {CLIENT}"),
    (f"{PD}; {CLIENT}; {SERVER}", PD + BOTH, PD + BOTH),
    (f"{PD}; client_max_window_bits", PD + BOTH, PD),  # what browsers offer
    *(
        (f"{PD}; server_max_window_bits={n}", f"{PD}{BOTH}; server_max_window_bits={n}", f"{PD}; server_max_window_bits={n}")
        for n in range(9, 16)
    ),
    *(
        (f"{PD}; client_max_window_bits={n}", f"{PD}{BOTH}; client_max_window_bits={n}", f"{PD}; client_max_window_bits={n}")
        for n in range(8, 16)
    ),
    (
        f"{PD}; server_max_window_bits=10; client_max_window_bits=11; {SERVER}; {CLIENT}",
        f"{PD}{BOTH}; server_max_window_bits=10; client_max_window_bits=11",
        f"{PD}{BOTH}; server_max_window_bits=10; client_max_window_bits=11",
    ),
    # Values that may be quoted, and spaces and tabs anywhere between tokens.
    (f'{PD}; server_max_window_bits="10"', f"{PD}{BOTH}; server_max_window_bits=10", f"{PD}; server_max_window_bits=10"),
    (f'{PD}; client_max_window_bits="1\\5"', f"{PD}{BOTH}; client_max_window_bits=15", f"{PD}; client_max_window_bits=15"),
    (f"\t{PD} ;\tserver_max_window_bits = 12 ", f"{PD}{BOTH}; server_max_window_bits=12", f"{PD}; server_max_window_bits=12"),
    (f"{PD};{SERVER};{CLIENT}", PD + BOTH, PD + BOTH),
    ("Permessage-Deflate; Server_No_Context_Takeover", PD + BOTH, f"{PD}; {SERVER}"),
    # The first offer that can be honoured; elements may be empty.
    (f"{PD}; x, {PD}", PD + BOTH, PD),
    (
        f"{PD}; server_max_window_bits=8, {PD}; server_max_window_bits=9",
        f"{PD}{BOTH}; server_max_window_bits=9",
        f"{PD}; server_max_window_bits=9",
    ),
    (f"x-webkit-deflate-frame, {PD}; client_max_window_bits", PD + BOTH, PD),
    (f", ,{PD},", PD + BOTH, PD),
    (f"x; a=1; b=c; {SERVER}; {SERVER}, {PD}", PD + BOTH, PD),
    # Declined: windows that zlib has not, or that are none.
    *(
        (f"{PD}; server_max_window_bits{value}", None, None)
        for value in ("", "=8", "=7", "=16", "=0", "=010", "=09", '="08"', "=+9", "=1e1", "=x", "=115")
    ),
    *((f"{PD}; client_max_window_bits={value}", None, None) for value in ("7", "16", "0", "08", "015", "-8", "x", "100")),
    # Declined: what may have no value has one, names nobody knows, names twice (RFC 7692 section 7.1).
    (f"{PD}; {SERVER}=1", None, None),
    (f"{PD}; {CLIENT}=true", None, None),
    (f'{PD}; {CLIENT}="x"', None, None),
    (f"{PD}; x", None, None),
    (f"{PD}; window_bits=10", None, None),
    (f"{PD}; {SERVER}; {SERVER}", None, None),
    (f"{PD}; {CLIENT}; Client_No_Context_Takeover", None, None),
    (f"{PD}; client_max_window_bits; client_max_window_bits=10", None, None),
    (f"{PD}; server_max_window_bits=10; server_max_window_bits=10", None, None),
    # Other extensions, or none.
    ("permessage-bzip2", None, None),
    ("permessage-deflate2", None, None),
    ("x-webkit-deflate-frame", None, None),
    (",", None, None),
    ("", None, None),
]


@pytest.mark.parametrize(("offer", "fresh", "takeover"), OFFERS, ids=[offer or "nothing" for offer, _, _ in OFFERS])
def test_negotiation(offer: str, fresh: Optional[str], takeover: Optional[str]) -> None:
    for keep, expected in ((False, fresh), (True, takeover)):
        agreed = negotiate(offer, keep)
        assert (agreed[1] if agreed else None) == expected
        if agreed:
            # What both sides do is what the answer says, no more and no less.
            [(name, said)] = parse_extensions(agreed[1])
            assert name == PD
            assert agreed[0] == DeflateParameters(
                server_no_context_takeover=SERVER in said,
                client_no_context_takeover=CLIENT in said,
                server_max_window_bits=int(said.get("server_max_window_bits") or 15),
                client_max_window_bits=int(said.get("client_max_window_bits") or 15),
            )


@pytest.mark.parametrize(
    "header",
    [
        f"{PD};",
        f"{PD}; ;{SERVER}",
        f"{PD} {SERVER}",
        f"{PD}; client_max_window_bits=",
        f'{PD}; client_max_window_bits=""',
        f'{PD}; client_max_window_bits="1 0"',
        f'{PD}; client_max_window_bits="10',
        f'{PD}; client_max_window_bits="10\\"',
        f"{PD}; client_max_window_bits='10' x",
        f"{PD}; =10",
        f"{PD}=1",
        f"={PD}",
        ";",
        "a b",
        "a/b",
        '"permessage-deflate"',
        f"{PD}; \xe9",
        f"{PD};\xa0{SERVER}",
        f"{PD}\x0b",
        f"{PD}, \x00",
        f"{PD}, x;",
    ],
)
def test_malformed_headers(header: str) -> None:
    with pytest.raises(ValueError, match="malformed Sec-WebSocket-Extensions"):
        negotiate(header, False)


def test_a_long_header_takes_no_time() -> None:
    assert negotiate(PD + "; a" * 10_000, False) is None
    assert negotiate(f"{PD}; server_max_window_bits=8, " * 1000 + PD, False) is not None
    with pytest.raises(ValueError):
        negotiate(" " * 30_000 + ";", False)
    with pytest.raises(ValueError):
        negotiate(f'{PD}; a="' + "\\x" * 15_000, False)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("server_bits", [None, 9, 12, 15])
@pytest.mark.parametrize("client_bits", [None, True, 9, 15])
@pytest.mark.parametrize(("server_fresh", "client_fresh"), list(itertools.product([False, True], repeat=2)))
def test_websockets_accepts_every_answer(keep: bool, server_bits: Any, client_bits: Any, server_fresh: bool, client_fresh: bool) -> None:
    factory = ClientPerMessageDeflateFactory(server_fresh, client_fresh, server_bits, client_bits)
    offer = "; ".join([PD, *(name if value is None else f"{name}={value}" for name, value in factory.get_request_params())])
    agreed = negotiate(offer, keep)
    assert agreed is not None
    [(_, said)] = parse_extensions(agreed[1])
    theirs: PerMessageDeflate = factory.process_response_params(list(said.items()), [])  # type: ignore[assignment]
    parameters = agreed[0]
    assert theirs.remote_no_context_takeover == parameters.server_no_context_takeover
    assert theirs.remote_max_window_bits == parameters.server_max_window_bits
    assert theirs.local_max_window_bits == parameters.client_max_window_bits
    # Ours may not count on what theirs does not promise.
    assert theirs.local_no_context_takeover >= parameters.client_no_context_takeover


# -- the examples of RFC 7692 section 7.2.3

HELLO = bytes.fromhex("f2 48 cd c9 c9 07 00")


def test_one_frame(decoder_class: Decoders) -> None:
    # 7.2.3.1, the frame as it stands there but for the mask.
    decoder = decoder_for(decoder_class)
    decoder.feed(b"\xc1\x87\x00\x00\x00\x00" + HELLO)
    assert results(decoder) == ([(TEXT, b"Hello")], [], None, 1006, "")
    assert decoder.size == 5


def test_two_fragments(decoder_class: Decoders) -> None:
    decoder = decoder_for(decoder_class)
    decoder.feed(b"\x41\x83\x00\x00\x00\x00" + HELLO[:3] + b"\x80\x84\x00\x00\x00\x00" + HELLO[3:])
    assert list(decoder.messages) == [(TEXT, b"Hello")]


def test_context_takeover(decoder_class: Decoders) -> None:
    # 7.2.3.2: the second message refers to the first.
    again = bytes.fromhex("f2 00 11 00 00")
    decoder = decoder_for(decoder_class, takeover=True)
    decoder.feed(frame(TEXT, HELLO, rsv=RSV1) + frame(TEXT, again, rsv=RSV1))
    assert list(decoder.messages) == [(TEXT, b"Hello"), (TEXT, b"Hello")]
    # Without the context it refers to nothing.
    decoder = decoder_for(decoder_class, takeover=False)
    decoder.feed(frame(TEXT, HELLO, rsv=RSV1) + frame(TEXT, again, rsv=RSV1))
    assert results(decoder) == ([(TEXT, b"Hello")], [], 1007, 1006, "")


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param("f2 48 cd c9 c9 07 00", id="7.2.3.1 a block with fixed codes"),
        pytest.param("00 05 00 fa ff 48 65 6c 6c 6f 00", id="7.2.3.3 a block without compression"),
        pytest.param("f3 48 cd c9 c9 07 00 00", id="7.2.3.4 a block with BFINAL"),
        pytest.param("f2 48 05 00 00 00 ff ff ca c9 c9 07 00", id="7.2.3.5 two blocks"),
        pytest.param("00 05 00 fa ff 48 65 6c 6c 6f 03 00 00", id="a block with BFINAL behind one without"),
        pytest.param("01 05 00 fa ff 48 65 6c 6c 6f 00", id="a stored block with BFINAL"),
        pytest.param("03 00 f2 48 cd c9 c9 07 00", id="BFINAL first"),
        pytest.param("03 00 03 00 f3 48 cd c9 c9 07 00 03 00 00", id="BFINAL four times"),
        pytest.param("00 00 00 ff ff f2 48 cd c9 c9 07 00 00 00 ff ff 00", id="empty blocks around it"),
    ],
)
@pytest.mark.parametrize("takeover", [False, True])
def test_blocks(decoder_class: Decoders, payload: str, takeover: bool) -> None:
    data = frame(TEXT, bytes.fromhex(payload), rsv=RSV1) * 2
    for size in (len(data), 1, 2, 3, 7):
        decoder = decoder_for(decoder_class, takeover=takeover)
        for piece in pieces(data, size):
            decoder.feed(piece)
        assert results(decoder) == ([(TEXT, b"Hello")] * 2, [], None, 1006, "")


def test_a_frame_that_ends_inside_a_block_with_bfinal(decoder_class: Decoders) -> None:
    whole = bytes.fromhex("f3 48 cd c9 c9 07 00 00")
    for mark in range(len(whole) + 1):
        decoder = decoder_for(decoder_class)
        decoder.feed(frame(TEXT, whole[:mark], fin=False, rsv=RSV1) + frame(CONTINUATION, whole[mark:]))
        assert list(decoder.messages) == [(TEXT, b"Hello")]


def test_empty_messages(decoder_class: Decoders) -> None:
    # 7.2.3.6, zlib's own form of it, and one behind others in the same context.
    zlibs = compressed(b"")[0]
    for payload in (b"\x00", zlibs, b"\x02\x00"):
        for takeover in (False, True):
            decoder = decoder_for(decoder_class, takeover=takeover)
            decoder.feed(frame(TEXT, payload, rsv=RSV1) + frame(BINARY, HELLO, rsv=RSV1) + frame(BINARY, payload, rsv=RSV1))
            assert list(decoder.messages) == [(TEXT, b""), (BINARY, b"Hello"), (BINARY, b"")]
    for takeover in (False, True):
        assert Deflater(15, takeover).deflate(b"") == b"\x00"
        deflater = Deflater(15, takeover)
        data = [deflater.deflate(payload) for payload in (b"a", b"", b"a", b"")]
        inflater = Inflater(15, takeover)
        assert [inflater.inflate(part, True, 1) for part in data] == [b"a", b"", b"a", b""]


def test_compressed_and_plain_messages_in_turn(decoder_class: Decoders) -> None:
    again = bytes.fromhex("f2 00 11 00 00")
    decoder = decoder_for(decoder_class, takeover=True)
    decoder.feed(frame(TEXT, HELLO, rsv=RSV1) + frame(TEXT, HELLO[:1], fin=False) + frame(CONTINUATION, b"x"[:0]))
    assert results(decoder) == ([(TEXT, b"Hello")], [], 1007, 1006, "")  # plain now, and no UTF-8
    decoder = decoder_for(decoder_class, takeover=True)
    decoder.feed(frame(TEXT, HELLO, rsv=RSV1) + frame(BINARY, HELLO) + frame(BINARY, b"", fin=False) + frame(CONTINUATION, b"x"))
    decoder.feed(frame(BINARY, again, rsv=RSV1))
    assert list(decoder.messages) == [(TEXT, b"Hello"), (BINARY, HELLO), (BINARY, b"x"), (BINARY, b"Hello")]


def test_control_frames_between_fragments(decoder_class: Decoders) -> None:
    decoder = decoder_for(decoder_class)
    decoder.feed(frame(TEXT, HELLO[:1], fin=False, rsv=RSV1) + frame(PING, HELLO))
    for octet in HELLO[1:]:
        decoder.feed(frame(CONTINUATION, bytes((octet,)), fin=False) + frame(PONG, b"between"))
    decoder.feed(frame(CONTINUATION))
    assert results(decoder) == ([(TEXT, b"Hello")], [(PING, HELLO)] + [(PONG, b"between")] * 6, None, 1006, "")


# -- refused


@pytest.mark.parametrize("inflates", [False, True])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG])
@pytest.mark.parametrize("rsv", range(1, 8))
def test_reserved_bits(decoder_class: Decoders, opcode: int, rsv: int, inflates: bool) -> None:
    decoder = decoder_for(decoder_class) if inflates else decoder_class(LIMIT)
    start = frame(TEXT, HELLO if inflates else b"x", fin=False, rsv=RSV1 if inflates else 0) if opcode == CONTINUATION else b""
    data = frame(opcode, b"", rsv=rsv)
    decoder.feed(start + data[:1])  # the first octet is enough
    allowed = inflates and rsv == RSV1 and opcode in (TEXT, BINARY)
    assert code_of(decoder) == (None if allowed else 1002)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="nothing, not even the octet of an empty block"),
        pytest.param(b"\x07", id="a type of block that does not exist"),
        pytest.param(b"\xff" * 20, id="no blocks at all"),
        pytest.param(b"\x00\x05\x00\xfb\xffHello\x00", id="a length and its complement"),
        pytest.param(b"\x02\x01\x00", id="a reference before the beginning"),
        pytest.param(HELLO[:-1], id="cut before the header of the empty block"),
        pytest.param(HELLO[:-2], id="cut inside a block"),
        pytest.param(HELLO[:1], id="cut after one octet"),
        pytest.param(b"\x00\x05\x00\xfa\xffHel", id="cut inside a stored block"),
        pytest.param(b"\x00\x05\x00\xfa\xffH", id="a stored block that the tail would fill"),
        pytest.param(b"\x01\x05\x00\xfa\xffH", id="a last stored block that the tail would fill"),
        pytest.param(b"\x00\x0b\x00\xf4\xffHello", id="a stored block that swallows what is put behind"),
        pytest.param(HELLO + TAIL, id="the tail is still there"),
        pytest.param(b"\xf3\x48\xcd\xc9\xc9\x07\x00", id="BFINAL and nothing behind it"),
        pytest.param(b"\xf3\x48\xcd\xc9\xc9\x07", id="BFINAL, cut"),
        pytest.param(HELLO + b"\x07", id="rubbish behind the empty block"),
        pytest.param(zlib.compress(b"Hello"), id="a zlib header"),
        pytest.param(b"\x1f\x8b\x08\x00" + HELLO, id="a gzip header"),
    ],
)
@pytest.mark.parametrize("takeover", [False, True])
def test_corrupt_streams(decoder_class: Decoders, payload: bytes, takeover: bool) -> None:
    good = frame(BINARY, HELLO, rsv=RSV1)
    bad = frame(BINARY, payload, rsv=RSV1)
    for size in (1 << 20, 1, 3):
        decoder = decoder_for(decoder_class, takeover=takeover)
        for piece in pieces(good + bad + good, size):
            decoder.feed(piece)
        assert results(decoder) == ([(BINARY, b"Hello")], [], 1007, 1006, "")


def test_a_stream_is_refused_as_soon_as_it_is_corrupt(decoder_class: Decoders) -> None:
    decoder = decoder_for(decoder_class)
    decoder.feed(frame(BINARY, b"\x07" + bytes(1000), rsv=RSV1)[:9])
    assert code_of(decoder) == 1007


@pytest.mark.parametrize(("text", "bad_at"), BAD_TEXTS.values(), ids=list(BAD_TEXTS))
def test_utf8_is_checked_behind_the_inflater(decoder_class: Decoders, text: bytes, bad_at: int) -> None:
    payload = compressed(text)[0]
    for size in (1 << 20, 1, 2):
        decoder = decoder_for(decoder_class)
        for piece in pieces(frame(TEXT, payload, rsv=RSV1), size):
            decoder.feed(piece)
        assert results(decoder) == ([], [], 1007, 1006, "")
    decoder = decoder_for(decoder_class)
    decoder.feed(frame(BINARY, payload, rsv=RSV1))
    assert list(decoder.messages) == [(BINARY, text)]


def test_bad_utf8_is_not_waited_out(decoder_class: Decoders) -> None:
    first, second = b"\x00\x03\x00\xfc\xffab\xff", b"\x00\x01\x00\xfe\xffc"
    decoder = decoder_for(decoder_class)
    decoder.feed(frame(TEXT, first + second + b"\x00", rsv=RSV1)[: 6 + len(first)])
    assert code_of(decoder) == 1007


# -- limits


@pytest.mark.parametrize("takeover", [False, True])
@pytest.mark.parametrize("size", [0, 1, 100, 5000])
def test_the_limit_counts_what_was_inflated(decoder_class: Decoders, size: int, takeover: bool) -> None:
    payload = compressed(b"x" * size)[0]
    for limit, code in ((size, None), (size + 1, None), (size - 1, 1009)):
        if limit < 0:
            continue
        for piece in (1 << 20, 1):
            decoder = decoder_for(decoder_class, limit, takeover=takeover)
            for part in pieces(frame(BINARY, payload, rsv=RSV1), piece):
                decoder.feed(part)
            assert code_of(decoder) == code
            assert list(decoder.messages) == ([] if code else [(BINARY, b"x" * size)])


def test_the_limit_holds_over_fragments(decoder_class: Decoders) -> None:
    payload = compressed(b"x" * 1000)[0]
    frames = [frame(BINARY, b"", fin=False, rsv=RSV1)]
    frames += [frame(CONTINUATION, payload[i : i + 1], fin=i == len(payload) - 1) for i in range(len(payload))]
    for limit, code in ((1000, None), (999, 1009)):
        decoder = decoder_for(decoder_class, limit)
        for one in frames:
            decoder.feed(one)
        assert code_of(decoder) == code


def test_a_compressed_frame_may_be_longer_than_its_message(decoder_class: Decoders) -> None:
    noise = random.Random(1).randbytes(1000)
    payload = compressed(noise)[0]
    assert len(payload) > 1000
    decoder = decoder_for(decoder_class, 1000)
    decoder.feed(frame(BINARY, payload, rsv=RSV1))
    assert list(decoder.messages) == [(BINARY, noise)]
    # A plain one may not, and it need not arrive for that.
    decoder = decoder_for(decoder_class, 1000)
    decoder.feed(frame(BINARY, payload)[:4])
    assert code_of(decoder) == 1009


def test_a_bomb(decoder_class: Decoders) -> None:
    """A megabyte that would inflate to a gigabyte."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    megabyte = bytes(1 << 20)
    bomb = b"".join([*(compressor.compress(megabyte) for _ in range(1024)), compressor.flush(zlib.Z_SYNC_FLUSH)])[:-4]
    assert 1_000_000 < len(bomb) < 1_100_000
    data = frame(BINARY, bomb, rsv=RSV1)
    for limit in (LIMIT, 1000):
        for size in (len(data), 65536):
            decoder = decoder_for(decoder_class, limit)
            tracemalloc.start()
            try:
                for piece in pieces(data, size):
                    decoder.feed(piece)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert code_of(decoder) == 1009
            assert not decoder.messages
            # What was fed, a few times (the pure decoder unmasks with large integers), and the message a few times.
            assert peak < 6 * size + 3 * limit + (1 << 20)


def test_the_bomb_is_not_inflated() -> None:
    payload = compressed(bytes(50 << 20))[0]
    inflater = Inflater(15, False)
    with pytest.raises(WebSocketError) as caught:
        inflater.inflate(payload, True, 1000)
    assert caught.value.code == 1009
    # zlib has stopped one octet past the limit, and has nearly all of its input left.
    assert len(inflater._stream.unconsumed_tail) > len(payload) - 200


def test_nothing_inflates_to_more_than_the_ratio() -> None:
    payload = compressed(bytes(10 << 20), level=9)[0]
    assert 1000 < (10 << 20) / len(payload) <= MAX_RATIO


# -- windows


@pytest.mark.parametrize("takeover", [False, True])
@pytest.mark.parametrize("bits", range(9, 16))
def test_output_refers_no_further_back_than_the_window(bits: int, takeover: bool) -> None:
    noise = random.Random(bits)
    block = noise.randbytes(1 << bits - 2)
    # Repetitions at distances within and beyond the window.
    payload = b"".join(block[noise.randrange(len(block)) :] + noise.randbytes(noise.randrange(100)) for _ in range(20)) + block * 2
    deflater = Deflater(bits, takeover)
    data = deflater.deflate(payload)
    assert len(data) < len(payload)  # it did refer back
    assert inflated(data, bits) == payload


def test_the_check_above_sees_what_it_should() -> None:
    noise = random.Random(0).randbytes(4000)
    with pytest.raises(zlib.error, match="too far back"):
        inflated(compressed(noise * 2, bits=15)[0], 10)


@pytest.mark.parametrize("takeover", [False, True])
@pytest.mark.parametrize("bits", range(8, 16))
def test_the_peers_window(decoder_class: Decoders, bits: int, takeover: bool) -> None:
    noise = random.Random(bits).randbytes(3000)
    payloads = [noise, noise, b"", noise[:100] * 50]
    data = b"".join(frame(BINARY, part, rsv=RSV1) for part in compressed(*payloads, bits=max(bits, 9), fresh=not takeover))
    for size in (len(data), 13):
        decoder = decoder_for(decoder_class, bits=bits, takeover=takeover)
        for piece in pieces(data, size):
            decoder.feed(piece)
        assert [payload for _, payload in decoder.messages] == payloads


def test_a_reference_beyond_the_agreed_window_is_refused(decoder_class: Decoders) -> None:
    noise = random.Random(1).randbytes(4000)
    data = frame(BINARY, compressed(noise * 2, bits=15)[0], rsv=RSV1)
    decoder = decoder_for(decoder_class, bits=9)
    for piece in pieces(data, 64):
        decoder.feed(piece)
    assert code_of(decoder) == 1007


def test_deflate_without_context_is_the_same_every_time() -> None:
    deflater = Deflater(15, False)
    payload = b"the same words, the same words again " * 20
    first = deflater.deflate(payload)
    deflater.deflate(random.Random(1).randbytes(50_000) + payload)
    assert deflater.deflate(bytes(bytearray(payload))) == first
    assert inflated(first) == payload


def test_a_message_for_many_is_compressed_once() -> None:
    deflater = Deflater(15, False)
    payload = b"to everybody " * 20
    assert deflater.deflate(payload) is deflater.deflate(payload)
    # With context each connection has its own compressor, whose output depends on what came before.
    deflater = Deflater(15, True)
    assert len(deflater.deflate(payload)) > len(deflater.deflate(payload))


def test_only_messages_of_reasonable_size_are_kept() -> None:
    deflater = Deflater(15, False)
    payload = bytes(3 << 20)
    assert deflater.deflate(payload) is not deflater.deflate(payload)


# -- against others, any message, any cut

messages = st.lists(
    st.tuples(st.sampled_from([TEXT, BINARY]), st.text(max_size=60).map(str.encode) | st.just(b"many words " * 30)), max_size=5
)
windows = st.integers(9, 15)


@with_fixture
@given(messages, cuts, st.booleans(), windows)
def test_from_zlib(decoder_class: Decoders, talk: list[tuple[int, bytes]], positions: list[int], takeover: bool, bits: int) -> None:
    payloads = compressed(*(payload for _, payload in talk), bits=bits, fresh=not takeover)
    data = b"".join(frame(opcode, payload, rsv=RSV1) for (opcode, _), payload in zip(talk, payloads))
    decoder = decoder_for(decoder_class, bits=bits, takeover=takeover)
    for piece in cut(data, positions):
        decoder.feed(piece)
    assert results(decoder) == (talk, [], None, 1006, "")


@with_fixture
@given(messages, cuts, st.booleans(), st.booleans(), windows, windows, st.data())
def test_both_ways_with_websockets(
    decoder_class: Decoders,
    talk: list[tuple[int, bytes]],
    positions: list[int],
    server_fresh: bool,
    client_fresh: bool,
    server_bits: int,
    client_bits: int,
    data: st.DataObject,
) -> None:
    client = PerMessageDeflate(server_fresh, client_fresh, server_bits, client_bits)
    wire = b""
    for opcode, payload in talk:
        marks = sorted(data.draw(st.lists(st.integers(0, len(payload)), max_size=2)))
        starts, ends = [0, *marks], [*marks, len(payload)]
        for number, (start, end) in enumerate(zip(starts, ends)):
            sent = client.encode(Frame(Opcode(CONTINUATION if number else opcode), payload[start:end], fin=number == len(marks)))
            wire += frame(sent.opcode, bytes(sent.data), fin=sent.fin, rsv=RSV1 if sent.rsv1 else 0)
    decoder = decoder_for(decoder_class, bits=client_bits, takeover=not client_fresh)
    for piece in cut(wire, positions):
        decoder.feed(piece)
    assert results(decoder) == (talk, [], None, 1006, "")

    deflater = Deflater(server_bits, not server_fresh)
    for opcode, payload in talk:
        received = client.decode(Frame(Opcode(opcode), deflater.deflate(payload), rsv1=True))
        assert bytes(received.data) == payload


@with_fixture
@given(
    st.lists(st.binary(max_size=200) | st.binary(min_size=1, max_size=5).map(lambda part: part * 300), max_size=5), st.booleans(), windows
)
def test_to_zlib(payloads: list[bytes], takeover: bool, bits: int) -> None:
    deflater = Deflater(bits, takeover)
    stream = zlib.decompressobj(-bits)
    for payload in payloads:
        data = deflater.deflate(payload)
        assert stream.decompress(data + TAIL) == payload
        if not takeover:
            assert inflated(data, bits) == payload
            stream = zlib.decompressobj(-bits)


@with_fixture
@given(st.binary(max_size=60), cuts, st.booleans())
def test_rubbish(decoder_class: Decoders, payload: bytes, positions: list[int], takeover: bool) -> None:
    """Whatever comes ends in a message or in 1007 or 1009, the same however it is cut."""
    seen = []
    for marks in ([], positions, list(range(80))):
        decoder = decoder_for(decoder_class, 1000, takeover=takeover)
        for piece in cut(frame(BINARY, payload, rsv=RSV1), marks):
            decoder.feed(piece)
        assert code_of(decoder) in (None, 1007, 1009)
        assert len(decoder.messages) == (decoder.error is None)
        seen.append(results(decoder)[:2])
    assert seen[0] == seen[1] == seen[2]
