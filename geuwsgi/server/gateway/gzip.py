"""Compressing responses on their way through: `--http-auto-gzip`, `--http-gzip`.

Source: uWSGI's router compresses a response with `uWSGI-Encoding: gzip` and neither a length nor a coding of its own. It looks for the
"gzip" in Accept-Encoding, and sends chunks to HTTP/1.0 too; here `gzip;q=0` means no, and Vary is said.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

#: Types that shrink (`--http-gzip`).
_TYPES = re.compile(
    r"text/|application/(?:javascript|json|xml|wasm|manifest|x-javascript|[a-z0-9.-]+\+(?:json|xml))|image/svg\+xml", re.IGNORECASE
)

#: Bodies under so many bytes do not become smaller.
MIN_SIZE = 256

_ACCEPTED = re.compile(r"(?:^|[,\s])(?:gzip|\*)\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?(?=,|$)", re.IGNORECASE)

#: zlib's number for a gzip header and trailer.
GZIP = 16 + zlib.MAX_WBITS


def accepts_gzip(environ: Mapping[str, Any]) -> bool:
    """Whether the client takes gzip (RFC 9110 section 12.5.3)."""
    found = _ACCEPTED.search(environ.get("HTTP_ACCEPT_ENCODING", ""))
    return found is not None and (found[1] is None or found[1].strip("0.") != "")


def wanted(code: int, headers: list[tuple[str, str]], length: int, chunked: bool, auto: bool, everything: bool) -> bool:
    """Whether a response is to be compressed, for clients that can.

    Args:
        code: its status.
        headers: its headers.
        length: what its Content-Length says, -1 without one.
        chunked: it has the chunked coding.
        auto: those that ask for it with `uWSGI-Encoding: gzip`.
        everything: those whose type is worth it.
    """
    if code < 200 or code in (204, 206, 304):
        return False
    fields = {name.lower(): value for name, value in headers}
    if "content-encoding" in fields or "no-transform" in fields.get("cache-control", ""):
        return False
    if auto and fields.get("uwsgi-encoding", "").lower() == "gzip" and length < 0 and not chunked:
        return True
    return everything and bool(_TYPES.match(fields.get("content-type", ""))) and not 0 <= length < MIN_SIZE


def adapt(headers: list[tuple[str, str]], compress: bool) -> list[tuple[str, str]]:
    """The headers of a response that is compressed, or would have been for another client."""
    found = []
    vary = ""
    for name, value in headers:
        lower = name.lower()
        if lower == "vary":
            vary = f"{vary}, {value}" if vary else value
            continue
        if compress and lower in ("content-length", "accept-ranges"):
            continue
        if compress and lower == "etag" and not value.startswith("W/"):
            value = "W/" + value  # other bytes with the same meaning (RFC 9110 section 8.8.1)
        found.append((name, value))
    if vary != "*" and "accept-encoding" not in vary.lower():
        vary = f"{vary}, Accept-Encoding" if vary else "Accept-Encoding"
    found.append(("Vary", vary))
    if compress:
        found.append(("Content-Encoding", "gzip"))
    return found


def compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of a body, compressed. Each can be read as soon as it has come: who streams events may not wait for more of them."""
    compressor = zlib.compressobj(wbits=GZIP)
    for piece in pieces:
        if piece:
            yield compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH)
    yield compressor.flush()
