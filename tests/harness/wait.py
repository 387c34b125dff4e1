"""Wait for a condition with a deadline; the tests never sleep for luck."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], deadline: float = 20.0, what: str = "") -> T:
    """Call `condition` until it returns something true, and return that.

    Args:
        deadline: seconds, after which AssertionError is raised.
        what: what is waited for, for the message.
    """
    end = time.monotonic() + deadline
    pause = 0.001
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= end:
            raise AssertionError(f"not within {deadline:g} s: {what or getattr(condition, '__name__', condition)} (last: {result!r})")
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
