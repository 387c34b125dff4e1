"""Areas of memory that all workers read and write: the numbers in them, their locks, and waiting for a change."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Union

import gevent

from .lock import LockFile, ReadWriteLock
from .memory import shared_words

#: Signed integers by their bits, in the machine's own byte order and at any position, as uWSGI has them.
_INTEGERS = {8: struct.Struct("=b"), 16: struct.Struct("=h"), 32: struct.Struct("=i"), 64: struct.Struct("=q")}


class SharedArea:
    """One area. Every call that touches the memory holds the lock, unless its greenlet has locked the area itself.

    Args:
        memory: all of it, writable, in bytes.
        lock: who may.
        updates: one number that all processes share: how often the area was changed.
        source: the bytearray that it is made of, if it is (`--py-sharedarea`).

    Attributes:
        view: the memory.
        size: its bytes.
        source: as given.
    """

    def __init__(self, memory: memoryview, lock: ReadWriteLock, updates: memoryview, source: Union[bytearray, None] = None) -> None:
        self.view = memory
        self.size = len(memory)
        self.source = source
        self._lock = lock
        self._updates = updates

    def span(self, position: int, length: int) -> slice:
        """Where that is.

        Args:
            position: of the first byte.
            length: in bytes.
        Raises:
            IndexError: not all of it is in the area.
        """
        if not 0 <= position < self.size or length < 0 or position + length > self.size:
            raise IndexError(f"{length} bytes at {position} are not in an area of {self.size}")
        return slice(position, position + length)

    @contextmanager
    def reading(self) -> Iterator[memoryview]:
        """Nobody writes meanwhile."""
        if self._lock.writing:
            yield self.view
            return
        self._lock.acquire(True)
        try:
            yield self.view
        finally:
            self._lock.release()

    @contextmanager
    def writing(self) -> Iterator[memoryview]:
        """Nobody reads or writes meanwhile, and those who wait for a change learn of it.

        Raises:
            RuntimeError: this greenlet has locked the area for reading.
        """
        if self._lock.writing:
            self._updates[0] += 1
            yield self.view
            return
        self._lock.acquire(False)
        try:
            self._updates[0] += 1
            yield self.view
        finally:
            self._lock.release()

    def read(self, position: int, length: int = 0) -> bytes:
        """A copy of some bytes; with length 0 of all from there on. Raises IndexError."""
        where = self.span(position, length or self.size - position)
        with self.reading() as view:
            return bytes(view[where])

    def write(self, position: int, data: Union[bytes, memoryview]) -> None:
        """Copy bytes into it. Raises IndexError."""
        where = self.span(position, len(data))
        with self.writing() as view:
            view[where] = data

    def read_integer(self, bits: int, position: int) -> int:
        """A signed integer of so many bits. Raises IndexError."""
        number: int = _INTEGERS[bits].unpack(self.read(position, bits // 8))[0]
        return number

    def write_integer(self, bits: int, position: int, value: int) -> None:
        """Store a number, modulo 2 to the bits. Raises IndexError."""
        self.write(position, _wrapped(bits, value))

    def add(self, bits: int, position: int, amount: int) -> None:
        """Add to an integer, in one step for all others; it wraps around as in C. Raises IndexError."""
        where = self.span(position, bits // 8)
        with self.writing() as view:
            view[where] = _wrapped(bits, _INTEGERS[bits].unpack(view[where])[0] + amount)

    def lock(self, shared: bool) -> None:
        """Lock it for calls to come, of this greenlet only unless `shared`. Raises RuntimeError where it would wait for itself."""
        self._lock.acquire(shared)

    def unlock(self) -> None:
        """The opposite of `lock`; any greenlet of this process may."""
        self._lock.release()

    def update(self) -> None:
        """Tell those who wait that the area was changed, by whoever wrote through a memoryview."""
        with self.writing():
            pass

    def wait(self, interval: float, timeout: float) -> bool:
        """Wait for a change.

        Args:
            interval: seconds between two looks.
            timeout: seconds after which it is given up; 0 for never.
        Returns:
            whether there was one.
        """
        before = self._updates[0]
        end = time.monotonic() + timeout
        while self._updates[0] == before:
            left = end - time.monotonic() if timeout else interval
            if left <= 0:
                return False
            gevent.sleep(min(interval, left))
        return True


def make_areas(memories: Sequence[Union[memoryview, bytearray]]) -> list[SharedArea]:
    """Areas out of memory. Before the fork."""
    if not memories:
        return []
    file = LockFile()
    updates = shared_words(len(memories))
    return [
        SharedArea(
            memoryview(memory),
            ReadWriteLock(file, number),
            updates[number : number + 1],
            memory if isinstance(memory, bytearray) else None,
        )
        for number, memory in enumerate(memories)
    ]


def _wrapped(bits: int, value: int) -> bytes:
    half = 1 << (bits - 1)
    return _INTEGERS[bits].pack((value + half) % (1 << bits) - half)
