"""The table of the signal framework, in one process and across a fork."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from geuwsgi.shared.signaltable import ANY, CRON, FILE, MOST, RB_TIMER, TIMER, WORKER, Event, SignalTable


@pytest.fixture
def table() -> Iterator[SignalTable]:
    made = SignalTable()
    yield made
    made.close()


def test_targets(table: SignalTable) -> None:
    table.set_target(0, ANY, 0)
    table.set_target(255, WORKER + 3, 2)
    assert [table.target(signal) for signal in (0, 1, 255)] == [(ANY, 0), (0, 0), (WORKER + 3, 2)]


def test_events(table: SignalTable) -> None:
    before = table.version
    assert table.add(TIMER, 7, [3])
    assert table.add(RB_TIMER, 8, [5, 2])
    assert table.add(CRON, 9, [-1, -5, 1, 12, 7])
    assert table.add(FILE, 255, path=os.fsencode("/tmp/ü"))
    assert table.version != before
    assert table.events() == [
        Event(TIMER, 0, 7, (3, 0, 0, 0, 0), ""),
        Event(RB_TIMER, 0, 8, (5, 2, 0, 0, 0), ""),
        Event(CRON, 0, 9, (-1, -5, 1, 12, 7), ""),
        Event(FILE, 0, 255, (0, 0, 0, 0, 0), "/tmp/ü"),
    ]


def test_places_are_bounded_and_used_again(table: SignalTable) -> None:
    assert all(table.add(RB_TIMER, number, [1, 1]) for number in range(MOST))
    assert not table.add(RB_TIMER, 0, [1, 1])
    assert table.add(TIMER, 0, [1])  # each kind has its own
    fifth = table.events()[6]
    table.end(fifth)
    assert fifth not in table.events()
    assert table.add(RB_TIMER, 99, [1, 1])
    assert fifth._replace(signal=99) in table.events()


def test_what_every_worker_adds_is_there_once(table: SignalTable) -> None:
    """And not again when a worker is replaced after it was over."""
    for _ in range(2):
        assert table.add(RB_TIMER, 1, [1, 1], once=True)
        assert table.add(FILE, 1, path=b"/a", once=True)
        assert table.add(FILE, 1, path=b"/b", once=True)
    assert [event.path for event in table.events()] == ["", "/a", "/b"]
    table.end(table.events()[0])
    assert table.add(RB_TIMER, 1, [1, 1], once=True)
    assert [event.path for event in table.events()] == ["/a", "/b"]
    assert table.add(RB_TIMER, 1, [1, 1])  # which a request asks for is another one
    assert len(table.events()) == 3


def test_other_processes_see_it(table: SignalTable) -> None:
    pid = os.fork()
    if not pid:
        for number in range(20):
            table.add(TIMER, number, [1])
        os._exit(0)
    for number in range(20, 40):
        assert table.add(TIMER, number, [1])
    assert os.waitpid(pid, 0)[1] == 0
    assert sorted(event.signal for event in table.events()) == list(range(40))


def test_the_next_image_opens_it(table: SignalTable) -> None:
    table.set_target(3, ANY, 0)
    table.minute = 29_000_000
    again = SignalTable(os.dup(table.fd))
    assert (again.target(3), again.minute) == ((ANY, 0), 29_000_000)
    again.close()
