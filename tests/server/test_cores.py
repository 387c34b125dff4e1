"""geuwsgi/server/cores.py"""

from __future__ import annotations

import gevent
import pytest

from geuwsgi.server.cores import Cores


def test_the_smallest_free_number_comes_first() -> None:
    cores = Cores(4)
    assert [cores.acquire() for _ in range(4)] == [0, 1, 2, 3]
    cores.release(2)
    cores.release(0)
    cores.release(3)
    assert [cores.acquire() for _ in range(3)] == [0, 2, 3]


def test_a_line_is_served_in_order() -> None:
    cores = Cores(1)
    order: list[str] = []

    def take(name: str) -> None:
        core = cores.acquire()
        order.append(name)
        gevent.sleep(0)
        cores.release(core)

    core = cores.acquire()
    line = [gevent.spawn(take, name) for name in "abc"]
    gevent.idle()
    assert cores.waiting == 3
    cores.release(core)
    # Who comes now comes last, although a core was just given back.
    line.append(gevent.spawn(take, "d"))
    gevent.joinall(line, timeout=20, raise_error=True)
    assert order == list("abcd")
    assert cores.waiting == 0
    assert cores.acquire() == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_who_is_killed_in_line_takes_no_core_along(when: str) -> None:
    cores = Cores(1)
    core = cores.acquire()
    waiting = gevent.spawn(cores.acquire)
    gevent.idle()
    assert cores.waiting == 1
    if when == "before":
        waiting.kill()
        assert cores.waiting == 0
        cores.release(core)
    else:
        # The core is on its way to a greenlet that is killed at the same moment.
        waiting.kill(block=False)
        cores.release(core)
        waiting.join(20)
    gevent.idle()
    with gevent.Timeout(20):
        assert cores.acquire() == 0


def test_full_until_one_is_given_back_for_which_nobody_waits() -> None:
    cores = Cores(2)
    first, second = cores.acquire(), cores.acquire()
    assert cores.full
    told: list[bool] = []
    cores.when_free(lambda: told.append(cores.full))
    line = gevent.spawn(cores.acquire)
    gevent.idle()
    cores.release(first)
    assert (cores.full, told) == (True, [])
    cores.release(second)
    assert (cores.full, told) == (False, [False])
    line.join(5)
    cores.release(line.value)
    assert told == [False], "once"
