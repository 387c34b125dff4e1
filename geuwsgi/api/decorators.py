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

__all__ = ["harakiri", "lock", "postfork", "postfork_chain", "postfork_chain_hook", "thread"]

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
