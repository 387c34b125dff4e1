"""`uwsgi.worker_id`, `workers` and the rest that is about the process."""

from __future__ import annotations

import os
import resource
import signal
import time
from typing import Any

from ..server.listener import waiting
from ..shared import scoreboard as board
from .context import current
from .procname import set_process_title
from .state import App, state

__all__ = ["listen_queue", "masterpid", "mem", "micros", "reload", "set_user_harakiri", "setprocname", "stop", "worker_id", "workers"]

#: Seconds of `set_user_harakiri`: what a C `int` holds.
_LONGEST = 2**31 - 1


def masterpid() -> int:
    """The master's pid; 0 without `--master`."""
    return state.master_pid


def worker_id() -> int:
    """1 to n in a worker, 0 while the application is imported before the workers exist."""
    return state.worker_id


def listen_queue(id: int = 0, /) -> int:
    """Connections that wait to be accepted on one of the sockets of `uwsgi.sockets`.

    Raises:
        ValueError: there is no such socket.
    """
    if not 0 <= id < len(state.settings.sockets):
        raise ValueError(f"unable to find socket {id}")
    return waiting(state.settings.sockets[id])


def reload() -> bool:
    """Reload the whole server, gracefully: as SIGHUP does. True.

    Raises:
        ValueError: the master is gone.
    """
    return _signal(signal.SIGHUP, "unable to call reload()")


def set_user_harakiri(seconds: int, /) -> None:
    """End this request when it takes that many seconds more; with 0 it may take as long as it likes, whatever `--harakiri` says.

    Raises:
        SystemError: outside of any request.
        OverflowError: it is longer than a C `int` can tell, as in uWSGI.
    """
    request = current()
    if seconds > _LONGEST:
        raise OverflowError(f"set_user_harakiri() takes at most {_LONGEST} seconds")
    if seconds <= 0:
        state.deadlines[request] = float("inf")
        return
    state.deadlines[request] = deadline = time.time() + seconds
    row = state.scoreboard.row(state.worker_id)
    row[board.DEADLINE] = min(int(deadline), row[board.DEADLINE] or int(deadline))


def stop() -> bool:
    """Stop the whole server, as Ctrl-C does. True.

    Raises:
        ValueError: the master is gone.
    """
    return _signal(signal.SIGINT, "unable to call stop()")


def _signal(number: int, complaint: str) -> bool:
    try:
        os.kill(state.main_pid, number)
    except OSError:
        raise ValueError(complaint) from None
    return True


def micros() -> int:
    """The time in microseconds since 1970."""
    return time.time_ns() // 1000


def mem() -> tuple[int, int]:
    """Resident and virtual memory of this process, in bytes."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            virtual, resident = statm.read().split()[:2]
    except OSError:
        # No /proc: the peak is the best that is left; the kernels without it count it in bytes.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak, peak
    page = resource.getpagesize()
    return int(resident) * page, int(virtual) * page


def setprocname(name: str, /) -> None:
    """Set what `ps` and `top` call this process; see `set_process_title`."""
    if not isinstance(name, str):
        raise TypeError(f"setprocname() argument 1 must be str, not {type(name).__name__}")
    set_process_title(name)


def workers() -> tuple[dict[str, Any], ...]:
    """What each worker is doing: str keys, ints, and bytes for `status`. Times are in microseconds.

    The status is b"idle", b"busy", or b"cheap" where there is no process. Of the others it tells what they last wrote down, at most a
    second ago.
    """
    update_row()
    return tuple(_worker(number, row) for number, row in enumerate(state.scoreboard.rows(), 1))


def update_row() -> None:
    """Write down for the other workers what this one is doing; nothing before it serves."""
    server = state.server
    if server is None or not state.worker_id:
        return
    row = state.scoreboard.row(state.worker_id)
    if row[board.PID] != os.getpid():
        return  # another process has this number now
    row[board.REQUESTS] = state.requests_before + server.total_requests
    row[board.DELTA_REQUESTS] = server.total_requests
    row[board.EXCEPTIONS] = server.exceptions
    row[board.RUNNING] = len(server.running)
    row[board.TRANSMITTED] = state.transmitted
    row[board.RUNNING_TIME] = state.running_time
    row[board.AVERAGE_TIME] = state.average_time
    row[board.RSS], row[board.VSZ] = mem()


def _worker(number: int, row: memoryview) -> dict[str, Any]:
    status = b"busy" if row[board.RUNNING] else b"idle"
    return {
        "id": number,
        "pid": row[board.PID],
        "requests": row[board.REQUESTS],
        "delta_requests": row[board.DELTA_REQUESTS],
        "signals": row[board.SIGNALS],
        "exceptions": row[board.EXCEPTIONS],
        "status": status if row[board.PID] else b"cheap",
        "rss": row[board.RSS],
        "vsz": row[board.VSZ],
        "running_time": row[board.RUNNING_TIME],
        "last_spawn": row[board.LAST_SPAWN],
        "respawn_count": row[board.RESPAWNS],
        "tx": row[board.TRANSMITTED],
        "avg_rt": row[board.AVERAGE_TIME],
        # All workers have the same ones, loaded in the same order.
        "apps": tuple(_app(index, app, row, number == state.worker_id) for index, app in enumerate(state.apps)),
    }


def _app(number: int, app: App, row: memoryview, ours: bool) -> dict[str, Any]:
    alone = len(state.apps) == 1
    return {
        "id": number,
        "modifier1": 0,
        "mountpoint": app.mountpoint.encode(),
        "startup_time": 0,
        "interpreter": 0,
        "callable": id(app.application),
        # Counted when the application is called, so the running ones are in it.
        "requests": row[board.DELTA_REQUESTS] + row[board.RUNNING] if alone else app.requests * ours,
        "exceptions": row[board.EXCEPTIONS] if alone else 0,
        "chdir": b"",
    }
