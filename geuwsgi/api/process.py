"""`uwsgi.worker_id`, `workers` and the rest that is about the process."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from importlib import import_module
from typing import Any, Callable, Optional

from .state import App, state

__all__ = ["masterpid", "mem", "micros", "setprocname", "worker_id", "workers"]

_PR_SET_NAME = 15


def masterpid() -> int:
    """The master's pid; 0 without `--master`."""
    return state.master_pid


def worker_id() -> int:
    """1 to n in a worker, 0 while the application is imported before the workers exist."""
    return state.worker_id


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
    """Set what `ps` and `top` call this process: the whole line with the package setproctitle, else 15 bytes on Linux."""
    if not isinstance(name, str):
        raise TypeError(f"setprocname() argument 1 must be str, not {type(name).__name__}")
    set_title = _setproctitle()
    if set_title is not None:
        set_title(name)
        return
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_NAME, ctypes.c_char_p(os.fsencode(name)), 0, 0, 0)


def _setproctitle() -> Optional[Callable[[str], None]]:
    try:
        return import_module("setproctitle").setproctitle  # type: ignore[no-any-return]
    except ImportError:
        return None


def workers() -> tuple[dict[str, Any], ...]:
    """What each worker is doing: str keys, ints, and bytes for `status` (b"idle", b"busy"). Times are in microseconds."""
    server = state.server
    requests = server.total_requests if server else 0
    running = len(server.running) if server else 0
    exceptions = server.exceptions if server else 0
    resident, virtual = mem()
    return (
        {
            "id": 1,
            "pid": os.getpid() if server else 0,
            "requests": requests,
            "delta_requests": requests,
            "signals": 0,
            "exceptions": exceptions,
            "status": b"busy" if running else b"idle",
            "rss": resident,
            "vsz": virtual,
            "running_time": state.running_time,
            "last_spawn": int(state.spawned_on) if server else 0,
            "respawn_count": 0,
            "tx": state.transmitted,
            "avg_rt": state.average_time,
            "apps": tuple(_app(number, app, requests, running, exceptions) for number, app in enumerate(state.apps)),
        },
    )


def _app(number: int, app: App, requests: int, running: int, exceptions: int) -> dict[str, Any]:
    alone = len(state.apps) == 1
    return {
        "id": number,
        "modifier1": 0,
        "mountpoint": app.mountpoint.encode(),
        "startup_time": 0,
        "interpreter": 0,
        "callable": id(app.application),
        # Counted when the application is called, so the running ones are in it.
        "requests": requests + running if alone else app.requests,
        "exceptions": exceptions if alone else 0,
        "chdir": b"",
    }
