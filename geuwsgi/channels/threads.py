"""Calls that come from other threads, such as those of gevent's pool: they are made in the loop's own."""

from __future__ import annotations

from collections import deque
from typing import Any, Callable

from gevent import get_hub, monkey

from .background import spawn

#: Calls of other threads that may wait for the loop before those threads are made to wait themselves.
WAITING = 1000

_thread_id: Callable[[], int] = monkey.get_original("_thread", "get_ident")
_new_lock: Callable[[], Any] = monkey.get_original("_thread", "allocate_lock")
_sleep: Callable[[float], None] = monkey.get_original("time", "sleep")


class Loop:
    """The loop of the thread that makes it."""

    def __init__(self) -> None:
        self._loop: Any = get_hub().loop
        self._thread = _thread_id()
        self._calls: deque[tuple[Any, ...]] = deque()
        self._running = False

    def is_here(self) -> bool:
        """Whether the caller runs in it."""
        return _thread_id() == self._thread

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call it in a greenlet of the loop, and wait for what it returns or raises."""
        done = _new_lock()
        done.acquire()
        result: list[Any] = []

        def run() -> None:
            try:
                result.extend((function(*arguments), None))
            except BaseException as error:
                result.extend((None, error))
            finally:
                done.release()

        self._loop.run_callback_threadsafe(spawn, run)
        done.acquire()
        value, error = result
        if error is not None:
            raise error
        return value

    def call_later(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call it soon, in the order in which such calls are made. Waits only when the loop is far behind."""
        while len(self._calls) >= WAITING:
            _sleep(0.001)
        self._calls.append((function, arguments))
        self._loop.run_callback_threadsafe(self._start)

    def _start(self) -> None:
        if not self._running and self._calls:
            self._running = True
            spawn(self._run)

    def _run(self) -> None:
        try:
            while self._calls:
                function, arguments = self._calls.popleft()
                function(*arguments)
        finally:
            self._running = False
            self._start()
