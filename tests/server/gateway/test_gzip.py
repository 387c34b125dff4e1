"""What is compressed, for whom."""

from __future__ import annotations

import zlib

import pytest

from geuwsgi.protocol.http_client import ResponseHead
from geuwsgi.server.gateway.gzip import accepts_gzip, adapt, compressed, wanted


@pytest.mark.parametrize(
    ("value", "accepts"),
    [
        ("gzip", True),
        ("deflate, gzip, br", True),
        ("GZIP;q=0.5", True),
        ("*", True),
        ("br, gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("br", False),
        ("x-gzipped", False),
        ("", False),
    ],
)
def test_accepts(value: str, accepts: bool) -> None:
    assert accepts_gzip({"HTTP_ACCEPT_ENCODING": value}) is accepts


@pytest.mark.parametrize(
    ("text", "auto", "everything"),
    [
        (b"200 OK\r\nuWSGI-Encoding: gzip", True, False),
        (b"200 OK\r\nuWSGI-Encoding: gzip\r\nContent-Length: 1000", False, False),
        (b"200 OK\r\nuWSGI-Encoding: gzip\r\nTransfer-Encoding: chunked", False, False),
        (b"200 OK\r\nuWSGI-Encoding: gzip\r\nContent-Encoding: br", False, False),
        (b"304 Not Modified\r\nuWSGI-Encoding: gzip", False, False),
        (b"206 Partial Content\r\nContent-Type: text/plain", False, False),
        (b"200 OK\r\nContent-Type: text/html; charset=utf-8", False, True),
        (b"200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000", False, True),
        (b"200 OK\r\nContent-Type: application/json\r\nContent-Length: 100", False, False),
        (b"200 OK\r\nContent-Type: text/html\r\nCache-Control: no-transform", False, False),
        (b"200 OK\r\nContent-Type: image/png", False, False),
    ],
)
def test_wanted(text: bytes, auto: bool, everything: bool) -> None:
    head = ResponseHead(b"HTTP/1.1 " + text + b"\r\n\r\n")
    assert wanted(head.code, head.headers, head.length, head.chunked, True, False) is auto
    assert wanted(head.code, head.headers, head.length, head.chunked, False, True) is everything


def test_headers() -> None:
    given = [("ETag", '"x"'), ("Content-Length", "5"), ("Vary", "Cookie")]
    assert adapt(given, True) == [("ETag", 'W/"x"'), ("Vary", "Cookie, Accept-Encoding"), ("Content-Encoding", "gzip")]
    several = [("Vary", "Cookie"), ("X", "y"), ("vary", "Origin")]
    assert adapt(several, False) == [("X", "y"), ("Vary", "Cookie, Origin, Accept-Encoding")]
    assert adapt(given, False) == [("ETag", '"x"'), ("Content-Length", "5"), ("Vary", "Cookie, Accept-Encoding")]


def test_every_piece_can_be_read_at_once() -> None:
    inflate = zlib.decompressobj(wbits=31)
    pieces = compressed([b"one", b"", b"two"])
    assert inflate.decompress(next(pieces)) == b"one"
    assert inflate.decompress(next(pieces)) == b"two"
    assert inflate.decompress(b"".join(pieces)) == b""
    assert inflate.eof
