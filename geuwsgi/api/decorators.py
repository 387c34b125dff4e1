"""`uwsgidecorators`: what applications import under that name. Only decorators whose subsystem exists are here.

As with uWSGI's, importing it takes the place of `uwsgi.post_fork_hook`, and fails without a master.
"""

from __future__ import annotations

import sys
from functools import update_wrapper
from threading import Thread
from typing import Any, Callable, Optional, Union

uwsgi: Any = sys.modules["uwsgi"]

if uwsgi.masterpid() == 0:
    raise Exception("you have to enable the uWSGI master process to use this module")

__all__ = [
    "cron",
    "filemon",
    "get_free_signal",
    "harakiri",
    "lock",
    "postfork",
    "postfork_chain",
    "postfork_chain_hook",
    "rbtimer",
    "signal",
    "thread",
    "timer",
]

Function = Callable[..., Any]

#: What `postfork` has collected, in order.
postfork_chain: list[Function] = []


def postfork_chain_hook() -> None:
    """Call everything that wants to know of a fork; it is `uwsgi.post_fork_hook`."""
    for function in postfork_chain:
        function()


uwsgi.post_fork_hook = postfork_chain_hook


class postfork:
    """Call a function in each worker after the fork: `@postfork`; or in one worker only: `@postfork(2)`."""

    def __init__(self, f: Union[Function, int]) -> None:
        self.wid = 0 if callable(f) else f
        self.f: Optional[Function] = f if callable(f) else None
        postfork_chain.append(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.f is None:
            # The second half of @postfork(2): the function itself.
            self.f = args[0]
            return self
        if self.wid in (0, uwsgi.worker_id()):
            return self.f()
        return None


def get_free_signal() -> int:
    """The lowest signal that has no handler.

    Raises:
        Exception: all have one.
    """
    for number in range(256):
        if not uwsgi.signal_registered(number):
            return number
    raise Exception("No free uwsgi signal available")


class _Registered:
    """What the decorators below have in common: the function becomes the handler of a signal.

    Args:
        signum: the signal; one that is free if left out.
        target: who handles it, as in `uwsgi.register_signal`.
    """

    def __init__(self, signum: Optional[int] = None, target: str = "") -> None:
        self.num = get_free_signal() if signum is None else signum
        self.target = target

    def __call__(self, f: Function) -> Function:
        uwsgi.register_signal(self.num, self.target, f)
        self.add()
        return f

    def add(self) -> None:
        """Add what raises the signal."""


class signal(_Registered):
    """Call the function when a signal is raised: `@signal(17)`."""

    def __init__(self, num: int, **kwargs: Any) -> None:
        super().__init__(num, kwargs.get("target", ""))


class timer(_Registered):
    """Call the function every so many seconds: `@timer(3)`."""

    def __init__(self, secs: int, **kwargs: Any) -> None:
        super().__init__(kwargs.get("signum"), kwargs.get("target", ""))
        self.secs = secs

    def add(self) -> None:
        """Add the timer."""
        uwsgi.add_timer(self.num, self.secs)


class rbtimer(timer):
    """The same with uWSGI's other kind of timers: `@rbtimer(3)`; `iterations=` says how often."""

    def __init__(self, secs: int, **kwargs: Any) -> None:
        super().__init__(secs, **kwargs)
        self.iterations = kwargs.get("iterations", 0)

    def add(self) -> None:
        """Add the timer."""
        uwsgi.add_rb_timer(self.num, self.secs, self.iterations)


class cron(_Registered):
    """Call the function in the minutes that fit: `@cron(59, 3, -1, -1, -1)`."""

    def __init__(self, minute: int, hour: int, day: int, month: int, dayweek: int, **kwargs: Any) -> None:
        super().__init__(kwargs.get("signum"), kwargs.get("target", ""))
        self.fields = minute, hour, day, month, dayweek

    def add(self) -> None:
        """Add the cron."""
        uwsgi.add_cron(self.num, *self.fields)


class filemon(_Registered):
    """Call the function when a file or a directory changes: `@filemon("/tmp")`."""

    def __init__(self, fsobj: str, **kwargs: Any) -> None:
        super().__init__(kwargs.get("signum"), kwargs.get("target", ""))
        self.fsobj = fsobj

    def add(self) -> None:
        """Add the watch."""
        uwsgi.add_file_monitor(self.num, self.fsobj)


class harakiri:
    """Let a call of the function take at most so many seconds: `@harakiri(30)`."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds

    def __call__(self, f: Function) -> Function:
        def limited(*args: Any, **kwargs: Any) -> Any:
            uwsgi.set_user_harakiri(self.seconds)
            result = f(*args, **kwargs)
            uwsgi.set_user_harakiri(0)
            return result

        return limited


class lock:
    """Let one call of the function run at a time: it holds user lock 0."""

    def __init__(self, f: Function) -> None:
        self.f = f
        update_wrapper(self, f)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        uwsgi.lock()
        try:
            return self.f(*args, **kwargs)
        finally:
            uwsgi.unlock()


class thread:
    """Run each call of the function in a thread of its own, which does not hold up the end of the process."""

    def __init__(self, f: Function) -> None:
        self.f = f
        update_wrapper(self, f)

    def __call__(self, *args: Any) -> Function:
        Thread(target=self.f, args=args, daemon=True).start()
        return self.f
