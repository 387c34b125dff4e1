"""Processes that the application forks.

One that comes back into the server instead of ending has copies of all sockets and greenlets of its worker, and would serve with them:
answer the same request twice, take part in connections that are somebody else's, and never end, while its parent may wait for that. So
it ends where it comes back, as `exit` ends a process. Source: uWSGI, whose worker's copy ends by `sys.exit` in the application.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any, Callable, Optional

from gevent import get_hub

from ..log import log

#: Whether this process was forked by a worker. A plain name, because every request looks at it.
child = False


def hear_of_every_end(fork: Callable[[], int]) -> Callable[[], int]:
    """gevent's `os.fork`, which begins to listen for ends only when it has forked: `os.waitpid` would wait for ever for a quick child."""

    def listening_fork() -> int:
        loop: Any = get_hub().loop
        if loop.default and hasattr(loop, "install_sigchld"):
            loop.install_sigchld()
        return fork()

    return listening_fork


def watch() -> None:
    """This process is a worker: what is forked from now on is its child."""
    global child
    child = False
    if not _watching:
        _watching.append(True)
        os.register_at_fork(after_in_child=_mark)


_watching: list[bool] = []


def _mark() -> None:
    global child
    child = True


def end(error: Optional[BaseException]) -> None:
    """End this process, a worker's child, without anything of what the worker does at its own end.

    Args:
        error: what the application has raised, None when it has returned.
    """
    status: Any = 1
    if isinstance(error, SystemExit):
        status = error.code
        if status is not None and not isinstance(status, int):
            log(str(status))
            status = 1
    elif error is None:
        log(f"a process that the application has forked (pid: {os.getpid()}) came back from it: it ends")
    else:
        log("".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip("\n"))
        log(f"the application raised in a process that it has forked (pid: {os.getpid()}): it ends")
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass
    os._exit((status or 0) & 0xFF)
