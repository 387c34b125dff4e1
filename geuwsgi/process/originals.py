"""The functions of the standard library that the master needs as they were before gevent patched them.

Its loop is the one part of the server that must go on whatever the application did when it was imported, so it runs no hub. The patched
`fork` starts a watcher for the child in the hub, the patched `close` leaves descriptors open until the hub turns, `sleep` and `poll` run
it, and `subprocess` lets libev collect the exit status of workers.
"""

from __future__ import annotations

import errno
import os
import signal as signal_module
import sys
from typing import Any, Callable, NoReturn, Optional

from gevent.monkey import get_original


def _no_fork() -> int:
    raise OSError(errno.ENOSYS, "this system has no fork()")


#: Whether there can be more than one process.
CAN_FORK = hasattr(os, "fork")

fork: Callable[[], int] = get_original("os", "fork") if CAN_FORK else _no_fork
waitpid: Callable[[int, int], tuple[int, int]] = get_original("os", "waitpid")
close: Callable[[int], None] = get_original("os", "close")
sleep: Callable[[float], None] = get_original("time", "sleep")
poll: Callable[[], Any] = get_original("select", "poll")
set_handler: Callable[[int, Any], Any] = get_original("signal", "signal")

#: What the master reacts to.
HANDLED = tuple(
    getattr(signal_module, name)
    for name in (
        *("SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2"),
        *("SIGTTIN", "SIGTTOU", "SIGTSTP", "SIGCHLD", "SIGURG"),
    )
    if hasattr(signal_module, name)
)


#: Those of them that would end or stop a process that has no handler yet. SIGCHLD must get through: subprocess waits for it.
DANGEROUS = tuple(number for number in HANDLED if signal_module.Signals(number).name not in ("SIGCHLD", "SIGURG"))


class Blocked:
    """While it lasts the signals that the master handles wait: a handler of the master must not run in a child."""

    def __enter__(self) -> None:
        self._before = signal_module.pthread_sigmask(signal_module.SIG_BLOCK, HANDLED)

    def __exit__(self, *exc: object) -> None:
        signal_module.pthread_sigmask(signal_module.SIG_SETMASK, self._before)


def exists(pid: int) -> bool:
    """Whether there is such a process; one that has ended and was not waited for yet is one, too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def reset_signals() -> None:
    """In a child, before the signals are let in again: no trace of the parent's handlers."""
    signal_module.set_wakeup_fd(-1)
    for number in HANDLED:
        set_handler(number, signal_module.SIG_DFL)


def start_program(argv: list[str], stdin: int = -1, before: Optional[Callable[[], None]] = None) -> int:
    """Run a program as the leader of a session of its own; returns once it does.

    Args:
        argv: with the path of the program first.
        stdin: a descriptor for its standard input; -1 leaves it as it is.
        before: called in the new process.
    Returns:
        Its process id.
    Raises:
        OSError: there can be no further process.
    """
    read, write = os.pipe()
    try:
        with Blocked():
            pid = fork()
            if not pid:
                _execute(argv, stdin, before)
    except OSError:
        close(write)
        raise
    else:
        close(write)
        os.read(read, 1)  # its end of the pipe is closed when the program is executed
        return pid
    finally:
        close(read)


def run_shell(command: str) -> int:
    """Run a command in this session, and wait for it; its exit status, negative for a signal.

    Raises:
        OSError: there can be no further process.
    """
    sys.stdout.flush()
    with Blocked():
        pid = fork()
        if not pid:
            _execute(["/bin/sh", "-c", command], -1, None, session=False)
    _, status = waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _execute(argv: list[str], stdin: int, before: Optional[Callable[[], None]], session: bool = True) -> NoReturn:
    try:
        reset_signals()
        for name in ("SIGPIPE", "SIGXFSZ"):  # which Python ignores, and programs do not expect to be ignored
            if hasattr(signal_module, name):
                set_handler(getattr(signal_module, name), signal_module.SIG_DFL)
        if session:
            os.setsid()
        if stdin >= 0:
            os.dup2(stdin, 0)
        signal_module.pthread_sigmask(signal_module.SIG_SETMASK, ())
        if before is not None:
            before()
        os.execv(argv[0], argv)
    except OSError as error:
        os.write(2, f"{argv[-1]}: {error}\n".encode())
    finally:
        os._exit(127)
