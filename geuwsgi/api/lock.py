"""`uwsgi.lock`, `unlock` and `is_locked`."""

from __future__ import annotations

from operator import index

from .state import state

__all__ = ["is_locked", "lock", "unlock"]


def lock(lock_num: int = 0, /) -> None:
    """Take a lock; wait until it is free, while other greenlets run.

    Raises:
        ValueError: "Invalid lock number".
    """
    try:
        state.locks.lock(index(lock_num))
    except IndexError:
        raise ValueError("Invalid lock number") from None


def unlock(lock_num: int = 0, /) -> None:
    """Free a lock, whoever has taken it.

    Raises:
        ValueError: "Invalid lock number".
    """
    try:
        state.locks.unlock(index(lock_num))
    except IndexError:
        raise ValueError("Invalid lock number") from None


def is_locked(lock_num: int = 0, /) -> bool:
    """Whether somebody has the lock.

    Raises:
        ValueError: "Invalid lock number".
    """
    try:
        return state.locks.is_locked(index(lock_num))
    except IndexError:
        raise ValueError("Invalid lock number") from None
