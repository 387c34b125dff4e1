"""Programs that live and die with the server (`--attach-daemon`): started before it, stopped after it, started again when they end.

Each runs through /bin/sh in a session of its own, so that a Ctrl-C reaches only the server, which stops the daemon when nobody needs
it any more. A guard in the daemon's process group reads from a pipe that only the server holds: when the server is gone, however that
came, the guard kills the group. uWSGI asks the kernel instead (PR_SET_PDEATHSIG), which reaches the shell and not what the shell started.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from typing import Optional

import gevent
from gevent.subprocess import Popen, TimeoutExpired

from ..errors import ConfigError
from ..log import log

#: Seconds between SIGTERM and SIGKILL. Source: uWSGI's `uwsgi_detach_daemons`.
STOP_TIMEOUT = 3.0
#: A daemon that lived this many seconds is started again at once; one that did not waits twice as long each time.
STABLE_AFTER = 10.0
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0

#: Standard input is the pipe at first. The guard waits for its end; the command gets /dev/null, and no copy of the pipe.
_SCRIPT = 'exec 3<&0 </dev/null; { read -r end <&3; kill -KILL 0; } & exec 3<&-; exec /bin/sh -c "$1"'


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
        self._pipe = -1  # our end of the guard's pipe

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
        # The whole group: the shell may go before what it had started.
        while (process.poll() is None or _group_lives(pid)) and time.monotonic() < deadline:
            gevent.sleep(0.02)
        if _group_lives(pid):
            log(f"[uwsgi-daemons] daemon did not end in {timeout:g} seconds, killing it (pid: {pid}): {self.command}")
            _signal_group(pid, signal.SIGKILL)
            try:
                process.wait(1)
            except TimeoutExpired:
                pass  # stuck in the kernel; it ends when that lets it
        os.close(self._pipe)

    def kill(self) -> None:
        """Kill the group at once, without waiting; safe in a signal handler."""
        if self.pid is not None:
            _signal_group(self.pid, signal.SIGKILL)

    def _spawn(self, verb: str) -> None:
        log(f'[uwsgi-daemons] {verb} "{self.command}" (uid: {os.getuid()} gid: {os.getgid()})')
        read, write = os.pipe()
        try:
            self._process = Popen(["/bin/sh", "-c", _SCRIPT, "sh", self.command], stdin=read, start_new_session=True)
        except OSError:
            os.close(write)
            raise
        finally:
            os.close(read)
        self._pipe = write
        self.pid = self._process.pid

    def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            process = self._process
            assert process is not None
            started = time.monotonic()
            status = process.wait()
            log(f'[uwsgi-daemons] "{self.command}" (pid: {process.pid}) {_ended(status)}')
            # Its guard, and what it left behind, which would hold its ports against its successor.
            _signal_group(process.pid, signal.SIGKILL)
            os.close(self._pipe)
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


def _group_lives(pid: int) -> bool:
    """Whether a process group has a member that is more than a zombie: an orphan's waits for init, which may take its time."""
    if not _signal_group(pid, 0):
        return False
    try:
        numbers = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return True  # no /proc to look into
    for number in numbers:
        try:
            with open(f"/proc/{number}/stat", "rb") as file:
                # After the name in parentheses, which may hold anything: state, parent, group. Source: proc_pid_stat(5).
                state, _, group = file.read().rpartition(b")")[2].split()[:3]
        except (OSError, ValueError):
            continue  # gone since
        if int(group) == pid and state not in (b"Z", b"X"):
            return True
    return False


def _ended(status: int) -> str:
    if status < 0:
        try:
            return f"was killed by {signal.Signals(-status).name}"
        except ValueError:
            return f"was killed by signal {-status}"
    if status == 127:
        return "was not found (exit status 127)"
    return f"ended with status {status}"
