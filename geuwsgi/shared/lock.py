"""Locks that the workers of one master share, and that no worker takes into its grave.

Between processes they are record locks (fcntl) on one byte each of a file without a name: taken in one step, let go of by the kernel when
their process ends, however it ends. Within a process, which the kernel takes for one owner, they are told apart here. Nobody blocks: one
waiter of each process asks again and again, more and more slowly, while the other greenlets run.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import gevent
from gevent import monkey
from gevent.lock import BoundedSemaphore
from greenlet import getcurrent

try:
    import fcntl
except ImportError:  # no fork either, so there is nobody to share with
    fcntl = None  # type: ignore[assignment]

#: Seconds between two attempts to get what another process has: the first pause, and the longest.
SHORTEST_PAUSE = 0.0002
LONGEST_PAUSE = 0.01


class LockFile:
    """A file whose bytes are locks. Made before the fork; each process that has it is one owner."""

    def __init__(self) -> None:
        self._fd = -1
        if not fcntl:
            return
        try:
            self._fd = os.memfd_create("geuwsgi-locks")  # closed on exec
        except (AttributeError, OSError):
            self._fd, path = tempfile.mkstemp(prefix="geuwsgi-locks-")
            os.unlink(path)

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def take(self, number: int, shared: bool = False) -> bool:
        """Take a lock for this process, or change how it has it; False when another process is in the way. Never waits."""
        if self._fd < 0:
            return True
        try:
            fcntl.lockf(self._fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB, 1, number)
        except (BlockingIOError, PermissionError):  # POSIX allows both
            return False
        return True

    def free(self, number: int) -> None:
        """Let go of a lock, if this process has it."""
        if self._fd >= 0:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, number)


class UserLocks:
    """Locks 0 to `extra`, behind `uwsgi.lock`.

    Within a process they have no owner: any greenlet may unlock, unlocking what is not locked is allowed, and locking twice waits for
    somebody else to unlock. What another process has locked only that one can unlock. All as in uWSGI, with its robust mutexes.

    Args:
        extra: locks besides number 0 (`--locks`).
    """

    def __init__(self, extra: int = 0) -> None:
        self._locks = [BoundedSemaphore(1) for _ in range(extra + 1)]
        #: Whether this process has the lock; somebody who waits for another process has the semaphore alone.
        self._held = [False] * (extra + 1)
        self._file = LockFile()

    def lock(self, number: int) -> None:
        """Wait until the lock is free, and take it.

        Raises:
            IndexError: there is no such lock.
        """
        lock = self._get(number)
        lock.acquire()
        pause = SHORTEST_PAUSE
        try:
            while not self._file.take(number):
                gevent.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        except BaseException:
            lock.release()
            raise
        self._held[number] = True

    def unlock(self, number: int) -> None:
        """Free the lock.

        Raises:
            IndexError: there is no such lock.
        """
        lock = self._get(number)
        if self._held[number]:
            self._held[number] = False
            self._file.free(number)
            lock.release()

    def is_locked(self, number: int) -> bool:
        """Whether somebody has it.

        Raises:
            IndexError: there is no such lock.
        """
        if self._get(number).locked():
            return True
        if not self._file.take(number):
            return True
        self._file.free(number)
        return False

    def _get(self, number: int) -> BoundedSemaphore:
        if number < 0:
            raise IndexError(number)
        return self._locks[number]


class ReadWriteLock:
    """Many readers or one writer, among all greenlets and threads of all processes.

    Args:
        file: where it is a byte.
        number: which.
    """

    def __init__(self, file: LockFile, number: int) -> None:
        self._file = file
        self._number = number
        #: Real threads meet here; nobody holds it for longer than a system call.
        self._guard = monkey.get_original("_thread", "allocate_lock")()
        self._writer: Any = None
        self._readers: list[Any] = []

    def acquire(self, shared: bool) -> None:
        """Wait until it can be had.

        Raises:
            RuntimeError: the caller has it already, in a way for which it would wait for itself.
        """
        pause = SHORTEST_PAUSE
        me = getcurrent()
        while not self.try_acquire(shared):
            if self._writer is me or (not shared and me in self._readers):
                raise RuntimeError("it is locked by this greenlet")
            gevent.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def try_acquire(self, shared: bool) -> bool:
        """Take it if it can be had at once."""
        with self._guard:
            if self._writer is not None or (self._readers and not shared):
                return False
            if not self._readers and not self._file.take(self._number, shared):
                return False
            if shared:
                self._readers.append(getcurrent())
            else:
                self._writer = getcurrent()
            return True

    def release(self) -> None:
        """Let go of it, whoever of this process has it; the caller's own first."""
        with self._guard:
            if self._readers:
                me = getcurrent()
                self._readers.remove(me if me in self._readers else self._readers[0])
            self._writer = None
            if not self._readers:
                self._file.free(self._number)

    @property
    def writing(self) -> bool:
        """Whether the caller has it alone."""
        return self._writer is getcurrent()
