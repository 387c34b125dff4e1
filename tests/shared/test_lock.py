"""The numbered locks."""

from __future__ import annotations

import gevent
import pytest

from geuwsgi.shared.lock import UserLocks


def test_a_waiter_lets_the_others_run() -> None:
    locks = UserLocks()
    locks.lock(0)
    seen: list[str] = []

    def wait() -> None:
        locks.lock(0)
        seen.append("locked")

    waiter = gevent.spawn(wait)
    gevent.spawn(seen.append, "others run").join()
    assert (seen, locks.is_locked(0)) == (["others run"], True)
    locks.unlock(0)
    waiter.join(20)
    assert (seen, locks.is_locked(0)) == (["others run", "locked"], True)


def test_unlocking_what_is_not_locked_changes_nothing() -> None:
    locks = UserLocks()
    locks.unlock(0)
    locks.lock(0)
    assert locks.is_locked(0)


def test_anybody_may_unlock() -> None:
    locks = UserLocks()
    locks.lock(0)
    gevent.spawn(locks.unlock, 0).join(5)
    assert not locks.is_locked(0)


def test_they_are_independent() -> None:
    locks = UserLocks(2)
    locks.lock(2)
    assert [locks.is_locked(number) for number in range(3)] == [False, False, True]


@pytest.mark.parametrize("number", [1, 5, -1])
def test_there_is_no_such_lock(number: int) -> None:
    locks = UserLocks()
    for call in (locks.lock, locks.unlock, locks.is_locked):
        with pytest.raises(IndexError):
            call(number)


def test_a_killed_waiter_does_not_take_it() -> None:
    locks = UserLocks()
    locks.lock(0)
    waiter = gevent.spawn(locks.lock, 0)
    gevent.sleep(0)
    waiter.kill()
    locks.unlock(0)
    assert not locks.is_locked(0)
