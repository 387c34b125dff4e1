"""The worker processes: forked, listened to, replaced, told to go, killed when they do not.

A number has one current process, and may have others that are on their way out. Whoever is to be replaced goes on serving until its
successor does, so that at any time somebody accepts.
"""

from __future__ import annotations

import os
import select
import signal
import time
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Callable, NoReturn, Optional

from ..errors import AppLoadError, GeuwsgiError
from ..log import log
from ..server.acceptor import NOT_ACCEPTING
from ..shared import scoreboard
from . import control, originals
from .ending import EXIT_APP, EXIT_RELOAD, leave

if TYPE_CHECKING:
    from .harakiri import Blocked
    from .run import Instance

#: Seconds that a worker gets beyond its grace, for hooks and for killing what does not end, before it is killed itself.
MARGIN = 2.0
#: A worker that lived this many seconds is replaced at once, whatever its predecessors did.
STABLE_AFTER = 1.0
#: Seconds until a worker is started whose predecessors kept dying, and their limit.
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 30.0
#: Seconds until another attempt when the system has no process to give.
NO_PROCESS_PAUSE = 1.0


class WorkerProcess:
    """A worker as its master sees it.

    Attributes:
        id: 1 to n.
        pid: its process; 0 when there is none.
        line: our end of the line to it; -1 when there is none, or after its end of file.
        ready: it serves, or has served.
        cheap: there shall be no process at present.
        told: when it was told to go, in `time.monotonic()`; 0 while it was not.
        started: `time.monotonic()` of the fork; 0 before the first.
        failures: how many of its processes died young, one after the other.
        due: when it is to be started, in `time.monotonic()`; None while it runs.
        deadline: when it is killed because it did not follow an order; None without one.
        report: what it has written about the failure of its application; None while it has not.
    """

    def __init__(self, worker_id: int, pid: int = 0, line: int = -1) -> None:
        self.id = worker_id
        self.pid = pid
        self.line = line
        self.ready = False
        self.told = 0.0
        self.cheap = False
        self.started = 0.0
        self.failures = 0
        self.due: Optional[float] = None
        self.deadline: Optional[float] = None
        self.report: Optional[bytes] = None


class Crew:
    """All workers of one master.

    Args:
        instance: what they serve.
        poll: where their lines are registered.
        private: tells the descriptors of the master that no worker may keep.
        ready: called when a worker begins to serve.
        failed: called with what a worker says when it could not load its application.

    Attributes:
        workers: the current ones, by number.
        old: those on their way out, the ones of before a reload included.
        hiring: workers that die are replaced.
        paused: connections wait in the backlog.
    """

    def __init__(
        self,
        instance: Instance,
        poll: Any,
        private: Callable[[], list[int]],
        ready: Callable[[WorkerProcess], None],
        failed: Callable[[WorkerProcess, str], None],
    ) -> None:
        self.workers = [WorkerProcess(number) for number in range(1, instance.settings.processes + 1)]
        self.old: list[WorkerProcess] = []
        self.hiring = True
        self.paused = False
        self._instance = instance
        self._rows = instance.scoreboard.rows()
        for row in self._rows:
            row[scoreboard.CONNECTIONS] = NOT_ACCEPTING
        self._poll = poll
        self._private = private
        self._ready = ready
        self._failed = failed

    def __iter__(self) -> Iterator[WorkerProcess]:
        yield from tuple(self.workers)
        yield from tuple(self.old)

    @property
    def alive(self) -> bool:
        """Whether there is any process."""
        return any(worker.pid for worker in self)

    @property
    def starting(self) -> bool:
        """Whether one of the current workers does not serve yet."""
        return self.hiring and any(not worker.ready and not worker.cheap for worker in self.workers)

    @property
    def dying(self) -> bool:
        """Whether one of the current workers has died young, and its successor does not serve yet: maybe none ever will."""
        return any(worker.failures and not worker.ready for worker in self.workers)

    @property
    def active(self) -> int:
        """The workers that run or are about to."""
        return sum(not worker.cheap for worker in self.workers)

    # -- hiring

    def adopt(self, worker: WorkerProcess) -> None:
        """A worker of before a reload: it goes on until the new ones serve."""
        self.old.append(worker)
        if worker.line >= 0:  # else it is about to end
            self._poll.register(worker.line, select.POLLIN)

    def start(self, count: int) -> None:
        """Start the first so many of them."""
        now = time.monotonic()
        for worker in self.workers:
            worker.cheap = worker.id > count
            worker.due = None if worker.cheap else now
        self.tick(now)

    def hire(self, count: int) -> int:
        """Start more, as far as there are numbers for them; how many."""
        chosen = [worker for worker in self.workers if worker.cheap][:count]
        for worker in chosen:
            worker.cheap = worker.ready = False
            worker.told = 0.0
            worker.failures = 0
            worker.due = time.monotonic()
        return len(chosen)

    def lay_off(self, least: int = 1) -> bool:
        """End the last one that runs, gracefully, unless no more than `least` do."""
        running = [worker for worker in self.workers if not worker.cheap]
        if len(running) <= least:
            return False
        worker = running[-1]
        if worker.pid:
            successor = WorkerProcess(worker.id)
            successor.started = worker.started
            self.workers[worker.id - 1] = successor
            self.old.append(worker)
            self._rows[worker.id - 1][scoreboard.STATE] = scoreboard.LEAVING
            self._dismiss(worker)
        self.workers[worker.id - 1].cheap = True
        self.workers[worker.id - 1].due = None
        return True

    def replace(self, worker: WorkerProcess) -> None:
        """Start another process with this one's number; when it serves, this one goes."""
        if worker not in self.workers or not worker.pid or worker.cheap:
            return
        successor = WorkerProcess(worker.id)
        successor.started = worker.started  # it is not the first one
        successor.due = time.monotonic()
        self.workers[worker.id - 1] = successor
        self.old.append(worker)

    def tick(self, now: float) -> float:
        """Start who is due and kill who is overdue; when the next one will be, in `time.monotonic()`."""
        next_time = now + 3600
        for worker in self:
            if worker.due is not None and worker.due <= now and self.hiring:
                self._spawn(worker)
            if worker.deadline is not None and worker.deadline <= now:
                log(f"worker {worker.id} (pid: {worker.pid}) is taking too much time to die...NO MERCY !!!")
                worker.deadline = None
                self.kill(worker)
            for moment in (worker.due if self.hiring else None, worker.deadline):
                if moment is not None:
                    next_time = min(next_time, moment)
        return next_time

    def _spawn(self, worker: WorkerProcess) -> None:
        """Fork. Does not return in the child."""
        respawned = worker.started > 0
        try:
            ours, theirs = control.pair()
        except OSError as error:
            self._not_now(worker, error)
            return
        try:
            with originals.Blocked():
                pid = originals.fork()
                if not pid:
                    self._become(worker.id, theirs, ours)
        except OSError as error:
            originals.close(ours)
            originals.close(theirs)
            self._not_now(worker, error)
            return
        originals.close(theirs)
        worker.pid, worker.line, worker.ready, worker.due, worker.report = pid, ours, False, None, None
        worker.started = time.monotonic()
        self._poll.register(ours, select.POLLIN)
        row = self._rows[worker.id - 1]
        row[scoreboard.CONNECTIONS] = NOT_ACCEPTING
        row[scoreboard.PID], row[scoreboard.STATE], row[scoreboard.LAST_SPAWN] = pid, scoreboard.STARTING, int(time.time())
        if respawned:
            row[scoreboard.RESPAWNS] += 1
            log(f"Respawned uWSGI worker {worker.id} (new pid: {pid})")
        else:
            log(f"spawned uWSGI worker {worker.id} (pid: {pid}, cores: {self._instance.server_settings.cores})")

    def _not_now(self, worker: WorkerProcess, error: OSError) -> None:
        log(f"worker {worker.id} cannot be started: {error.strerror}")
        worker.due = time.monotonic() + NO_PROCESS_PAUSE

    def _become(self, worker_id: int, line: int, ours: int) -> NoReturn:
        """In the child: everything of the master's goes, then the worker runs. Signals are blocked."""
        status = 1
        try:
            originals.reset_signals()
            for fd in (ours, *self._private(), *(worker.line for worker in self if worker.line >= 0)):
                originals.close(fd)
            status = self._instance.run_worker(worker_id, line)
        except AppLoadError as error:
            status = EXIT_APP
            os.set_blocking(line, True)
            text = f"{error.traceback_text}\n{error}" if error.traceback_text else str(error)
            control.tell(line, control.FAILED + text.encode("utf-8", "backslashreplace"))
        except GeuwsgiError as error:  # of a hook
            log(f"geuwsgi: {error}")
        except BaseException:
            log(traceback.format_exc().rstrip("\n"))
        finally:
            leave(status)

    # -- listening

    def hear(self, fd: int) -> None:
        """Something has come on a line."""
        for worker in self:
            if worker.line == fd:
                self._hear(worker)

    def _hear(self, worker: WorkerProcess) -> bool:
        """Read once; False when nothing was there, or nothing will come any more."""
        try:
            message = control.hear(worker.line)
        except BlockingIOError:
            return False
        if not message:
            self._hang_up(worker)
            return False
        while message and worker.report is None:
            word, message = message[:1], message[1:]
            if word == control.FAILED:
                worker.report = b""
            elif word == control.READY:
                self._serves(worker)
            elif word == control.REPLACE_ME:
                self.replace(worker)
        if worker.report is not None:
            worker.report += message
        return True

    def _serves(self, worker: WorkerProcess) -> None:
        worker.ready = True
        if worker not in self.workers:
            return
        self._rows[worker.id - 1][scoreboard.STATE] = scoreboard.SERVING
        for old in self.old:
            if old.id == worker.id:
                self._dismiss(old)
        if self.paused:
            control.tell(worker.line, control.PAUSE)
        if not self.starting:
            for old in self.old:  # also those whose number nobody has any more
                self._dismiss(old)
        self._ready(worker)

    def _hang_up(self, worker: WorkerProcess) -> None:
        if worker.line >= 0:
            self._poll.unregister(worker.line)
            originals.close(worker.line)
            worker.line = -1

    # -- letting go

    def _dismiss(self, worker: WorkerProcess) -> None:
        if worker.told or not worker.pid:
            return
        log(f"Gracefully killing worker {worker.id} (pid: {worker.pid})...")
        self.order(worker, control.RETIRE, self._instance.settings.worker_mercy)

    def order(self, worker: WorkerProcess, order: bytes, grace: float) -> None:
        """Tell a worker to end, and kill it when it has not done so in time.

        Args:
            worker: which one.
            order: one of `control`.
            grace: seconds that it takes at most by its own account.
        """
        now = time.monotonic()
        worker.told = worker.told or now
        if worker.pid:
            worker.deadline = now + grace + MARGIN
        if worker.line >= 0:
            control.tell(worker.line, order)

    def dismiss_all(self, order: bytes, grace: float) -> None:
        """End everybody, and hire nobody any more."""
        self.hiring = False
        for worker in self:
            worker.due = None
            self.order(worker, order, grace)
            if not worker.ready and worker not in self.old:
                self.kill(worker)  # it may be in the middle of loading the application, and serves nobody

    def tell_all(self, order: bytes) -> None:
        """An order that ends nobody."""
        for worker in self:
            if worker.line >= 0:
                control.tell(worker.line, order)

    def kill(self, worker: WorkerProcess) -> None:
        """Kill a worker's process."""
        if worker.pid:
            try:
                os.kill(worker.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def kill_the_blocked(self, blocked: Blocked) -> None:
        """Kill workers whose loop does not turn, and who do not come back by themselves."""
        for worker in self.workers:
            if blocked.look(worker, self._rows[worker.id - 1]):
                self.kill(worker)

    def kill_the_fat(self, rss: int, virtual: int) -> None:
        """Kill workers that have more memory than so many bytes, 0 for any number."""
        for worker in self.workers:
            row = self._rows[worker.id - 1]
            if worker.pid and row[scoreboard.PID] == worker.pid:
                for name, limit, size in (("rss", rss, row[scoreboard.RSS]), ("as", virtual, row[scoreboard.VSZ])):
                    if limit and size > limit:
                        row[scoreboard.RSS] = row[scoreboard.VSZ] = 0
                        megabytes = size // (1024 * 1024)
                        log(f"worker {worker.id} (pid: {worker.pid}) has {megabytes} MB of memory (--evil-reload-on-{name}): killed")
                        self.kill(worker)

    def kill_all(self) -> None:
        """Kill all processes."""
        for worker in self:
            self.kill(worker)

    def reaped(self, pid: int, status: int) -> bool:
        """A child of the master has ended. Whether it was one of these.

        Args:
            pid: its process id.
            status: its exit status, negative for a signal.
        """
        for worker in self:
            if worker.pid == pid:
                while worker.line >= 0 and self._hear(worker):
                    pass  # what it said before it ended
                self._hang_up(worker)
                self._ended(worker, status)
                return True
        return False

    def look_for_lost(self) -> None:
        """Workers whose end somebody else has been told of: `subprocess`, when the application used it while it was imported again."""
        for worker in self:
            if worker.pid and worker.line < 0 and not originals.exists(worker.pid):
                self._ended(worker, 0)

    def _ended(self, worker: WorkerProcess, code: int) -> None:
        pid, worker.pid, worker.deadline = worker.pid, 0, None
        row = self._rows[worker.id - 1] if worker.id <= len(self._rows) else None
        if row is not None and row[scoreboard.PID] == pid:
            row[scoreboard.PID], row[scoreboard.STATE] = 0, scoreboard.ABSENT
            row[scoreboard.RUNNING] = row[scoreboard.WAITING] = 0
            row[scoreboard.CONNECTIONS] = NOT_ACCEPTING
        if worker in self.old:
            self.old.remove(worker)
        if worker.told:
            log(f"worker {worker.id} buried after {max(1, round(time.monotonic() - worker.told))} seconds")
            return
        if code == EXIT_APP:
            self._failed(worker, (worker.report or b"").decode("utf-8", "replace"))
        elif code in (0, EXIT_RELOAD):
            log(f"worker {worker.id} killed successfully (pid: {pid})")
        else:
            why = f"killed by signal {-code} ({_signal_name(-code)})" if code < 0 else f"exit status {code}"
            log(f"DAMN ! worker {worker.id} (pid: {pid}) died, {why} :( trying respawn ...")
        if worker in self.workers and self.hiring and not worker.told:
            self._rehire(worker)

    def _rehire(self, worker: WorkerProcess) -> None:
        now = time.monotonic()
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


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "?"
