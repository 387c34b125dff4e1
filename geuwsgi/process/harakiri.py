"""`--harakiri` and `uwsgi.set_user_harakiri`: requests that take too long.

uWSGI kills the worker. Here a worker serves many, so the request alone is ended: Harakiri is raised where it waits, which is logged, and
the client gets a 500. Only when that does not work does the worker go: a request that goes on all the same makes it be replaced, and
one that never lets others run is interrupted by a signal, and, when it sits in C code that no signal interrupts, killed with the worker.

A websocket may stay for as long as it likes once its handshake is made, unless the application itself sets a limit.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Iterable
from types import FrameType
from typing import TYPE_CHECKING, Any, Optional

import gevent
from gevent.hub import get_hub
from greenlet import getcurrent

from ..api import module
from ..log import log
from ..shared import scoreboard

if TYPE_CHECKING:
    from ..server.request import Request
    from .crew import WorkerProcess
    from .worker import Worker

#: Tells a worker whose loop has not turned for too long to look at itself. Nobody else uses it.
LOOK_AT_YOURSELF = signal.SIGVTALRM

#: Seconds that an interrupted request gets to come back, and how often it is interrupted.
GRACE = 2.0
TRIES = 3


class Harakiri(BaseException):
    """The request has taken too long. No Exception, so that applications which catch those let it pass."""


class Watch:
    """Ends overdue requests of one worker.

    Args:
        worker: whose requests they are.
        seconds: `--harakiri`; 0 when only the application sets limits.
        verbose: log all requests of the worker, not only the overdue one.
    """

    def __init__(self, worker: Worker, seconds: float, verbose: bool) -> None:
        self._worker = worker
        self._seconds = seconds
        self._verbose = verbose
        self._tries: dict[Request, tuple[int, float]] = {}
        self._row = worker.instance.scoreboard.row(worker.id)
        self._row[scoreboard.DEADLINE] = 0
        self._beat()
        signal.signal(LOOK_AT_YOURSELF, self._blocked)

    def run(self) -> None:
        """Look at all requests, for ever. A greenlet's function."""
        tick = min(1.0, max(0.05, self._seconds / 10)) if self._seconds else 1.0
        while True:
            self._beat()
            limits = module.user_deadlines()
            if self._seconds or limits:
                now = time.time()
                for request in list(self._worker.server.running.values()):
                    if self._overdue(request, now, limits.get(request)):
                        self._end(request, now)
                gone = [request for request in self._tries if request.finished]
                for request in gone:
                    del self._tries[request]
                self._row[scoreboard.DEADLINE] = _first(limits.values())
            threads = self._worker.threads
            if threads is not None and threads.lost_for > TRIES * GRACE:
                self._worker.ask_for_replacement("has a thread that does not end (--harakiri)")
            gevent.sleep(tick)

    def _beat(self) -> None:
        self._row[scoreboard.HEARTBEAT] = int(time.time())

    def _overdue(self, request: Request, now: float, limit: Optional[float]) -> bool:
        if limit is not None:
            return now >= limit
        return self._seconds > 0 and request.websocket is None and now >= request.started + self._seconds

    def _end(self, request: Request, now: float) -> None:
        tries, last = self._tries.get(request, (0, 0.0))
        if tries and now < last + GRACE:
            return
        if tries == TRIES:
            self._worker.ask_for_replacement("has a request that does not end (--harakiri)")
            return
        self._tries[request] = tries + 1, now
        log(f"*** HARAKIRI ON WORKER {self._worker.id} (pid: {os.getpid()}, try: {tries + 1}) ***\n{_describe(request)}")
        greenlet = request.connection.greenlet
        if self._verbose:
            others = "\n".join(_describe(other) for other in self._worker.server.running.values())
            log(f"HARAKIRI !!! worker {self._worker.id} status !!!\n{others}\nHARAKIRI !!! end of worker {self._worker.id} status !!!")
        # Where it sits is in the traceback that is logged for the request; when it catches that, here.
        if tries and greenlet.gr_frame is not None:
            log("it is still running:\n" + "".join(traceback.format_stack(greenlet.gr_frame)).rstrip("\n"))
        greenlet.kill(Harakiri(f"the request has taken {now - request.started:.1f} seconds"), block=False)

    def _blocked(self, number: int, frame: Optional[FrameType]) -> None:
        """The loop has not turned for too long: end whatever runs. A signal handler."""
        stack = "".join(traceback.format_stack(frame)).rstrip("\n")
        log(f"worker {self._worker.id} (pid: {os.getpid()}) has not let other requests run; it is here:\n{stack}")
        running: Any = getcurrent()
        if running is not get_hub() and running.parent is not None:
            raise Harakiri("the request has not let others run for too long")


def _first(limits: Iterable[float]) -> int:
    return int(min((limit for limit in limits if limit != float("inf")), default=0))


def _describe(request: Request) -> str:
    environ = request.environ
    return (
        f"HARAKIRI [core {request.core}] {environ.get('REMOTE_ADDR', '')} - {environ.get('REQUEST_METHOD', '')} "
        f"{environ.get('REQUEST_URI', '')} since {int(request.started)}"
    )


class Blocked:
    """The master's part: workers whose loop does not turn.

    Args:
        seconds: `--harakiri`.
        verbose: log what the kernel says of them.
    """

    def __init__(self, seconds: float, verbose: bool) -> None:
        self._seconds = seconds
        self._verbose = verbose
        #: Process -> when it was told to look at itself.
        self._told: dict[int, float] = {}

    def look(self, worker: WorkerProcess, row: memoryview) -> bool:
        """Tell a worker that is blocked to look at itself; whether it should be killed because that has not helped."""
        now = time.time()
        silent = now - row[scoreboard.HEARTBEAT]
        deadline = row[scoreboard.DEADLINE]
        blocked = (self._seconds > 0 and silent > self._seconds + 1) or (0 < deadline < now - 1 and silent > 2)
        if not worker.ready or not worker.pid or row[scoreboard.PID] != worker.pid or not blocked:
            self._told.pop(worker.pid, None)
            return False
        if worker.pid not in self._told:
            self._told = {worker.pid: now, **{pid: told for pid, told in self._told.items() if now - told < 60}}
            log(f"*** HARAKIRI ON WORKER {worker.id} (pid: {worker.pid}, try: 1) ***")
            if self._verbose:
                for what in ("syscall", "wchan"):
                    log(f"HARAKIRI: -- {what}> {_proc(worker.pid, what)}")
            os.kill(worker.pid, LOOK_AT_YOURSELF)
            return False
        return now >= self._told[worker.pid] + GRACE


def _proc(pid: int, name: str) -> str:
    try:
        with open(f"/proc/{pid}/{name}", encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError as error:
        return f"({error.strerror})"
