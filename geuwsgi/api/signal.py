"""`uwsgi.register_signal`, `signal`, `signal_wait`, and what raises signals: timers, crons, watched paths. Also how a worker handles one.

Registering writes into the table that all processes share; raising goes to the master, which looks there for whom the signal is.
"""

from __future__ import annotations

import os
import re
import traceback
from dataclasses import dataclass
from operator import index
from typing import Any, Callable, Optional

import gevent
from gevent.event import AsyncResult

from ..log import log
from ..server import forked
from ..server.request import find_request
from ..server.threads import ThreadPool
from ..shared import scoreboard as board
from ..shared import signaltable as table
from ..shared.signalpipes import SignalPipes
from ..shared.signaltable import SignalTable
from .remotesignal import raise_at
from .state import state

__all__ = [
    "add_cron",
    "add_file_monitor",
    "add_rb_timer",
    "add_timer",
    "register_signal",
    "signal",
    "signal_received",
    "signal_registered",
    "signal_wait",
]

_TARGETS = {"": table.ANY, "worker": table.ANY, "worker0": table.ANY, "workers": table.WORKERS, "active-workers": table.ACTIVE}


@dataclass
class SignalLink:
    """The way to the master.

    Attributes:
        table: whom signals are for, and what raises them.
        pipes: the queues.
        wake: have the master look at the table.
    """

    table: SignalTable
    pipes: SignalPipes
    wake: Callable[[], None] = lambda: None


class _Waiter:
    """Somebody in `signal_wait`.

    Attributes:
        number: what is waited for; None for any signal.
        result: takes it.
    """

    def __init__(self, number: Optional[int]) -> None:
        self.number = number
        self.result: Any = AsyncResult()


def register_signal(signum: int, who: str, handler: Callable[[int], Any], /) -> None:
    """Have a function called when a signal is raised: `handler(signum)`.

    Args:
        signum: 0 to 255.
        who: who calls it: "", "worker", "worker0": one worker, whichever comes first; "workers": all; "active-workers": all that serve;
            "worker2": that one.
        handler: the function. What it returns is ignored, what it raises is logged.

    Raises:
        ValueError: without a master; a number or a target that does not exist; a second handler while the application is loaded.
    """
    number = _number(signum)
    _must_be_text("register_signal", who)
    link = state.signals
    if link is None:
        log("you cannot register signals without a master")
        raise ValueError("unable to register signal")
    if len(who) > table.LONGEST_TARGET:
        raise ValueError("unable to register signal")
    code = _target(who)
    if number in state.handlers and not state.worker_id:
        log("[uwsgi-signal] you cannot re-register a signal as the master !!!")
        raise ValueError("unable to register signal")
    state.handlers[number] = handler
    link.table.set_target(number, code, 0 if _loading() else state.worker_id)
    described = who or "default, any worker"
    log(f"[uwsgi-signal] signum {number} registered (wid: {state.worker_id} modifier1: 0 target: {described})")


def signal_registered(signum: int, /) -> Optional[bool]:
    """True if this process has a handler for a signal, else None."""
    return True if _number(signum) in state.handlers else None


def signal(signum: int, node: Optional[str] = None, /) -> None:
    """Raise a signal, from anywhere: requests, handlers, threads, the loading of the application. Waits for nothing.

    One that cannot be taken, because nobody reads the queue or there is no master, is counted, and the log says so.

    Args:
        signum: 0 to 255.
        node: raise it there, and wait for the answer: the address of the uwsgi socket of another server.

    Raises:
        OSError: that server does not answer.
        ValueError: it does not take the signal.
    """
    number = _number(signum)
    if node is not None:
        _must_be_text("signal", node)
        raise_at(node, number)
    else:
        raise_signal(number)


def raise_signal(number: int) -> None:
    """Raise a signal that is known to be 0 to 255."""
    link = state.signals
    if link is None:
        log(f"signal {number} is lost: it takes --master to deliver it")
        _count(board.LOST_SIGNALS)
    elif not link.pipes.raise_signal(number):
        _count(board.LOST_SIGNALS)


def signal_wait(signum: Optional[int] = None, /) -> bytes:
    """Wait until this worker gets a signal, one without a handler included; other requests go on. b"".

    Each signal ends the wait of one that waits for it. What it was `signal_received` tells.

    Args:
        signum: wait for this one; for any if left out.
    """
    waiter = _Waiter(None if signum is None else _number(signum))
    request = find_request()
    state.waiters.append(waiter)
    _tell_waiting()
    try:
        number = waiter.result.get()
    finally:
        if waiter in state.waiters:
            state.waiters.remove(waiter)
            _tell_waiting()
    if request is None:
        state.received = number
    else:
        state.received_by[request] = number
    return b""


def signal_received() -> int:
    """The signal that ended the last `signal_wait` of this request; 0 without one."""
    request = find_request()
    return state.received if request is None else state.received_by.get(request, 0)


def add_timer(signum: int, seconds: int, /) -> None:
    """Raise a signal every so many seconds.

    Raises:
        ValueError: without a master; less than a second; there are 64 already.
    """
    number, every = _number(signum), index(seconds)
    if not _add(table.TIMER, number, [_seconds(every, "unable to add timer"), 0], what="timers"):
        raise ValueError("unable to add timer")


def add_rb_timer(signum: int, seconds: int, iterations: int = 0, /) -> None:
    """Raise a signal every so many seconds, so many times; 0 is for ever.

    Raises:
        ValueError: without a master; less than a second; there are 64 already.
    """
    number, every, times = _number(signum), index(seconds), index(iterations)
    if not _add(table.RB_TIMER, number, [_seconds(every, "unable to add rb_timer"), max(0, times)], what="rb_timers"):
        raise ValueError("unable to add rb_timer")


def add_cron(signum: int, minute: int, hour: int, day: int, month: int, weekday: int, /) -> bool:
    """Raise a signal in the minutes that fit; -1 is any value, -N every value that N divides. True.

    Raises:
        ValueError: without a master; there are 64 already.
    """
    number = _number(signum)
    fields = [index(field) for field in (minute, hour, day, month, weekday)]
    if not _add(table.CRON, number, fields, what="cron"):
        raise ValueError("unable to add cron")
    return True


def add_file_monitor(signum: int, filename: str, /) -> None:
    """Raise a signal when a file, or a directory or what is directly in it, changes, comes or goes.

    Raises:
        ValueError: without a master; a path of more than 255 bytes; there are 64 already.
    """
    number = _number(signum)
    _must_be_text("add_file_monitor", filename)
    if "\0" in filename:
        raise ValueError("embedded null character")
    path = os.fsencode(os.path.abspath(filename))
    if len(path) > table.LONGEST_PATH:
        log("uwsgi_add_file_monitor: invalid filename length")
        raise ValueError("unable to add file monitor")
    if not _add(table.FILE, number, path=path, what="file monitors"):
        raise ValueError("unable to add file monitor")


# -- handling


def handle(number: int) -> None:
    """A signal has come for this worker. Called in the loop, and does not wait: the handler has a greenlet of its own, or a thread."""
    waiter = next((waiter for waiter in state.waiters if waiter.number in (None, number)), None)
    if waiter is not None:
        state.waiters.remove(waiter)
        _tell_waiting()
        waiter.result.set(number)
    if number in state.handlers:
        _count(board.SIGNALS)
        running = gevent.spawn(_run, state.handlers[number], number)
        state.handling.add(running)
        running.rawlink(state.handling.discard)
    elif waiter is None:
        _count(board.LOST_SIGNALS)
        log(f"error managing signal {number} on worker {state.worker_id}")


def wait_for_handlers(seconds: float) -> None:
    """Give running handlers so much time to end."""
    gevent.joinall(list(state.handling), timeout=seconds)


def _run(handler: Callable[[int], Any], number: int) -> None:
    try:
        if state.settings.threads:
            _run_in_thread(handler, number)
        else:
            handler(number)
        if forked.child:
            forked.end(None)
    except gevent.GreenletExit:
        pass  # the worker ends
    except BaseException as error:  # exit() included: a handler has no say over the worker
        if forked.child:
            forked.end(error)
        log(traceback.format_exc().rstrip("\n"))
        log(f"error managing signal {number} on worker {state.worker_id}")


#: With `--threads`: the one that runs handlers, one after the other.
_thread: Optional[ThreadPool] = None


def _run_in_thread(handler: Callable[[int], Any], number: int) -> None:
    global _thread
    if _thread is None:
        _thread = ThreadPool(1)
    session = _thread.attach()
    try:
        session.run(handler, number)
    finally:
        session.leave()


# -- arguments


def _number(signum: int) -> int:
    number = index(signum)
    if not 0 <= number < table.SIGNALS:
        raise ValueError(f"signals go from 0 to 255: there is no {number}")
    return number


def _must_be_text(function: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{function}() argument 2 must be str, not {type(value).__name__}")


def _target(text: str) -> int:
    if text in _TARGETS:
        return _TARGETS[text]
    found = re.fullmatch("worker([0-9]{1,6})", text)
    if found is None:
        raise ValueError(
            f"unable to register signal: there is no target {text!r} here: it is '', worker, workers, active-workers, "
            "or worker1 and so on; mules, farms and spoolers do not exist"
        )
    return table.WORKER + int(found[1])


def _seconds(seconds: int, complaint: str) -> int:
    if seconds < 1:
        raise ValueError(f"{complaint}: it takes at least one second, not {seconds}")
    return seconds


def _add(kind: int, number: int, values: Any = (), path: bytes = b"", what: str = "") -> bool:
    link = state.signals
    if link is None:
        log(f"you cannot register {what} without a master")
        return False
    try:
        added = link.table.add(kind, number, values, path, once=_loading())
    except ValueError:  # a number beyond 64 bits
        raise OverflowError("signed integer is greater than maximum") from None
    if not added:
        log(f"you can register max {table.MOST} {what} !!!")
        return False
    link.wake()
    return True


def _loading() -> bool:
    """The application is being loaded, in the master or, with `--lazy-apps`, in each worker: all have what is registered now."""
    return state.server is None


def _count(column: int) -> None:
    if state.worker_id:
        row = state.scoreboard.row(state.worker_id)
        if row[board.PID] == os.getpid():  # else another process has this number now
            row[column] += 1


def _tell_waiting() -> None:
    if state.worker_id:
        row = state.scoreboard.row(state.worker_id)
        if row[board.PID] == os.getpid():
            row[board.WAITING] = len(state.waiters)
