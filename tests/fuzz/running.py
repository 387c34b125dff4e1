"""What the targets share: seeded inputs, checked one after the other, and how a finding is told."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from random import Random
from typing import Any, Callable

from tests.fuzz.decoder import Finding

__all__ = ["Finding", "main", "run"]

#: Makes an input: (the name of a check, its arguments).
Make = Callable[[Random], tuple[str, tuple[Any, ...]]]
Checks = Mapping[str, Callable[..., None]]


def run(make: Make, checks: Checks, seed: int, inputs: int, seconds: float, told: Callable[[str], None] = print) -> int:
    """Check up to `inputs` inputs, for at most `seconds`; how many it were.

    Raises:
        Finding: with the literal that shows it.
    """
    start = time.monotonic()
    next_word = start + 30
    for number in range(inputs):
        if not number & 0xFF:
            now = time.monotonic()
            if now - start >= seconds:
                return number
            if now >= next_word:
                next_word = now + 30
                told(f"{number} inputs")
        name, arguments = make(Random(f"{seed} {number}"))
        try:
            checks[name](*arguments)
        except Exception as error:
            raise Finding(f"seed {seed}, input {number}:\n({name!r}, {arguments!r})\n{type(error).__name__}: {error}") from error
    return inputs


def main(program: str, make: Make, checks: Checks) -> int:
    """A target's command line; the exit status."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}")
    parser.add_argument("--inputs", type=int, default=1 << 62, help="how many at most")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long at most")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the same seed gives the same inputs")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    try:
        count = run(make, checks, arguments.seed, arguments.inputs, arguments.seconds, lambda line: print(line, flush=True))
    except Finding as finding:
        print(finding)
        return 1
    print(f"{count} inputs, nothing found")
    return 0
