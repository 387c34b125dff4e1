"""uWSGI's native asynchronous API: register descriptors and a time-out on a request, then suspend until the first of them.

`uwsgi.suspend()` and an empty chunk from the application's iterable are the same call of `suspend` here.

Source: uWSGI's `--async` with a suspend engine, watched: registrations are gone after every suspend, whatever ended it; a
suspend that waits for nothing lets the others run. Differs: time-outs may have fractions of a second, the shortest one
counts (there the one registered first), and a descriptor that is ready together with another is not closed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import gevent
from gevent import get_hub
from gevent.hub import Waiter

if TYPE_CHECKING:
    from .request import Request

#: What to wait for, as the loop counts it.
READ = 1
WRITE = 2


def register(request: Request, fd: int, event: int, timeout: float) -> None:
    """Make the next suspend of `request` end when `fd` is ready.

    Args:
        event: READ or WRITE.
        timeout: seconds after which the suspend ends all the same; 0 or less for no limit.

    Raises:
        OSError: `fd` is not open.
    """
    os.fstat(fd)  # a closed number would never become ready
    if request.waits is None:
        request.waits = []
    request.waits.append((fd, event, timeout))


def sleep(request: Request, seconds: float) -> None:
    """Make the next suspend of `request` end after so many seconds at the latest; 0 or less changes nothing."""
    if seconds > 0 and (request.sleep < 0 or seconds < request.sleep):
        request.sleep = seconds


def suspend(request: Request) -> None:
    """Wait for what the request has registered; without any registration, let the others run.

    Afterwards `request.ready_fd` is the descriptor that is ready, or -1; the environ says the same as uWSGI's does:
    `uwsgi.ready_fd` (None for -1) and `x-wsgiorg.fdevent.timeout` (True after a time-out, else None).
    """
    waits, request.waits = request.waits or (), None
    limit, request.sleep = request.sleep, -1.0
    for _, _, timeout in waits:
        if timeout > 0 and (limit < 0 or timeout < limit):
            limit = timeout
    request.switches += 1
    ready = -1
    if waits or limit >= 0:
        ready = _wait(waits, limit)
    else:
        gevent.sleep(0)
    request.ready_fd = ready
    environ = request.environ
    environ["uwsgi.ready_fd"] = None if ready < 0 else ready
    environ["x-wsgiorg.fdevent.timeout"] = True if ready < 0 and limit >= 0 else None


def _wait(waits: Iterable[tuple[int, int, float]], limit: float) -> int:
    """The first descriptor of `waits` to be ready, or -1 after `limit` seconds.

    The watchers are this call's own: any number of greenlets may wait for the same descriptor.
    """
    hub = get_hub()
    loop = hub.loop
    waiter: Waiter[int] = Waiter(hub)
    watchers: list[Any] = []
    try:
        for fd, event, _ in waits:
            watcher = loop.io(fd, event)
            watchers.append(watcher)
            watcher.start(waiter.switch, fd)
        if limit >= 0:
            timer = loop.timer(limit)
            watchers.append(timer)
            timer.start(waiter.switch, -1, update=True)
        return waiter.get()
    finally:
        for watcher in watchers:
            watcher.stop()
            watcher.close()
