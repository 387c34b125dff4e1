"""Fuzz the reading of HTTP requests: heads and chunked bodies, spoilt, cut anywhere.

    python -m tests.fuzz.heads [--inputs N] [--seconds S] [--seed X]

A head, and what comes out of it, must not depend on how it was cut; nothing but HTTPError may be raised; and what is
accepted must be unambiguous: one length or chunked coding, one host, no control characters in the environ.
"""

from __future__ import annotations

import sys
from random import Random
from typing import Any, Callable

from geuwsgi.errors import HTTPError
from geuwsgi.protocol.chunked import ChunkDecoder
from geuwsgi.protocol.http import RequestParser
from tests.fuzz.running import Finding, main
from tests.protocol.wire import cut

LIMIT = 2000
_METHODS = (b"GET", b"GET", b"GET", b"POST", b"HEAD", b"OPTIONS", b"CONNECT", b"get", b"PRI", b"G T", b"", b"QUERY")
_TARGETS = (
    b"/",
    b"/a%20b?x=y",
    b"*",
    b"/%",
    b"/%zz%00",
    b"http://h/x",
    b"http://u@h/x",
    b"//h",
    b"/#f",
    b"h:80",
    b"",
    b"/\xc3\xa9",
    b"/\x00",
    b"?",
)
_VERSIONS = (b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1 ", b"", b"HTTP/1.10")
_HEADERS = (
    b"Host: a",
    b"Host: b:80",
    b"Host:",
    b"Host: a b",
    b"Content-Length: 5",
    b"Content-Length: 05",
    b"Content-Length: +5",
    b"Content-Length: 5, 5",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: -1",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding: identity",
    b"transfer-encoding: Chunked",
    b"Connection: keep-alive, close",
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Expect: 100-continue",
    b"Expect: x",
    b"X_Y: underscore",
    b"X-Y: hyphen",
    b"X: \xff\xfe",
    b"X : space",
    b" folded",
    b"\tfolded",
    b"X: a\rb",
    b"X: a\x00b",
    b"X: \x7f",
    b"no colon",
    b": no name",
    b"Cookie: a=b",
    b"Cookie: c=d",
    b"X-Long: " + b"v" * 1500,
    b"Content-Type: text/plain",
)
_ENDS = (b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n")


def head(random: Random) -> bytes:
    line = random.choice((b" ",) * 9 + (b"  ",)).join((random.choice(_METHODS), random.choice(_TARGETS), random.choice(_VERSIONS)))
    if random.random() < 0.6:
        line = b"GET / HTTP/1.1"
    lines = [line, *([b"Host: example"] if random.random() < 0.8 else []), *random.sample(_HEADERS, random.randrange(5))]
    spoiled = random.random() < 0.15
    data = b"".join(one + (random.choice(_ENDS) if spoiled else b"\r\n") for one in lines) + b"\r\n"
    return random.choice((b"", b"", b"", b"\r\n", b"\n")) + data


def chunks(random: Random) -> bytes:
    data = b""
    for _ in range(random.randrange(4)):
        size = random.choice((1, 5, 15, 16, 300))
        extension = random.choice((b"", b"", b"", b";a=b", b';a="b;c"', b"; a", b" ", b";"))
        data += random.choice((b"%x", b"%X", b"0%x")) % size + extension + b"\r\n" + random.randbytes(size) + b"\r\n"
    return (
        data
        + random.choice((b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"00\r\n\r\n", b"0;e\r\n\r\n", b"", b"-1\r\n", b"0x5\r\n"))
        + b"behind"
    )


def spoil(random: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 3))):
        position = random.randrange(len(changed) + 1)
        kind = random.randrange(3)
        if kind == 0 and position < len(changed):
            changed[position] ^= 1 << random.randrange(8)
        elif kind == 1:
            del changed[position : position + random.randrange(4)]
        else:
            changed[position:position] = random.choice(
                (b"\r", b"\n", b"\r\n", b" ", b"\t", b"\x00", b":", b"0", b";", b",", random.randbytes(1))
            )
    return bytes(changed)


def _heads(pieces: Any) -> tuple[Any, ...]:
    """Everything that a parser makes of a connection's bytes; bodies are not skipped, so that what follows is read as heads."""
    parser = RequestParser({}, LIMIT)
    found: list[Any] = []
    try:
        for piece in pieces:
            complete = parser.feed(piece) if not parser.has_unread else parser.feed(parser.take_unread() + piece)
            while complete:
                found.append(
                    (
                        dict(parser.environ),
                        parser.content_length,
                        parser.keep_alive,
                        parser.expect_continue,
                        parser.http11,
                        parser.head_size,
                    )
                )
                complete = parser.feed_unread()
    except HTTPError as error:
        return found, error.status
    return found, None


def check_heads(data: bytes, positions: list[int]) -> None:
    """Raises Finding when heads depend on cuts, or an ambiguous one is accepted."""
    whole = _heads([data])
    pieces = _heads(cut(data, positions))
    # A head beyond the limit may be refused for that before its mistakes are seen, or the other way round.
    if whole[0] != pieces[0] or (whole[1] is None) != (pieces[1] is None):
        raise Finding(f"whole: {whole}; cut: {pieces}")
    for environ, length, _, _, _, size in whole[0]:
        if size > LIMIT:
            raise Finding(f"a head of {size} octets")
        if length == -1 and "CONTENT_LENGTH" in environ:
            raise Finding("chunked, with a length")
        if environ.get("HTTP_HOST") == "a, b:80" or (environ.get("SERVER_PROTOCOL") == "HTTP/1.1" and "HTTP_HOST" not in environ):
            raise Finding(f"host {environ.get('HTTP_HOST')!r}")
        for key, value in environ.items():
            if key.startswith("HTTP_") and any(character in value for character in "\r\n\x00"):
                raise Finding(f"{key} is {value!r}")


def _body(pieces: Any) -> tuple[Any, ...]:
    decoder = ChunkDecoder(LIMIT)
    body = behind = b""
    try:
        for piece in pieces:
            if decoder.done:
                behind += piece
                continue
            parts, rest = decoder.feed(piece)
            body += b"".join(parts)
            behind += rest
    except HTTPError:
        return (body, "refused")
    return (body, decoder.done, behind)


def check_chunks(data: bytes, positions: list[int]) -> None:
    """Raises Finding when a chunked body depends on cuts."""
    whole, pieces = _body([data]), _body(cut(data, positions))
    if whole[1:] != pieces[1:] or (whole[1] != "refused" and whole[0] != pieces[0]):
        raise Finding(f"whole: {whole}; cut: {pieces}")


CHECKS: dict[str, Callable[..., None]] = {"heads": check_heads, "chunks": check_chunks}


def one(random: Random) -> tuple[str, tuple[Any, ...]]:
    """An input: (which check, its arguments)."""
    if random.random() < 0.75:
        name, data = "heads", b"".join(head(random) for _ in range(random.choice((1, 1, 2))))
    else:
        name, data = "chunks", chunks(random)
    if random.random() < 0.4:
        data = spoil(random, data)
    positions = list(range(len(data))) if random.random() < 0.2 else [random.randrange(2000) for _ in range(random.choice((0, 1, 3)))]
    return name, (data, positions)


if __name__ == "__main__":
    sys.exit(main("tests.fuzz.heads", one, CHECKS))
