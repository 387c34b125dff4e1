"""Fuzz the decoders: valid streams, spoilt, cut anywhere.

    python -m tests.fuzz.decoder [--inputs N] [--seconds S] [--seed X]

Every implementation must give the same messages, control frames, errors and codes, whole and cut, and the same as the
reference (tests/protocol/reference.py), at the very octet at which the reference fails. A finding is printed as a literal,
to be kept in tests/fuzz/test_decoder.py.
"""

from __future__ import annotations

import argparse
import sys
import time
from random import Random
from typing import Any, Callable, Optional

from geuwsgi.protocol.deflate import Inflater
from tests.fuzz.streams import cuts, stream
from tests.protocol.decoders import IMPLEMENTATIONS, results
from tests.protocol.reference import ReferenceDecoder
from tests.protocol.wire import cut

LIMITS = (0, 1, 100, 125, 126, 300, 65535, 65536, 1 << 20, 1 << 20, 1 << 20, 1 << 20)
#: The reference takes an octet at a time; beyond this it would take most of the time.
_REFERENCE_SIZE = 2000


class Finding(AssertionError):
    """Two decoders disagree, or one does not agree with itself."""


def _fed(make: Callable[[], Any], pieces: Any) -> tuple[Any, ...]:
    decoder = make()
    for piece in pieces:
        decoder.feed(piece)
    if decoder.size != sum(len(payload) for _, payload in decoder.messages):
        raise Finding(f"size is {decoder.size}")
    reason = decoder.error.reason if decoder.error is not None else None
    return (*results(decoder), reason)


def check(data: bytes, positions: list[int], limit: int, deflate: bool = False, reference: bool = True) -> None:
    """Hold all decoders against one input.

    Args:
        positions: where it is cut.
        limit: the largest message.
        deflate: with an inflater; the reference then has no say, and only what was delivered must not depend on cuts.
        reference: ask the reference, too.

    Raises:
        Finding: they disagree. Whatever else a decoder raises is a finding as well.
    """
    expected: Optional[tuple[Any, ...]] = None
    if reference and not deflate:
        judge = ReferenceDecoder(limit)
        judge.feed(data)
        expected = judge.messages, judge.control, judge.error_code, judge.close_code, judge.close_reason
    whole_before: Any = None
    pieces_before: Any = None
    for name, decoder in IMPLEMENTATIONS.items():

        def make(decoder: Any = decoder) -> Any:
            return decoder(limit, Inflater(15, True)) if deflate else decoder(limit)

        whole = _fed(make, [data])
        pieces = _fed(make, cut(data, positions))
        same = (whole[:2] == pieces[:2]) if deflate else whole == pieces
        if not same:
            raise Finding(f"{name} cut at {positions}: {pieces}; whole: {whole}")
        if whole_before not in (None, whole) or pieces_before not in (None, pieces):
            raise Finding(f"{name}: {whole}, {pieces}; {next(iter(IMPLEMENTATIONS))}: {whole_before}, {pieces_before}")
        whole_before, pieces_before = whole, pieces
        if expected is not None:
            if whole[:5] != expected:
                raise Finding(f"{name}: {whole}; the reference: {expected}")
            if judge.failed_at and (
                _fed(make, [data[: judge.failed_at]])[2] is None or _fed(make, [data[: judge.failed_at - 1]])[2] is not None
            ):
                raise Finding(f"{name} does not fail at octet {judge.failed_at}")


def run(seed: int, inputs: int, seconds: float, told: Callable[[str], None] = print) -> int:
    """Check up to `inputs` inputs, for at most `seconds`; how many it were.

    Raises:
        Finding: with the literal that shows it.
    """
    end = time.monotonic() + seconds
    next_word = time.monotonic() + 30
    for number in range(inputs):
        if not number & 0xFF:
            now = time.monotonic()
            if now >= end:
                return number
            if now >= next_word:
                next_word = now + 30
                told(f"{number} inputs")
        random = Random(f"{seed} {number}")
        deflate = random.random() < 0.2
        data = stream(random, deflate)
        positions = cuts(random, len(data))
        limit = random.choice(LIMITS)
        try:
            check(data, positions, limit, deflate, reference=len(data) < _REFERENCE_SIZE)
        except Exception as error:
            literal = f"({data!r}, {positions!r}, {limit}, {deflate})"
            raise Finding(f"seed {seed}, input {number}:\n{literal}\n{type(error).__name__}: {error}") from error
    return inputs


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.decoder")
    parser.add_argument("--inputs", type=int, default=1 << 62, help="how many at most")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long at most")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same seed gives the same inputs")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, decoders: {', '.join(IMPLEMENTATIONS)}", flush=True)
    try:
        count = run(arguments.seed, arguments.inputs, arguments.seconds, lambda line: print(line, flush=True))
    except Finding as finding:
        print(finding)
        return 1
    print(f"{count} inputs, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
