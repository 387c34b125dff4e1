"""The numbered locks."""

from __future__ import annotations

import os

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


def test_what_another_process_has_is_unlocked_by_nobody_here() -> None:
    locks = UserLocks()
    tell, hear = os.pipe()[::-1]
    child = os.fork()
    if not child:
        locks.lock(0)
        os.write(tell, b"x")
        gevent.sleep(60)
        os._exit(0)
    os.read(hear, 1)
    inside: list[int] = []

    def enter(number: int) -> None:
        locks.lock(0)
        inside.append(number)

    waiters = [gevent.spawn(enter, number) for number in range(2)]
    try:
        gevent.sleep(0)
        for _ in range(2):
            locks.unlock(0)
            gevent.sleep(0.05)
        assert inside == []
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(hear)
        os.close(tell)
    gevent.joinall(waiters, timeout=20, count=1)
    gevent.sleep(0.05)
    assert len(inside) == 1
    locks.unlock(0)
    gevent.joinall(waiters, timeout=20)
    assert sorted(inside) == [0, 1]
