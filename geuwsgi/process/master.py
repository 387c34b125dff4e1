"""The master: forks the workers, replaces those that die, and passes on what people ask for by signals.

Its loop is plain standard library on functions that nobody has patched (see `originals`), and never runs a hub: whatever the application
did when it was imported, greenlets that hold locks included, cannot stop it.
"""

from __future__ import annotations

import os
import select
import signal
import time
import traceback
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, Optional

from ..errors import AppLoadError
from ..log import log
from ..server.acceptor import NOT_ACCEPTING
from ..shared import scoreboard
from . import control, originals
from .ending import leave
from .worker import EXIT_APP, EXIT_RELOAD, INTERRUPT_GRACE, TERMINATE_GRACE

if TYPE_CHECKING:
    from .run import Instance

#: Seconds that a worker gets beyond its grace, for hooks and for killing what does not end, before it is killed itself.
MARGIN = 2.0
#: A worker that lived this many seconds is replaced at once, whatever its predecessors did.
STABLE_AFTER = 1.0
#: Seconds until a worker is started whose predecessors kept dying, and their limit.
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 30.0
#: Seconds between two looks at everything, when nothing happens.
CYCLE = 1.0


class WorkerProcess:
    """A worker as its master sees it.

    Attributes:
        id: 1 to n.
        pid: its process; 0 when there is none.
        line: our end of the line to it; -1 after its end of file.
        ready: it serves, or has served.
        started: `time.monotonic()` of the fork.
        failures: how many of its processes died young, one after the other.
        due: when it is to be started, in `time.monotonic()`; None while it runs.
        deadline: when it is killed because it did not follow an order; None without one.
        report: what it has written about the failure of its application.
    """

    def __init__(self, worker_id: int) -> None:
        self.id = worker_id
        self.pid = 0
        self.line = -1
        self.ready = False
        self.started = 0.0
        self.failures = 0
        self.due: Optional[float] = None
        self.deadline: Optional[float] = None
        self.report: Optional[bytes] = None


class Master:
    """Runs until a signal ends the server.

    Args:
        instance: everything that was prepared, the application included unless it is loaded by the workers (`--lazy-apps`).
    """

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.workers = [WorkerProcess(number) for number in range(1, instance.settings.processes + 1)]
        self.rows = instance.scoreboard.rows()
        for row in self.rows:
            row[scoreboard.CONNECTIONS] = NOT_ACCEPTING
        self.status = 0
        self.stopping = False
        self._announced = False
        self._signals: list[int] = []
        self._failure: Optional[AppLoadError] = None
        self._poll: Any = None
        self._wakeup = (-1, -1)

    def run(self) -> int:
        """Serve; returns the exit status once all workers have ended.

        Raises:
            AppLoadError: the workers cannot load the application.
        """
        self._install()
        try:
            log(f"spawned uWSGI master process (pid: {os.getpid()})")
            for worker in self.workers:
                self._spawn(worker)
            while not self.stopping or any(worker.pid for worker in self.workers):
                self._wait(self._tick())
                self._handle_signals()
                self._reap()
        finally:
            for worker in self.workers:
                self._kill(worker)
        if self._failure is not None:
            raise self._failure
        return self.status

    def _install(self) -> None:
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        self._wakeup = read, write
        # The kernel's own poll: a selector of the module `selectors` would be patched.
        self._poll = originals.poll()
        self._poll.register(read, select.POLLIN)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in originals.HANDLED:
            originals.set_handler(number, self._note)

    def _note(self, number: int, frame: Optional[FrameType]) -> None:
        self._signals.append(number)

    # -- the loop

    def _wait(self, timeout: float) -> None:
        for fd, _ in self._poll.poll(max(0, timeout) * 1000):
            if fd == self._wakeup[0]:
                try:
                    os.read(fd, 4096)
                except BlockingIOError:
                    pass
            else:
                for worker in self.workers:
                    if worker.line == fd:
                        self._hear(worker)

    def _tick(self) -> float:
        """Do what is due; seconds until something is."""
        now = time.monotonic()
        next_time = now + CYCLE
        for worker in self.workers:
            if worker.due is not None and worker.due <= now and not self.stopping:
                self._spawn(worker)
            if worker.due is not None:
                next_time = min(next_time, worker.due)
            if worker.deadline is not None:
                if worker.deadline <= now:
                    log(f"worker {worker.id} (pid: {worker.pid}) takes too long to end: killed")
                    worker.deadline = None
                    self._kill(worker)
                else:
                    next_time = min(next_time, worker.deadline)
        if self.instance.daemons is not None and not self.stopping:
            daemon_due = self.instance.daemons.tick(now)
            if daemon_due is not None:
                next_time = min(next_time, daemon_due)
        return next_time - time.monotonic()

    def _hear(self, worker: WorkerProcess) -> None:
        try:
            message = control.hear(worker.line)
        except BlockingIOError:
            return
        if not message:
            self._hang_up(worker)
        elif worker.report is not None:
            worker.report += message
        elif message[:1] == control.FAILED:
            worker.report = message[1:]
        elif message[:1] == control.READY:
            worker.ready = True
            self.rows[worker.id - 1][scoreboard.STATE] = scoreboard.SERVING
            if not self._announced:
                self._announced = True
                self.instance.announce()

    def _hang_up(self, worker: WorkerProcess) -> None:
        if worker.line >= 0:
            self._poll.unregister(worker.line)
            originals.close(worker.line)
            worker.line = -1

    # -- workers

    def _spawn(self, worker: WorkerProcess) -> None:
        """Fork. Does not return in the child."""
        respawned = bool(worker.started)
        ours, theirs = control.pair()
        try:
            with originals.Blocked():
                pid = originals.fork()
                if not pid:
                    self._become(worker.id, theirs, ours)
        except OSError as error:  # no process to be had at the moment
            log(f"worker {worker.id} cannot be started: {error.strerror}")
            originals.close(ours)
            originals.close(theirs)
            worker.due = time.monotonic() + CYCLE
            return
        originals.close(theirs)
        worker.pid, worker.line, worker.ready, worker.due, worker.report = pid, ours, False, None, None
        worker.started = time.monotonic()
        self._poll.register(ours, select.POLLIN)
        row = self.rows[worker.id - 1]
        row[scoreboard.PID], row[scoreboard.STATE], row[scoreboard.LAST_SPAWN] = pid, scoreboard.STARTING, int(time.time())
        if respawned:
            row[scoreboard.RESPAWNS] += 1
            log(f"Respawned uWSGI worker {worker.id} (new pid: {pid})")
        else:
            log(f"spawned uWSGI worker {worker.id} (pid: {pid}, cores: {self.instance.cores})")

    def _become(self, worker_id: int, line: int, ours: int) -> NoReturn:
        """In the child: everything of the master's goes, then the worker runs. Signals are blocked."""
        status = 1
        try:
            originals.reset_signals()
            for fd in (ours, *self._wakeup, *(worker.line for worker in self.workers if worker.line >= 0)):
                originals.close(fd)
            status = self.instance.run_worker(worker_id, line)
        except AppLoadError as error:
            status = EXIT_APP
            os.set_blocking(line, True)
            text = f"{error.traceback_text}\n{error}" if error.traceback_text else str(error)
            control.tell(line, control.FAILED + text.encode("utf-8", "backslashreplace"))
        except BaseException:
            log(traceback.format_exc().rstrip("\n"))
        finally:
            leave(status)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = originals.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for worker in self.workers:
                if worker.pid == pid:
                    while worker.line >= 0:  # what it said before it ended
                        self._hear_rest(worker)
                    self._ended(worker, status)
            if self.instance.daemons is not None and not self.stopping:
                self.instance.daemons.reaped(pid, os.waitstatus_to_exitcode(status))

    def _hear_rest(self, worker: WorkerProcess) -> None:
        before = worker.line
        self._hear(worker)
        if worker.line == before and not self._readable(before):
            self._hang_up(worker)

    def _readable(self, fd: int) -> bool:
        one = originals.poll()
        one.register(fd, select.POLLIN)
        return bool(one.poll(0))

    def _ended(self, worker: WorkerProcess, status: int) -> None:
        """A worker's process is gone; see what it died of."""
        pid, worker.pid, worker.deadline = worker.pid, 0, None
        row = self.rows[worker.id - 1]
        row[scoreboard.PID], row[scoreboard.STATE] = 0, scoreboard.ABSENT
        row[scoreboard.RUNNING] = 0
        row[scoreboard.CONNECTIONS] = NOT_ACCEPTING
        if self.stopping:
            log(f"worker {worker.id} buried after {max(1, round(time.monotonic() - worker.started))} seconds")
            return
        code = os.waitstatus_to_exitcode(status)
        now = time.monotonic()
        if code == EXIT_APP:
            self._app_failed(worker)
            if self._failure is not None:
                return
        elif code in (0, EXIT_RELOAD):
            log(f"worker {worker.id} killed successfully (pid: {pid})")
        else:
            why = f"killed by signal {-code} ({_signal_name(-code)})" if code < 0 else f"exit status {code}"
            log(f"DAMN ! worker {worker.id} (pid: {pid}) died, {why} :( trying respawn ...")
        if worker.ready and now - worker.started >= STABLE_AFTER:
            worker.failures = 0
        else:
            worker.failures += 1
        # One death is nothing: the next one is started at once. Those after it, without any success between them, wait longer each time.
        allowed = 3 if worker.ready else 1
        pause = 0.0
        if worker.failures > allowed:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (worker.failures - allowed - 1))
            log(f"worker {worker.id} dies at every start ({worker.failures} times so far): the next one comes in {pause:g} seconds")
        worker.due = now + pause

    def _app_failed(self, worker: WorkerProcess) -> None:
        """The worker's application cannot be loaded: with nobody else serving that is the end."""
        text = (worker.report or b"").decode("utf-8", "replace")
        trace, _, message = text.rpartition("\n")
        if self._announced:
            log(f"{text}\nworker {worker.id} cannot load the application")
            return
        self._failure = AppLoadError(message, trace)
        self._stop(control.STOP, INTERRUPT_GRACE)
        self.status = 1

    # -- the end

    def _handle_signals(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if number in (signal.SIGINT, signal.SIGQUIT):
                self._interrupt(number)
            elif number == signal.SIGTERM:
                self._terminate()
            elif number == signal.SIGHUP:
                log("SIGHUP received: a reload is not available yet, still serving")
            elif number in (signal.SIGUSR1, signal.SIGUSR2):
                self._order(control.REPORT)

    def _interrupt(self, number: int) -> None:
        name = signal.Signals(number).name
        if self.stopping:
            log(f"{name} again: ending at once")
            for worker in self.workers:
                self._kill(worker)
            self.instance.abort()
        log(f"{name} received, stopping (once more ends at once)")
        self._stop(control.STOP, INTERRUPT_GRACE)

    def _terminate(self) -> None:
        if self.stopping:
            return
        why = " (uWSGI would reload, which is not available yet; --die-on-term says that a stop is meant)"
        log(f"SIGTERM received, stopping{'' if self.instance.settings.die_on_term else why}")
        self._stop(control.STOP_SLOWLY, TERMINATE_GRACE)

    def _stop(self, order: bytes, grace: float) -> None:
        self.stopping = True
        self._order(order)
        for worker in self.workers:
            worker.due = None
            if worker.pid:
                worker.deadline = time.monotonic() + grace + MARGIN
                if not worker.ready:
                    self._kill(worker)  # it may be in the middle of loading the application, and serves nobody

    def _order(self, order: bytes) -> None:
        for worker in self.workers:
            if worker.line >= 0:
                control.tell(worker.line, order)

    def _kill(self, worker: WorkerProcess) -> None:
        if worker.pid:
            try:
                os.kill(worker.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "?"
