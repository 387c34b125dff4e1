"""64 bots in 8 rooms on one worker: the tick keeps its time. The figures are kept in artifacts/game-load.json."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Callable

import pytest
import requests

from tests.demo.page import ARGUMENTS, Page
from tests.harness.servers import Geuwsgi

ROOMS, BOTS = 8, 8
SECONDS = 20
PERIOD = 1000 / 30  # ms


@pytest.mark.alone
def test_the_tick_keeps_its_time(server: Callable[..., Geuwsgi], open_page: Callable[..., Page], artifacts: Path) -> None:
    game = server(None, *ARGUMENTS, "--set", "bombertab-back-within=1")
    pages = [open_page(game, f"load {number}", "watcher", watch=True, fill=BOTS) for number in range(ROOMS)]

    def figures() -> dict:  # type: ignore[type-arg]
        return dict(requests.get(game.url + "/stats", timeout=10).json())

    start, before = time.monotonic(), figures()
    while time.monotonic() - start < SECONDS:
        for page in pages:
            page.lost(0.002)
        time.sleep(0.05)  # the watchers share the machine with what they watch
    after = figures()
    took = time.monotonic() - start
    assert {len(page.seats) for page in pages} == {BOTS}
    assert all(any(event[0] == "bomb" for event in page.events) for page in pages)
    slips = {name: room["p99"] for name, room in after["rooms"].items()}
    cpu = (after["cpu_seconds"] - before["cpu_seconds"]) / took
    report = {
        "rooms": ROOMS,
        "bots": ROOMS * BOTS,
        "seconds": round(took, 1),
        "cpu_share_of_one_core": round(cpu, 3),
        "tick_slip_p99_ms": max(slips.values()),
        "tick_slip_max_ms": max(room["max"] for room in after["rooms"].values()),
        "late_ticks": sum(room["late"] for room in after["rooms"].values()),
        "ticks": sum(room["ticks"] for room in after["rooms"].values()),
    }
    (artifacts / "game-load.json").write_text(json.dumps(report, indent=1) + "\n")
    print(report)
    assert report["ticks"] > ROOMS * 30 * took * 0.97
    assert report["tick_slip_p99_ms"] < PERIOD, report
