"""What `ps` and `top` call this process."""

from __future__ import annotations

import ctypes
import os
from importlib import import_module
from typing import Any, Callable, Optional

_PR_SET_NAME = 15

#: Fields of /proc/PID/stat, counted from the one behind the name: the addresses of the command line. Source: proc_pid_stat(5).
_ARG_START, _ARG_END = 45, 46


def set_process_title(title: str) -> None:
    """Set it: with the package setproctitle if there is one, else over the command line in memory, cut to its length, as uWSGI does.

    Where neither works, 15 bytes of the name that `top` shows are all that is set.
    """
    ready_made = _setproctitle()
    if ready_made is not None:
        ready_made(title)
        return
    name = os.fsencode(title)
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_NAME, ctypes.c_char_p(name), 0, 0, 0)
    area = _command_line()
    if area is not None:
        start, length = area
        # The interpreter has copied its arguments when it began. NUL bytes at the end, or the kernel reads on in the environment.
        ctypes.memmove(start, name[: length - 1].ljust(length, b"\0"), length)


def _command_line() -> Optional[tuple[int, int]]:
    """Where the arguments of this process are, and how many bytes they take."""
    try:
        with open("/proc/self/stat", "rb") as file:
            fields: Any = file.read().rpartition(b")")[2].split()
        start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
        with open("/proc/self/cmdline", "rb") as file:
            written = len(file.read())
    except (OSError, IndexError, ValueError):
        return None
    # A kernel that does not tell them to us says 0; and what it shows has to be what it says.
    return (start, end - start) if 0 < start < end and written <= end - start else None


def _setproctitle() -> Optional[Callable[[str], None]]:
    try:
        return import_module("setproctitle").setproctitle  # type: ignore[no-any-return]
    except ImportError:
        return None
