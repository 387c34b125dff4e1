"""Leaks inside the test's own process: greenlets and sockets that outlive the test."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import gevent
from greenlet import greenlet

from .wait import wait_until


def greenlets() -> set[int]:
    """The ids of the greenlets that are running or waiting, without hubs and the thread's own."""
    gc.collect()
    return {id(item) for item in gc.get_objects() if isinstance(item, gevent.Greenlet) and not item.dead and item.started}


def raw_greenlets() -> int:
    """How many greenlets exist and are neither finished nor unstarted."""
    gc.collect()
    return sum(1 for item in gc.get_objects() if isinstance(item, greenlet) and bool(item))


def sockets() -> set[str]:
    """The open sockets of this process."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


class LeakCheck:
    """Remembers what is there at the start; `check` fails on what came since and is still there."""

    def __init__(self) -> None:
        self.greenlets = greenlets()
        self.sockets = sockets()

    def check(self) -> None:
        def left() -> str:
            gevent.sleep(0)  # let what has been killed or closed finish
            more = len(greenlets() - self.greenlets), sorted(sockets() - self.sockets)
            return f"{more[0]} greenlets, sockets {more[1]}" if any(more) else ""

        wait_until(lambda: not left(), 20, f"leaked: {left()}")
