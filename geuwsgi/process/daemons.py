"""Programs that live and die with the server (`--attach-daemon`): started before it, stopped after it, started again when they end.

Each runs through /bin/sh in a session of its own, so that a Ctrl-C reaches only the server, which stops the daemon when nobody needs
it any more. On Linux the kernel kills a daemon whose server was killed: the shell, that is, which a simple command replaces. Only the
children of a compound command ("a; b") would survive a SIGKILL of the server.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Callable, Optional

import gevent
from gevent.subprocess import DEVNULL, Popen

from ..errors import ConfigError
from ..log import log

#: Seconds between SIGTERM and SIGKILL. Source: uWSGI's `uwsgi_detach_daemons`.
STOP_TIMEOUT = 3.0
#: A daemon that lived this many seconds is started again at once; one that did not waits twice as long each time.
STABLE_AFTER = 10.0
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Daemon:
    """One command, kept running.

    Attributes:
        command: what /bin/sh runs.
        pid: of the shell or of the command that replaced it, also the number of its process group; None while it does not run.
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self.pid: Optional[int] = None
        self._keeper: Optional[gevent.Greenlet[..., None]] = None
        self._process: Optional[Popen[bytes]] = None

    def start(self) -> None:
        """Run the command and watch over it from now on."""
        self._spawn("spawning")
        self._keeper = gevent.spawn(self._keep)

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Ask the whole process group to end, and kill what is left of it after `timeout` seconds."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.kill()
        pid, self.pid = self.pid, None
        process = self._process
        if pid is None or process is None:
            return
        log(f"[uwsgi-daemons] stopping daemon (pid: {pid}): {self.command}")
        _signal_group(pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout
        process.wait(timeout)
        # The shell may have gone before what it had started.
        while _signal_group(pid, 0) and time.monotonic() < deadline:
            gevent.sleep(0.02)
        if _signal_group(pid, 0):
            log(f"[uwsgi-daemons] daemon did not end in {timeout:g} seconds, killing it (pid: {pid}): {self.command}")
            _signal_group(pid, signal.SIGKILL)
            process.wait(1)

    def kill(self) -> None:
        """Kill the group at once, without waiting; safe in a signal handler."""
        if self.pid is not None:
            _signal_group(self.pid, signal.SIGKILL)

    def _spawn(self, verb: str) -> None:
        log(f'[uwsgi-daemons] {verb} "{self.command}" (uid: {os.getuid()} gid: {os.getgid()})')
        self._process = Popen(
            ["/bin/sh", "-c", self.command],
            stdin=DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent(),
        )
        self.pid = self._process.pid

    def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            process = self._process
            assert process is not None
            started = time.monotonic()
            status = process.wait()
            log(f'[uwsgi-daemons] "{self.command}" (pid: {process.pid}) {_ended(status)}')
            if self.pid is not None:
                _signal_group(self.pid, signal.SIGKILL)  # what it left behind would hold its ports against its successor
            self.pid = None
            if time.monotonic() - started >= STABLE_AFTER:
                pause = FIRST_PAUSE
            else:
                log(f'[uwsgi-daemons] throttling "{self.command}" for {pause:g} seconds')
                gevent.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            try:
                self._spawn("respawning")
            except OSError as error:  # no process or descriptor to be had at the moment
                log(f'[uwsgi-daemons] unable to spawn "{self.command}": {error.strerror}')
                gevent.sleep(pause)


class Daemons:
    """All of them."""

    def __init__(self, commands: Sequence[str], source: Optional[str] = None) -> None:
        if any(not command.strip() for command in commands):
            raise ConfigError("no command given", "attach-daemon", None, source)
        self.daemons = [Daemon(command) for command in commands]

    def start(self) -> None:
        """Start every daemon, in the order given."""
        for daemon in self.daemons:
            try:
                daemon.start()
            except OSError as error:
                raise ConfigError(f"cannot be started: {error.strerror}", "attach-daemon", daemon.command) from None

    def stop(self) -> None:
        """Stop them all at once and wait for them."""
        gevent.joinall([gevent.spawn(daemon.stop) for daemon in self.daemons])

    def kill(self) -> None:
        """Kill them all at once, without waiting."""
        for daemon in self.daemons:
            daemon.kill()


def _signal_group(pid: int, number: int) -> bool:
    """Send a signal to a process group; False if nobody is in it any more."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody is there, who has changed his user
    return True


def _ended(status: int) -> str:
    if status < 0:
        try:
            return f"was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"was killed by signal {-status}"
    if status == 127:
        return "was not found (exit status 127)"
    return f"ended with status {status}"


def _die_with_parent() -> Optional[Callable[[], None]]:
    """What the child runs before the command: on Linux it asks for SIGKILL when its parent ends, however that comes. Source: prctl(2)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up here: between fork and exec as little as possible should happen
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # it ended before we asked

    return ask
