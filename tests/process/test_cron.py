"""When a cron is due."""

from __future__ import annotations

import time

import pytest

from geuwsgi.process.cron import is_due


@pytest.mark.parametrize(
    ("fields", "moment", "due"),
    [
        ((-1, -1, -1, -1, -1), "2026-11-28 17:05", True),
        ((5, 17, 28, 11, 6), "2026-11-28 17:05", True),  # a Saturday
        ((6, -1, -1, -1, -1), "2026-11-28 17:05", False),
        ((-1, 16, -1, -1, -1), "2026-11-28 17:05", False),
        ((-1, -1, -1, 12, -1), "2026-11-28 17:05", False),
        ((-5, -1, -1, -1, -1), "2026-11-28 17:05", True),
        ((-5, -1, -1, -1, -1), "2026-11-28 17:00", True),
        ((-5, -1, -1, -1, -1), "2026-11-28 17:06", False),
        ((0, -2, -1, -1, -1), "2026-11-28 16:00", True),
        ((0, -2, -1, -1, -1), "2026-11-28 17:00", False),
        # Day and weekday: both have to fit when one is left open, one of them when both are given.
        ((-1, -1, 28, -1, -1), "2026-11-28 17:05", True),
        ((-1, -1, 27, -1, -1), "2026-11-28 17:05", False),
        ((-1, -1, -1, -1, 5), "2026-11-28 17:05", False),
        ((-1, -1, 27, -1, 6), "2026-11-28 17:05", True),
        ((-1, -1, 28, -1, 5), "2026-11-28 17:05", True),
        ((-1, -1, 27, -1, 5), "2026-11-28 17:05", False),
        # Sunday has two names.
        ((-1, -1, -1, -1, 0), "2026-11-29 00:00", True),
        ((-1, -1, -1, -1, 7), "2026-11-29 00:00", True),
        ((99, 99, 99, 99, 99), "2026-11-28 17:05", False),
    ],
)
def test_is_due(fields: tuple[int, ...], moment: str, due: bool) -> None:
    assert is_due(fields, time.strptime(moment, "%Y-%m-%d %H:%M")) is due
