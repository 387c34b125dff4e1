"""The last thing that a process of ours does."""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn


def leave(status: int) -> NoReturn:
    """End the process as uWSGI does: functions registered with `atexit` run, threads that never end do not hold it up.

    A normal end of the interpreter would join every thread of the application, which after monkey patching are greenlets that sit in a
    loop around Redis or a queue.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass
    os._exit(status)
