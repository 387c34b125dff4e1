"""Programs that live and die with the server (`--attach-daemon`): started before it, stopped after it, started again when they end.

Each runs through /bin/sh in a session of its own, so that a Ctrl-C reaches only the server, which stops the daemon when nobody needs
it any more. A guard in the daemon's process group reads from a pipe that only the master holds: when the master is gone, however that
came, the guard kills the group. uWSGI asks the kernel instead (PR_SET_PDEATHSIG), which reaches the shell and not what the shell started.

They belong to the master, whose loop tells them what has ended and what the time is.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from typing import Optional, Union

from ..errors import ConfigError
from ..log import log
from . import originals
from .daemonspec import DaemonSpec
from .handover import OldDaemon
from .smart import SmartDaemon
from .touch import Touched

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

    Args:
        spec: what it is.

    Attributes:
        command: what /bin/sh runs.
        pid: of the shell or of the command that replaced it, also the number of its process group; None while it does not run.
        due: when it is to be started again, in `time.monotonic()`; None while it runs.
        started: when it was started, likewise.
        pipe: our end of the guard's pipe.
    """

    def __init__(self, spec: DaemonSpec) -> None:
        self.spec = spec
        self.command = spec.command
        self.pid: Optional[int] = None
        self.due: Optional[float] = None
        self.started = 0.0
        self.pipe = -1
        self._pause = FIRST_PAUSE

    def start(self, verb: str = "spawning") -> None:
        """Run the command.

        Raises:
            OSError: no process or descriptor is to be had.
        """
        log(f'[uwsgi-daemons] {verb} "{self.command}" (uid: {os.getuid()} gid: {os.getgid()})')
        read, write = os.pipe()
        try:
            self.pid = originals.start_program(["/bin/sh", "-c", _SCRIPT, "sh", self.command], stdin=read, before=self.spec.enter)
        except OSError:
            originals.close(write)
            raise
        finally:
            originals.close(read)
        self.pipe = write
        self.started = time.monotonic()
        self.due = None

    def ended(self, status: int) -> None:
        """Its process has ended: start it again, at once or after a pause.

        Args:
            status: as `subprocess` has it: negative for a signal.
        """
        assert self.pid is not None
        log(f'[uwsgi-daemons] "{self.command}" (pid: {self.pid}) {_ended(status)}')
        # Its guard, and what it left behind, which would hold its ports against its successor.
        _signal_group(self.pid, signal.SIGKILL)
        originals.close(self.pipe)
        self.pid = None
        now = time.monotonic()
        if now - self.started >= STABLE_AFTER:
            self._pause = FIRST_PAUSE
            self.due = now
        else:
            log(f'[uwsgi-daemons] throttling "{self.command}" for {self._pause:g} seconds')
            self.due = now + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def restart(self) -> None:
        """Start it again; when that cannot be, try later."""
        try:
            self.start("respawning")
        except OSError as error:
            log(f'[uwsgi-daemons] unable to spawn "{self.command}": {error.strerror}')
            self.due = time.monotonic() + self._pause

    def terminate(self) -> None:
        """Ask the whole process group to end."""
        self.due = None
        if self.pid is not None:
            log(f"[uwsgi-daemons] stopping daemon (pid: {self.pid}): {self.command}")
            _signal_group(self.pid, self.spec.stop_signal)

    def lives(self) -> bool:
        """Whether anybody of its group is left: the shell may go before what it had started."""
        if self.pid is None:
            return False
        try:
            originals.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pass
        return _group_lives(self.pid)

    def finish(self) -> None:
        """Kill what is left, and forget it."""
        pid, self.pid = self.pid, None
        if pid is None:
            return
        if _group_lives(pid):
            log(f"[uwsgi-daemons] daemon did not end in {STOP_TIMEOUT:g} seconds, killing it (pid: {pid}): {self.command}")
            _signal_group(pid, signal.SIGKILL)
            deadline = time.monotonic() + 1
            while _group_lives(pid) and time.monotonic() < deadline:  # else it is stuck in the kernel, and ends when that lets it
                originals.sleep(0.01)
        originals.close(self.pipe)

    def signal(self, number: int) -> None:
        """Send a signal to its process group."""
        if self.pid is not None:
            _signal_group(self.pid, number)

    def kill(self) -> None:
        """Kill the group at once, without waiting; safe in a signal handler."""
        if self.pid is not None:
            _signal_group(self.pid, signal.SIGKILL)


class Daemons:
    """All of them.

    Args:
        running: those that an image of before a reload has started.
    """

    def __init__(self, running: Sequence[OldDaemon] = ()) -> None:
        self.daemons: list[Daemon] = []
        self.smart: list[SmartDaemon] = []
        self._touched = Touched(())
        for old in running:
            daemon = Daemon(DaemonSpec(old.text, old.text.partition("=")[2]))
            daemon.pid, daemon.pipe, daemon.started = old.pid, old.pipe, old.started
            self.daemons.append(daemon)

    def want(self, specs: Sequence[DaemonSpec]) -> None:
        """Start every daemon that does not run yet, in the order given, and stop those that are not wanted any more.

        Raises:
            ConfigError: one cannot be started.
        """
        before = list(self.daemons)
        wanted = []
        for spec in specs:
            if spec.pidfile:
                self.smart.append(SmartDaemon(spec))
                continue
            daemon = next((daemon for daemon in before if daemon.spec.text == spec.text), None)
            if daemon is None:
                daemon = Daemon(spec)
            else:
                before.remove(daemon)
                daemon.spec, daemon.command = spec, spec.command
            wanted.append(daemon)
        self.daemons = before
        self.stop()
        self.daemons = wanted
        try:
            for daemon in wanted:
                if daemon.pid is None:
                    daemon.start()
            for smart in self.smart:
                smart.look()
        except OSError as error:
            raise ConfigError(f"cannot be started: {error.strerror}", "attach-daemon") from None
        self._touched = Touched((spec.text, path) for spec in specs for path in spec.touch)

    def _everybody(self) -> list[Union[Daemon, SmartDaemon]]:
        return [*self.daemons, *self.smart]

    def pipes(self) -> list[int]:
        """Descriptors that nobody but the master may have: their end tells the guards that it is gone."""
        return [daemon.pipe for daemon in self.daemons if daemon.pid is not None]

    def reaped(self, pid: int, status: int) -> bool:
        """A child of the master has ended. Whether it was one of these."""
        for daemon in self.daemons:
            if daemon.pid == pid:
                daemon.ended(status)
                return True
        return False

    def tick(self, now: float) -> Optional[float]:
        """Start those again whose pause is over; when the next one will be, in `time.monotonic()`."""
        for text, path in self._touched.changes():
            log(f"[uwsgi-daemons] {path} was touched")
            for one in self._everybody():
                if one.spec.text == text:
                    one.signal(one.spec.stop_signal)
                    if one.due is not None:
                        one.due = now + FIRST_PAUSE
        for daemon in self.daemons:
            if daemon.pid is not None and not originals.exists(daemon.pid):
                daemon.ended(0)  # while the application was imported, which took its exit status
            if daemon.due is not None and daemon.due <= now:
                daemon.restart()
        for smart in self.smart:
            if smart.due <= now:
                try:
                    smart.look()
                except OSError as error:
                    log(f'[uwsgi-daemons] unable to spawn "{smart.spec.command}": {error.strerror}')
        dues = [daemon.due for daemon in self.daemons if daemon.due is not None] + [smart.due for smart in self.smart]
        return min(dues, default=None)

    def reload(self) -> None:
        """The server reloads: tell those who want to know. All go on."""
        for one in self._everybody():
            if one.spec.reload_signal:
                one.signal(one.spec.reload_signal)

    def stop(self) -> None:
        """Stop them all at once and wait for them. The smart ones go on."""
        for daemon in self.daemons:
            daemon.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT
        pause = 0.005
        while any(daemon.lives() for daemon in self.daemons) and time.monotonic() < deadline:
            originals.sleep(pause)
            pause = min(pause * 2, 0.05)
        for daemon in self.daemons:
            daemon.finish()

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
