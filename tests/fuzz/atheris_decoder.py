"""Fuzz the decoders with atheris (libFuzzer), which finds its inputs by the branches they reach. Optional: `pip install atheris`.

    python -m tests.fuzz.atheris_decoder [CORPUS] [-runs=N] [-max_total_time=S] [any other option of libFuzzer]

The first octets of an input choose the limit and the cuts; the rest is the stream.
"""

from __future__ import annotations

import sys
from random import Random

import atheris

with atheris.instrument_imports(include=["geuwsgi.protocol"]):
    from geuwsgi.protocol import deflate, messages  # noqa: F401  (instrumented before anything else imports them)

from tests.fuzz.decoder import LIMITS, check
from tests.fuzz.streams import cuts


def one_input(data: bytes) -> None:
    if len(data) < 3:
        return
    choice, seed, stream = data[0], data[1:3], data[3:]
    positions = cuts(Random(seed), len(stream))
    check(stream, positions, LIMITS[choice % len(LIMITS)], deflate=choice >= 192)


def main() -> None:
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
