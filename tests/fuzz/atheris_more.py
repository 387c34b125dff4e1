"""Fuzz the inflater, the negotiation and the request parser with atheris (libFuzzer). Optional: `pip install atheris`.

    python -m tests.fuzz.atheris_more inflater|negotiation|heads|chunks [CORPUS] [-runs=N] [-max_total_time=S] [...]

The reference inflater is instrumented, too: its branches are those of RFC 1951, which zlib in C does not show.
"""

from __future__ import annotations

import sys
from random import Random
from typing import Callable

import atheris

with atheris.instrument_imports(include=["geuwsgi.protocol", "tests.protocol.inflate"]):
    from geuwsgi.protocol import chunked, deflate, http  # noqa: F401  (instrumented before anything else imports them)
    from tests.protocol import inflate  # noqa: F401

from tests.fuzz.deflate import check_inflater, check_negotiation
from tests.fuzz.heads import check_chunks, check_heads
from tests.fuzz.streams import cuts


def inflater(data: bytes) -> None:
    """The first octet chooses the limit and the mode, the next two the cuts; an octet 0xA5 in the rest separates messages."""
    if len(data) > 3:
        messages = data[3:].split(b"\xa5")
        check_inflater(messages, cuts(Random(data[1:3]), len(messages[0])), (0, 5, 300, 1 << 16)[data[0] & 3], bool(data[0] & 4))


def negotiation(data: bytes) -> None:
    check_negotiation(data.decode("latin-1"), len(data) % 2 == 0)


def heads(data: bytes) -> None:
    if len(data) > 2:
        check_heads(data[2:], cuts(Random(data[:2]), len(data) - 2))


def chunks(data: bytes) -> None:
    if len(data) > 2:
        check_chunks(data[2:], cuts(Random(data[:2]), len(data) - 2))


TARGETS: dict[str, Callable[[bytes], None]] = {"inflater": inflater, "negotiation": negotiation, "heads": heads, "chunks": chunks}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(__doc__)
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
