"""The numbered locks behind `uwsgi.lock`."""

from __future__ import annotations

from gevent.lock import BoundedSemaphore


class UserLocks:
    """Locks 0 to `extra`. Whoever waits for one lets the other greenlets run.

    They have no owner, as in uWSGI: anybody may unlock, unlocking what is not locked is allowed, and locking twice waits for
    somebody else to unlock.

    Args:
        extra: locks besides number 0 (`--locks`).
    """

    def __init__(self, extra: int = 0) -> None:
        self._locks = [BoundedSemaphore(1) for _ in range(extra + 1)]

    def lock(self, number: int) -> None:
        """Wait until the lock is free, and take it.

        Raises:
            IndexError: there is no such lock.
        """
        self._get(number).acquire()

    def unlock(self, number: int) -> None:
        """Free the lock.

        Raises:
            IndexError: there is no such lock.
        """
        lock = self._get(number)
        if lock.locked():
            lock.release()

    def is_locked(self, number: int) -> bool:
        """Whether somebody has it.

        Raises:
            IndexError: there is no such lock.
        """
        return self._get(number).locked()

    def _get(self, number: int) -> BoundedSemaphore:
        if number < 0:
            raise IndexError(number)
        return self._locks[number]
