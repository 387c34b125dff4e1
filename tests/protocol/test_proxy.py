"""PROXY protocol headers, by the literals of its description."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geuwsgi.protocol.proxy import ProxyError, ProxyHeader, parse

SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
TCP4 = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + b"\x12\x34\x01\xbb"
TCP6 = bytes.fromhex("20010db8000000000000000000000001") + bytes.fromhex("20010db8000000000000000000000002") + b"\x00\x50\x01\xbb"


def v2(family: int, body: bytes, command: int = 0x21) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


GOOD = [
    (b"PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\n", ("192.0.2.1", 4660, False)),
    (b"PROXY TCP6 2001:db8::1 2001:db8::2 80 443\r\n", ("2001:db8::1", 80, False)),
    (b"PROXY UNKNOWN\r\n", ("", 0, False)),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", ("", 0, False)),
    (v2(0x11, TCP4), ("192.0.2.1", 4660, False)),
    (v2(0x21, TCP6), ("2001:db8::1", 80, False)),
    (v2(0x31, bytes(216)), ("", 0, False)),
    (v2(0x00, b""), ("", 0, False)),
    (v2(0x00, b"", 0x20), ("", 0, False)),
    (v2(0x11, TCP4, 0x20), ("", 0, False)),
    (v2(0x77, b"any", 0x20), ("", 0, False)),
    # An ALPN, then what HAProxy says of TLS: PP2_CLIENT_SSL, verify 0, the version.
    (v2(0x11, TCP4 + b"\x01\x00\x02h2" + b"\x20\x00\x0f\x01\x00\x00\x00\x00\x21\x00\x07TLSv1.3"), ("192.0.2.1", 4660, True)),
    (v2(0x11, TCP4 + b"\x20\x00\x05\x00\x00\x00\x00\x00"), ("192.0.2.1", 4660, False)),
]


@pytest.mark.parametrize(("data", "said"), GOOD)
def test_headers(data: bytes, said: tuple[str, int, bool]) -> None:
    assert parse(data) == parse(data + b"GET /") == ProxyHeader(len(data), *said)
    for end in range(1, len(data)):
        assert parse(data[:end]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"G",
        b"PROXY\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 4660\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 4660 443 1\r\n",
        b"PROXY TCP4  192.0.2.1 198.51.100.2 4660 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.2 1 443\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 80 443\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.2 80 443\r\n",
        b"PROXY TCP6 fe80::1%eth0 2001:db8::2 80 443\r\n",
        b"PROXY UDP4 192.0.2.1 198.51.100.2 80 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 80 443\nGET",
        b"PROXY UNKNOWN " + b"x" * 93,
        b"PROXY UNKNOWN a\nb\r\n",
        b"PROXY UNKNOWN a\n",
        b"proxy TCP4 192.0.2.1 198.51.100.2 80 443\r\n",
        b"\r\nGET / HTTP/1.1\r\n",
        v2(0x11, TCP4, 0x22),
        v2(0x11, TCP4, 0x11),
        v2(0x12, TCP4),
        v2(0x11, TCP4[:-1]),
        v2(0x21, TCP6[:-1]),
        v2(0x31, bytes(215)),
        v2(0x11, TCP4 + b"\x01\x00"),
        v2(0x11, TCP4 + b"\x01\x00\x02h"),
        v2(0x11, bytes(5000))[:16],
    ],
)
def test_what_is_no_header(data: bytes) -> None:
    with pytest.raises(ProxyError):
        parse(data)


@given(st.sampled_from([data for data, _ in GOOD]), st.integers(0, 60), st.binary(min_size=1, max_size=3))
def test_spoilt_headers(data: bytes, at: int, instead: bytes) -> None:
    spoilt = data[:at] + instead + data[at + len(instead) :]
    try:
        header = parse(spoilt)
    except ProxyError:
        return
    assert header is None or header.size <= len(spoilt)
