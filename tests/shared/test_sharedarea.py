"""Shared areas: bounds, integers, locks, waiting."""

from __future__ import annotations

import mmap
import os

import gevent
import pytest

from geuwsgi.shared.lock import LockFile, ReadWriteLock, UserLocks
from geuwsgi.shared.sharedarea import SharedArea, make_areas


@pytest.fixture
def area() -> SharedArea:
    return make_areas([memoryview(mmap.mmap(-1, 4096))])[0]


def test_bytes(area: SharedArea) -> None:
    area.write(4090, b"at end")
    assert (area.read(4090), area.read(4091, 2), area.read(0, 2)) == (b"at end", b"t ", b"\0\0")


@pytest.mark.parametrize(("position", "length"), [(4096, 0), (4095, 2), (-1, 1), (0, 4097), (1 << 70, 1), (0, -1)])
def test_what_is_not_in_it(area: SharedArea, position: int, length: int) -> None:
    with pytest.raises(IndexError):
        area.span(position, length)


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_integers_wrap_around(area: SharedArea, bits: int) -> None:
    area.write_integer(bits, 1, (1 << (bits - 1)) - 1)
    area.add(bits, 1, 1)
    assert area.read_integer(bits, 1) == -(1 << (bits - 1))
    area.add(bits, 1, -1)
    assert area.read_integer(bits, 1) == (1 << (bits - 1)) - 1
    with pytest.raises(IndexError):
        area.add(bits, 4097 - bits // 8, 1)


def test_waiting_for_a_change(area: SharedArea) -> None:
    assert not area.wait(0.001, 0.01)
    waiter = gevent.spawn(area.wait, 0.001, 5)
    gevent.sleep(0)
    area.update()
    assert waiter.get(timeout=20)


def test_whoever_has_it_alone_works_with_it_and_the_others_wait(area: SharedArea) -> None:
    area.lock(False)
    area.write(0, b"mine")
    other = gevent.spawn(area.write, 0, b"yours")
    gevent.sleep(0.002)
    assert area.read(0, 4) == b"mine"
    area.unlock()
    other.get(timeout=20)
    assert area.read(0, 5) == b"yours"


def test_nobody_waits_for_itself(area: SharedArea) -> None:
    area.lock(True)
    assert area.read(0, 1) == b"\0"
    with pytest.raises(RuntimeError):
        area.write(0, b"x")
    area.unlock()
    area.write(0, b"x")


def test_readers_and_writers_of_two_processes() -> None:
    file = LockFile()
    lock = ReadWriteLock(file, 3)

    def other_process(exclusive: bool) -> bool:
        pid = os.fork()
        if not pid:
            os._exit(0 if file.take(3, shared=not exclusive) else 1)
        return os.waitpid(pid, 0)[1] == 0

    assert lock.try_acquire(True)
    assert (other_process(False), other_process(True)) == (True, False)
    lock.release()
    assert lock.try_acquire(False)
    assert not other_process(False)
    lock.release()
    assert other_process(True)


def test_a_lock_ends_with_its_process() -> None:
    locks = UserLocks(1)
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        locks.lock(1)
        os.write(write, b"x")
        os.read(os.pipe()[0], 1)
    os.read(read, 1)
    assert (locks.is_locked(1), locks.is_locked(0)) == (True, False)
    waiter = gevent.spawn(locks.lock, 1)
    gevent.sleep(0.01)
    assert not waiter.ready()
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    waiter.get(timeout=20)
    os.close(read)
    os.close(write)
