"""Fuzz the reading of uwsgi packets and PROXY protocol headers, spoilt, cut anywhere.

    python -m tests.fuzz.packets [--inputs N] [--seconds S] [--seed X]

What comes out must not depend on how it was cut; nothing but the errors of these protocols may be raised; and what is accepted must leave
what is the server's alone, and bring no line feeds into the log.
"""

from __future__ import annotations

import sys
from random import Random
from typing import Any, Callable

from geuwsgi.errors import HTTPError
from geuwsgi.protocol.proxy import ProxyError, ProxyHeader, parse
from geuwsgi.protocol.uwsgi import WSGI, WSGI_WITH_SCRIPT_NAME, PacketParser, packet
from tests.fuzz.heads import spoil
from tests.fuzz.running import Finding, main
from tests.protocol.packets import encode_vars
from tests.protocol.wire import cut

LIMIT = 600
_SERVERS = {"wsgi.multithread": False, "wsgi.url_scheme": "http"}
_TEMPLATE = {**_SERVERS, "SCRIPT_NAME": "", "SERVER_NAME": "box", "SERVER_PORT": "80", "REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "1"}
_KEYS = (
    *("REQUEST_METHOD", "REQUEST_URI", "PATH_INFO", "QUERY_STRING", "SCRIPT_NAME", "SERVER_PROTOCOL", "SERVER_NAME", "SERVER_PORT"),
    *("CONTENT_LENGTH", "CONTENT_TYPE", "REMOTE_ADDR", "REMOTE_PORT", "REMOTE_USER", "HTTPS", "UWSGI_SCHEME", "HTTP_HOST", "HTTP_COOKIE"),
    *("HTTP_TRANSFER_ENCODING", "wsgi.multithread", "wsgi.url_scheme", "x.y"),
)
_VALUES = (
    "",
    "GET",
    "/",
    "/a/b",
    "/a",
    "/%41?x",
    "5",
    "05",
    "-1",
    "chunked",
    "gzip",
    "on",
    "https",
    "HTTP/1.0",
    "\n",
    "\x00",
    "\xff",
    "v" * 300,
)

_ADDRESSES = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + b"\x12\x34\x01\xbb"
_HEADERS = (
    b"PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\n",
    b"PROXY TCP6 2001:db8::1 2001:db8::2 80 443\r\n",
    b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + _ADDRESSES,
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x16" + _ADDRESSES + b"\x20\x00\x07\x01\x00\x00\x00\x00\x21\x00",
    b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00",
)


def _packet(pieces: Any) -> Any:
    parser = PacketParser(_TEMPLATE, LIMIT)
    complete = False
    behind = b""
    try:
        for piece in pieces:
            if complete:
                behind += piece
            elif piece:
                complete = parser.feed(piece)
    except HTTPError as error:
        return str(error)
    facts = (complete, parser.started, parser.modifier1, parser.modifier2, parser.block, parser.content_length, parser.http11)
    return (*facts, parser.environ, parser.take_unread() + behind)


def check_packet(data: bytes, positions: list[int]) -> None:
    """Raises Finding when a packet depends on cuts, or one is accepted that takes more than it may."""
    whole, pieces = _packet([data]), _packet(cut(data, positions))
    if whole != pieces:
        raise Finding(f"whole: {whole}; cut: {pieces}")
    if isinstance(whole, str) or not whole[0] or whole[2] not in (WSGI, WSGI_WITH_SCRIPT_NAME):
        return
    environ = whole[7]
    if environ["wsgi.multithread"] is not False or environ["wsgi.url_scheme"] not in ("http", "https"):
        raise Finding("a variable has replaced what is the server's")
    for key in ("REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL"):
        if not environ[key]:
            raise Finding(f"no {key}")
    for key in ("REQUEST_METHOD", "REQUEST_URI", "SERVER_PROTOCOL", "REMOTE_ADDR", "REMOTE_USER"):
        if any(character < " " for character in environ.get(key, "")):
            raise Finding(f"{key} is {environ[key]!r}")
    if whole[5] == -1 and "CONTENT_LENGTH" in environ:
        raise Finding("chunked, with a length")


def _header(data: bytes) -> Any:
    try:
        return parse(data)
    except ProxyError:
        return "refused"


def check_header(data: bytes) -> None:
    """Raises Finding when a PROXY header is judged otherwise once more of it is there."""
    whole = _header(data)
    if isinstance(whole, ProxyHeader) and whole.size > len(data):
        raise Finding(f"{whole} of {len(data)} octets")
    for end in range(len(data)):
        part = _header(data[:end])
        if part not in (None, whole) and not (part == "refused" and whole == "refused"):
            raise Finding(f"whole: {whole}; {end} octets: {part}")


CHECKS: dict[str, Callable[..., None]] = {"packet": check_packet, "header": check_header}


def one(random: Random) -> tuple[str, tuple[Any, ...]]:
    """An input: (which check, its arguments)."""
    if random.random() < 0.3:
        data = random.choice(_HEADERS) + random.choice((b"", b"GET /"))
        return "header", (spoil(random, data) if random.random() < 0.7 else data,)
    block = encode_vars({"REQUEST_METHOD": "GET"}) if random.random() < 0.7 else b""
    block += b"".join(encode_vars({random.choice(_KEYS): random.choice(_VALUES)}) for _ in range(random.randrange(7)))
    data = packet(random.choice((0, 0, 0, 30, 100, 173)), block, random.randrange(3)) + random.choice((b"", b"body"))
    if random.random() < 0.4:
        data = spoil(random, data)
    positions = list(range(len(data))) if random.random() < 0.2 else [random.randrange(700) for _ in range(random.choice((0, 1, 3)))]
    return "packet", (data, positions)


if __name__ == "__main__":
    sys.exit(main("tests.fuzz.packets", one, CHECKS))
