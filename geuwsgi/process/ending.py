"""The last thing that a process of ours does."""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn

#: The exit status of a worker that wants to be started again. Source: UWSGI_RELOAD_CODE.
EXIT_RELOAD = 17
#: Of one whose application cannot be loaded: starting it again would not help. Source: UWSGI_FAILED_APP_CODE.
EXIT_APP = 22


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
