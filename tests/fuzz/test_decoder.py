"""A few seconds of fuzzing in every run, in CI a minute together with test_targets.py, and what it once found.

GEUWSGI_FUZZ_SECONDS sets the seconds of each target.
"""

from __future__ import annotations

import os
import time

import pytest

from tests.fuzz.decoder import check, run

#: (data, cuts, limit, deflate), as the fuzzer prints them.
FINDINGS: list[tuple[bytes, list[int], int, bool]] = [
    # CPython's incremental decoder takes a surrogate's second octet for the beginning of a character.
    (b"\x01\x8a\x00\x00\x00\x00\xed\xa0........", [8], 1 << 20, False),
    (b"\x81\x83\x00\x00\x00\x00\xed\xbf\xbf", [7, 8], 1 << 20, False),
    # Lengths beyond what the machine counts with.
    (b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", [], 1 << 20, False),
    (b"\x02\x81\x00\x00\x00\x00x\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff", [3], 1 << 20, False),
]


@pytest.mark.parametrize(("data", "positions", "limit", "deflate"), FINDINGS)
def test_findings(data: bytes, positions: list[int], limit: int, deflate: bool) -> None:
    check(data, positions, limit, deflate)
    check(data, list(range(len(data))), limit, deflate)


def test_fuzz() -> None:
    default = "40" if os.environ.get("CI") == "true" else "3"
    seconds = min(60.0, float(os.environ.get("GEUWSGI_FUZZ_SECONDS", default)))
    # The time as the seed: every run looks somewhere else, and a finding names its seed.
    assert run(int(time.time()), 1 << 62, seconds) > 0
