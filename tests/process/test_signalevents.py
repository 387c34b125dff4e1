"""Which events are due, with a clock that the test moves."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from geuwsgi.process.signalevents import LOOK, SignalEvents
from geuwsgi.shared.signaltable import CRON, FILE, RB_TIMER, TIMER, SignalTable


@pytest.fixture
def table() -> Iterator[SignalTable]:
    made = SignalTable()
    yield made
    made.close()


def test_timers(table: SignalTable) -> None:
    events = SignalEvents(table)
    assert events.due(99.0) == ([], 99.0 + 3600)
    table.add(TIMER, 1, [2])
    table.add(RB_TIMER, 2, [3, 2])
    assert events.due(100.0) == ([], 102.0)
    assert events.due(101.9) == ([], 102.0)
    assert events.due(102.0) == ([1], 103.0)
    assert events.due(103.5) == ([2], 104.0)
    assert events.due(104.1) == ([1], 106.0)
    assert events.due(106.0) == ([1, 2], 108.0)
    # The one with two times is over and has given up its place; the other one makes up for nothing.
    assert [event.signal for event in table.events()] == [1]
    assert events.due(1000.0) == ([1], 1002.0)


def test_one_that_comes_later(table: SignalTable) -> None:
    events = SignalEvents(table)
    table.add(TIMER, 1, [10])
    events.due(100.0)
    table.add(TIMER, 2, [1])
    assert events.due(105.0) == ([], 106.0)
    assert events.due(106.0) == ([2], 107.0)


def test_a_place_that_is_taken_again(table: SignalTable) -> None:
    events = SignalEvents(table)
    for start in (100.0, 200.0):
        table.add(RB_TIMER, 1, [1, 1])
        assert events.due(start) == ([], start + 1)
        assert events.due(start + 1)[0] == [1]
        assert events.due(start + 5)[0] == []


def test_crons(table: SignalTable, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = time.mktime((2026, 11, 28, 17, 5, 40, 0, 0, -1))
    monkeypatch.setattr(time, "time", lambda: moment)
    table.add(CRON, 1, [-1, -1, -1, -1, -1])
    table.add(CRON, 2, [6, 17, -1, -1, -1])
    events = SignalEvents(table)
    assert events.due(100.0) == ([1], 120.0)
    assert events.due(101.0) == ([], 121.0)
    moment += 20
    assert events.due(120.0) == ([1, 2], 180.0)
    assert events.due(150.0)[0] == []
    # A reload within the minute: the next image knows what the one before has done.
    again = SignalEvents(table, table.minute)
    assert again.due(155.0)[0] == []


def test_paths(table: SignalTable, tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    folder.mkdir()
    table.add(FILE, 1, path=os.fsencode(file))
    table.add(FILE, 2, path=os.fsencode(folder))
    events = SignalEvents(table)
    assert events.due(100.0) == ([], 100.0 + LOOK)
    file.write_text("comes")
    (folder / "a").touch()
    assert events.due(100.1)[0] == []
    assert events.due(101.0)[0] == [1, 2]
    assert events.due(102.0)[0] == []
    file.write_text("changes")
    os.utime(folder / "a", (1, 1))
    assert events.due(103.0)[0] == [1, 2]
    file.unlink()
    assert events.due(104.0)[0] == [1]


def test_the_minute_is_noted_without_crons(table: SignalTable) -> None:
    SignalEvents(table).due(100.0)
    assert abs(table.minute - time.time() // 60) <= 1
