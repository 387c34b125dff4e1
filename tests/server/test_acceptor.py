"""Who takes a connection: the arithmetic. What comes of it stands in tests/process/test_accept.py."""

from __future__ import annotations

import os

import pytest

from geuwsgi.server.acceptor import NOT_ACCEPTING, Share


def words(*numbers: int) -> memoryview:
    memory = memoryview(bytearray(8 * len(numbers))).cast("q")
    for index, number in enumerate(numbers):
        memory[index] = number
    return memory


@pytest.mark.parametrize(
    ("numbers", "excess"),
    [
        ((0, 0, 0), 0),
        ((1, 0, 0), 0),  # somebody has to be first
        ((2, 0, 0), 1),
        ((2, 1, 1), 0),
        ((9, 9, 3), 5),
        ((3, 9, 9), 0),
        ((9, NOT_ACCEPTING, NOT_ACCEPTING), 0),
        ((9, NOT_ACCEPTING, 8), 0),
    ],
)
def test_excess(numbers: tuple[int, ...], excess: int) -> None:
    assert Share(words(*numbers), words(0, 0, 0), words(os.getpid(), 1, 1), 0).excess() == excess
    assert Share(words(*numbers), words(0, 0, 0), words(1, 1, 1), 0).excess() == 0  # replaced


@pytest.mark.parametrize(("numbers", "excess"), [((1, 0, 0), 0), ((2, 1, 1), 1), ((2, 2, 2), 0), ((4, 0, 2), 4)])
def test_one_more_counts_where_there_is_no_core_for_it(numbers: tuple[int, ...], excess: int) -> None:
    assert Share(words(*numbers), words(0, 0, 0), words(os.getpid(), 1, 1), 0, cores=2).excess() == excess


def test_who_does_not_come_is_not_waited_for_until_he_accepts_something() -> None:
    numbers, accepted = words(5, 0, 3), words(0, 0, 0)
    share = Share(numbers, accepted, words(os.getpid(), 1, 1), 0)
    assert share.excess() == 4
    share.give_up()
    assert share.excess() == 1  # the other one may still come
    share.give_up()
    assert share.excess() == 0
    accepted[1] = 1  # and it was a short one
    assert share.excess() == 4


def test_what_is_written_down() -> None:
    numbers, accepted = words(7, 7, 7), words(3, 3, 3)
    pids = words(1, os.getpid(), 1)
    share = Share(numbers, accepted, pids, 1)
    share.set(4)
    share.accepted(5)
    assert (numbers.tolist(), accepted.tolist()) == ([7, 5, 7], [3, 4, 3])
    share.withdraw()
    assert numbers[1] == NOT_ACCEPTING
    share.set(3)
    pids[1] = 1
    share.set(5)
    share.accepted(5)
    share.withdraw()
    assert (numbers.tolist(), accepted.tolist()) == ([7, 3, 7], [3, 4, 3])
