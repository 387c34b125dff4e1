"""The uwsgi protocol as a client speaks it: an environ in, the head of a request out. No I/O.

Source: uWSGI's "The uwsgi Protocol": a byte of modifier1, two of size, a byte of modifier2, then variables, each a key and a value
with two bytes of size before them; all sizes are little-endian.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional

#: What two bytes can count.
MAX_SIZE = 65535

#: Headers that concern one connection only, and the two that the caller says anew.
_LEFT_OUT = frozenset(
    [
        *("HTTP_KEEP_ALIVE", "HTTP_PROXY_CONNECTION", "HTTP_TE", "HTTP_TRAILER", "HTTP_EXPECT"),
        *("HTTP_TRANSFER_ENCODING", "HTTP_CONTENT_LENGTH", "CONTENT_LENGTH"),
    ]
)

#: Sizes as they stand in a packet. Like everything in it they are characters of latin-1 here, which become bytes all at once.
_SIZES = [chr(size & 255) + chr(size >> 8) for size in range(256)]

#: Keys as they stand in a packet; "" for what is no variable. Names come from clients, so there is a bound.
_MAX_CACHED = 2048
_keys: dict[str, str] = {}


def encode_request(
    environ: Mapping[str, Any], modifier1: int = 0, modifier2: int = 0, length: Optional[int] = None, extra: Iterable[tuple[str, str]] = ()
) -> bytes:
    """The packet that asks for a request; the body follows it on the connection as it is.

    Args:
        environ: as PEP 3333 has it; str values (of latin-1) with an upper-case key are sent.
        modifier1: 0 for Python, 5 for Perl, 7 for Ruby, and so on.
        modifier2: what it means depends on modifier1.
        length: bytes of the body: 0 for none, -1 when it follows as chunks, None to leave CONTENT_LENGTH as it is in the environ.
        extra: variables besides.

    Raises:
        ValueError: the variables do not fit into a packet.
    """
    if length is None:
        length_text = environ.get("CONTENT_LENGTH") or ""
    else:
        # An empty body of which the client has said so is said on.
        length_text = str(length) if length > 0 or (not length and environ.get("CONTENT_LENGTH") == "0") else ""
        if length < 0:
            extra = [*extra, ("HTTP_TRANSFER_ENCODING", "chunked")]
    if length_text:
        extra = [*extra, ("CONTENT_LENGTH", length_text)]
    parts: list[str] = []
    for name, value in environ.items():
        if type(value) is not str:
            continue
        key = _keys.get(name)
        if key is None:
            key = _key(name)
        if key:
            size = len(value)
            parts += (key, _SIZES[size] if size < 256 else _size(size), value)
    for name, value in extra:
        parts += (_sized(name), _sized(value))
    block = "".join(parts).encode("latin-1")
    size = len(block)
    if size > MAX_SIZE:
        raise ValueError(f"a uwsgi packet holds {MAX_SIZE} bytes, and the variables of the request take {size}")
    return bytes((modifier1, size & 255, size >> 8, modifier2)) + block


def _key(name: str) -> str:
    found = "" if name in _LEFT_OUT or not name.isupper() else _sized(name)
    if len(_keys) < _MAX_CACHED and len(name) <= 64:
        _keys[name] = found
    return found


def _sized(text: str) -> str:
    return _size(len(text)) + text


def _size(size: int) -> str:
    if size > MAX_SIZE:
        raise ValueError(f"a uwsgi packet holds {MAX_SIZE} bytes, and one variable of the request has more")
    return chr(size & 255) + chr(size >> 8)
