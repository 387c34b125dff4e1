"""The master's loop: signals, files that somebody touches, daemons, and the crew of workers.

It is plain standard library on functions that nobody has patched (see `originals`), and never runs a hub: whatever the application did when
it was imported, greenlets that hold locks included, cannot stop it.
"""

from __future__ import annotations

import os
import select
import signal
import time
from types import FrameType
from typing import TYPE_CHECKING, Any, Callable, Optional

from ..errors import AppLoadError, ConfigError
from ..log import log
from ..shared import scoreboard
from ..shared.signaltable import SignalTable, minute_of
from . import control, environment, originals
from .autoreload import Modules
from .cheaper import Cheaper
from .crew import Crew, WorkerProcess
from .cronjobs import CronJobs
from .handover import Handover, OldDaemon, OldWorker
from .harakiri import Blocked
from .signalrouter import SignalRouter
from .touch import Touched
from .worker import INTERRUPT_GRACE, TERMINATE_GRACE

if TYPE_CHECKING:
    from .fifo import MasterFifo
    from .run import Instance

#: Signals that end the server, SIGTERM unless it is meant as a reload.
ENDING = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
#: Seconds between two looks at everything, when nothing happens.
CYCLE = 1.0
#: Seconds until the next attempt to load an application when nobody serves any more.
RETRY_PAUSE = 5.0


class Master:
    """Runs until a signal ends the server.

    Args:
        instance: everything that was prepared, the application included unless it is loaded by the workers (`--lazy-apps`), or unless it
            has failed, with the workers of before the reload still serving.
    """

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.status = 0
        self.stopping = False
        self._announced = False
        self._signals: list[int] = []
        self._failure: Optional[AppLoadError] = None
        read, write = os.pipe()
        self._wakeup = read, write
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        # The kernel's own poll: a selector of the module `selectors` would be patched.
        self._poll: Any = originals.poll()
        self._poll.register(read, select.POLLIN)
        self._crew = Crew(instance, self._poll, self._private, self._serves, self._app_failed)
        self._reload_again = False
        self._retry: Optional[float] = None
        #: Numbers of workers whose turn in a chain reload is still to come.
        self._chain: list[int] = []
        self._touched = Touched([*instance.settings.touch, *(("hook:" + text, path) for path, text in instance.hooks.touch)])
        self._modules: Optional[Modules] = None
        asked = instance.settings
        self._fifo = instance.fifo
        if self._fifo is not None:
            self._poll.register(self._fifo.fd, select.POLLIN)
        self._cheaper = Cheaper(asked.cheaper, instance.scoreboard.rows(), instance.sockets.descriptors) if asked.cheaper.least else None
        self._blocked = Blocked(asked.harakiri, asked.harakiri_verbose)
        self._router: Optional[SignalRouter] = None
        link, old = instance.signals, instance.old_signals
        # A cron of this minute is not due once more because of a reload.
        minute = 0 if old < 0 else minute_of(old)
        self._crons = CronJobs(asked.crons, minute, instance.inherited.crons)
        if link is not None:
            self._router = SignalRouter(link.table, link.pipes, self._crew, instance.scoreboard.rows(), minute)
            self._poll.register(self._router.fd, select.POLLIN)
        #: Listening sockets that are watched while there is no worker (cheap mode).
        self._doors: list[int] = []
        self._second = 0.0  # when the next look at what is looked at every second is due

    def run(self) -> int:
        """Serve; returns the exit status once all workers have ended.

        Raises:
            AppLoadError: the workers cannot load the application.
        """
        self._install()
        crew = self._crew
        try:
            again = self.instance.inherited.reloads > 0
            log(f"{'gracefully (RE)spawned' if again else 'spawned'} uWSGI master process (pid: {os.getpid()})")
            for old in self.instance.inherited.workers:
                crew.adopt(_old_worker(old))
            if self.instance.failed:
                self._keep_the_old()
            else:
                crew.start(self.instance.settings.cheaper.initial or len(crew.workers))
            if not self.instance.failed:
                self.instance.hooks.run("master-start")
            while not self.stopping or crew.alive:
                self._wait(self._tick())
                self._handle_signals()
                self._reap()
        finally:
            crew.kill_all()
        if self._failure is not None:
            raise self._failure
        return self.status

    def _install(self) -> None:
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        for number in originals.HANDLED:
            originals.set_handler(number, self._note)
        # After a reload they were kept waiting.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, originals.HANDLED)
        if self.instance.interrupted:
            self._signals.append(self.instance.interrupted)

    def _private(self) -> list[int]:
        fifo = [] if self._fifo is None else [self._fifo.fd]
        return [*self._wakeup, *fifo, *self.instance.private_descriptors()]

    def _note(self, number: int, frame: Optional[FrameType]) -> None:
        self._signals.append(number)

    # -- the loop

    def _wait(self, timeout: float) -> None:
        for fd, _ in self._poll.poll(0 if self._signals else max(0, timeout) * 1000):
            if fd == self._wakeup[0]:
                try:
                    os.read(fd, 4096)
                except BlockingIOError:
                    pass
            elif self._router is not None and fd == self._router.fd:
                self._router.hear()
            elif self._fifo is not None and fd == self._fifo.fd:
                for letter in self._fifo.read():
                    self._command(letter)
            elif fd in self._doors:
                self._end_cheap()
            else:
                self._crew.hear(fd)

    def _tick(self) -> float:
        """Do what is due; seconds until something is."""
        now = time.monotonic()
        self._crew.look_for_lost()
        next_time = min(now + CYCLE, self._crew.tick(now))
        if not self.stopping:
            self._look_at_files()
            if self._cheaper is not None and now >= self._second:
                self._second = now + 1
                change = self._cheaper.decide()
                if change:  # else in cheap mode nobody would watch the doors any more
                    self._change_number(change)
            asked = self.instance.settings
            self._crew.kill_the_blocked(self._blocked)
            if asked.evil_reload_on_rss or asked.evil_reload_on_as:
                self._crew.kill_the_fat(asked.evil_reload_on_rss * 1024 * 1024, asked.evil_reload_on_as * 1024 * 1024)
            due = self.instance.daemons.tick(now)
            if due is not None:
                next_time = min(next_time, due)
            self._crons.tick()
            if self._reload_again and self._crew.dying:
                self._reload_again = False
                self._reload()
            if self._router is not None:
                next_time = min(next_time, self._router.tick(now))
            if self.instance.failed:
                self._retry_when_alone(now)
            if self._modules is not None:
                next_time = min(next_time, now + self.instance.settings.autoreload / 4)
        return next_time - time.monotonic()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = originals.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            code = os.waitstatus_to_exitcode(status)
            if not self._crew.reaped(pid, code) and not self._crons.reaped(pid, code) and not self.stopping:
                self.instance.daemons.reaped(pid, code)

    # -- what the crew tells

    def _serves(self, worker: WorkerProcess) -> None:
        if not self._announced:
            self._announced = True
            self.instance.announce()
        if not self._crew.starting:
            self.instance.settled()
            self._next_of_chain()
            if self._reload_again:
                self._reload_again = False
                self._reload()

    def _app_failed(self, worker: WorkerProcess, text: str) -> None:
        """A worker's application cannot be loaded (`--lazy-apps`)."""
        trace, _, message = text.rpartition("\n")
        if self._announced:
            log(f"{text}\nworker {worker.id} cannot load the application")
            self._chain.clear()
        elif any(old.ready and old.pid for old in self._crew.old):
            if not self.instance.failed:
                log(f"{trace}\ngeuwsgi: {message}" if trace else f"geuwsgi: {message}")
                self.instance.failed = True
                for other in self._crew.workers:
                    other.due, other.told = None, time.monotonic()
                    self._crew.kill(other)
                self._keep_the_old()
        elif self._failure is None:
            self._failure = AppLoadError(message, trace)
            self._stop(control.STOP, INTERRUPT_GRACE)
            self.status = 1

    # -- what people ask for

    def _handle_signals(self) -> None:
        while self._signals:
            # Those that end the server first: what is noted when it executes itself is lost.
            number = self._signals.pop(self._signals.index(self._ending()) if self._ending() else 0)
            if number in self.instance.hooks.signals and not self.stopping:
                log(f"{signal.Signals(number).name} received: doing what hook-master-start says")
                self._commands()[self.instance.hooks.signals[number]]()
            elif number in (signal.SIGINT, signal.SIGQUIT):
                self._interrupt(number)
            elif number == signal.SIGTERM:
                self._terminate()
            elif number == signal.SIGHUP:
                self._reload()
            elif number in (signal.SIGUSR1, signal.SIGUSR2):
                self._report()
            elif number == signal.SIGTTIN:
                self._change_number(1)
            elif number == signal.SIGTTOU:
                self._change_number(-1)
            elif number == signal.SIGTSTP:
                self._pause()

    def _ending(self) -> int:
        """A signal that has been noted and ends the server; 0 if there is none."""
        return next((number for number in self._signals if number in ENDING), 0)

    def _commands(self) -> dict[str, Callable[[], object]]:
        """What the letters of `--master-fifo` mean."""
        return {
            "q": lambda: self._stop(control.STOP_SLOWLY, TERMINATE_GRACE),
            "Q": lambda: self._stop(control.STOP, INTERRUPT_GRACE),
            "r": self._reload,
            "R": self._reload,
            "w": self._reload_workers,
            "W": self._restart_workers,
            "c": self._chain_reload,
            "p": self._pause,
            "P": self.instance.write_pidfile,
            "+": lambda: self._change_number(1),
            "-": lambda: self._change_number(-1),
            "s": self._report,
            "l": self._reopen_log,
            "L": self._rotate_log,
            "C": self._go_cheap,
        }

    def _command(self, letter: str) -> None:
        """A letter of `--master-fifo`."""
        commands = self._commands()
        if self.stopping:
            return
        log(f"master-fifo: {letter}")
        try:
            if letter.isdigit() and self._fifo is not None:
                self._choose_pipe(self._fifo, int(letter))
            elif letter in commands:
                commands[letter]()
            else:
                log(f"master-fifo: no command {letter!r}; there are {' '.join(commands)} and the digits")
        except ConfigError as error:  # a file that cannot be written, a pipe that cannot be opened
            log(f"geuwsgi: {error}")

    def _choose_pipe(self, fifo: MasterFifo, number: int) -> None:
        before = fifo.fd
        if fifo.choose(number):
            self._poll.unregister(before)
            self._poll.register(fifo.fd, select.POLLIN)
        else:
            log(f"master-fifo: there is no pipe number {number}")

    def _report(self) -> None:
        crew = self._crew
        log(
            f"master (pid: {os.getpid()}): {crew.active} of {len(crew.workers)} workers, {len(crew.old)} on their way out, "
            f"{self.instance.scoreboard.total(scoreboard.REQUESTS)} requests served{', paused' if crew.paused else ''}"
        )
        if self._router is not None:
            lost = self._router.lost + self.instance.scoreboard.total(scoreboard.LOST_SIGNALS)
            log(f"signals of the signal framework: {self._router.routed} delivered, {lost} lost")
        crew.tell_all(control.REPORT)

    def _change_number(self, change: int) -> None:
        if self.instance.settings.reuse_port:
            # A worker that does not run would keep the connections of its own socket waiting.
            if change < 0:
                log("with reuse-port all workers stay")
                return
            change = len(self._crew.workers)
        self._leave_doors()
        if change > 0 and not self._crew.hire(change):
            log(f"all {len(self._crew.workers)} workers run already")
        for _ in range(-change):
            if not self._crew.lay_off():
                log("the last worker stays")

    def _pause(self) -> None:
        paused = self._crew.paused = not self._crew.paused
        log("paused: connections wait until the next SIGTSTP" if paused else "no longer paused")
        self._crew.tell_all(control.PAUSE if paused else control.RESUME)

    def _reopen_log(self) -> None:
        environment.reopen_log(self.instance.logto, self.instance.config.source("logto"))
        self._crew.tell_all(control.REOPEN_LOG)

    def _rotate_log(self) -> None:
        if environment.move_log(self.instance.logto):
            self._reopen_log()

    # -- cheap mode: no worker until somebody comes

    def _go_cheap(self) -> None:
        if self._doors:
            return
        while self._crew.lay_off(least=0):
            pass
        self._doors = self.instance.sockets.descriptors()
        for fd in self._doors:
            self._poll.register(fd, select.POLLIN)
        log("cheap mode enabled: waiting for socket connection...")

    def _end_cheap(self) -> None:
        self._leave_doors()
        self._crew.hire(self.instance.settings.cheaper.initial or len(self._crew.workers))

    def _leave_doors(self) -> None:
        for fd in self._doors:
            self._poll.unregister(fd)
        self._doors.clear()

    # -- the end

    def _interrupt(self, number: int) -> None:
        name = signal.Signals(number).name
        if self.stopping:
            log(f"{name} again: ending at once")
            self._crew.kill_all()
            self.instance.abort()
        log(f"{name} received, stopping (once more ends at once)")
        self._stop(control.STOP, INTERRUPT_GRACE)

    def _terminate(self) -> None:
        if self.stopping:
            return
        if self.instance.settings.die_on_term:
            log("SIGTERM received, stopping")
            self._stop(control.STOP_SLOWLY, TERMINATE_GRACE)
        else:
            log("SIGTERM received: reloading, as uWSGI does without --die-on-term")
            self._reload()

    def _stop(self, order: bytes, grace: float) -> None:
        self.stopping = True
        self._crew.dismiss_all(order, grace)

    # -- reloading

    def _reload(self) -> None:
        """Begin anew with the same workers; does not return unless it cannot be."""
        if self.stopping:
            return
        if self._crew.starting and not self._crew.dying and not self.instance.failed:
            self._reload_again = True  # once the present one is through
            return
        launch = self.instance.launch
        if not self.instance.may_reload():
            self._crew.tell_all(control.REFUSED)
            return
        log("...gracefully reloading...")
        self.instance.daemons.reload()
        try:
            launch.again(self._handover(), lambda: not self._ending())
        except OSError as error:
            log(f"geuwsgi: cannot execute {launch.argv[0]}: {error.strerror}; no reload, the workers go on")
            self.instance.certificates.close()
            self._crew.tell_all(control.REFUSED)

    def _handover(self) -> Handover:
        instance = self.instance
        return Handover(
            reloads=instance.inherited.reloads + 1,
            sockets=instance.sockets.for_next_image(),
            workers=[
                OldWorker(worker.id, worker.pid, worker.line, worker.ready, worker.told, worker.started, worker.deadline)
                for worker in self._crew
                if worker.pid
            ],
            daemons=[
                OldDaemon(daemon.spec.text, daemon.pid, daemon.pipe, daemon.started)
                for daemon in instance.daemons.daemons
                if daemon.pid is not None
            ],
            meeting=instance.meeting_directory(),
            pems=instance.certificates.keep(),
            crons=self._crons.running(),
            signals=instance.signal_descriptors(self._router.table if self._router is not None else None),
        )

    def _keep_the_old(self) -> None:
        """The new application has failed: those of before the reload go on, and so does the wait for a better one."""
        count = sum(1 for old in self._crew.old if old.pid and not old.told)
        log(f"the reload has failed: {count} workers of before it go on; SIGHUP tries again")
        link = self.instance.signals
        if self._router is not None and link is not None and self.instance.old_signals >= 0:
            link.table.close()
            link.table = SignalTable(self.instance.old_signals)
            self.instance.old_signals = -1
            self._router.use(link.table)
        if self.instance.settings.autoreload:
            self._modules = Modules(self.instance.settings.autoreload_ignore, self.instance.failed_files)

    def _retry_when_alone(self, now: float) -> None:
        if any(old.pid and not old.told for old in self._crew.old):
            self._retry = None
        elif self._retry is None:
            log(f"nobody serves any more: trying to load the application again in {RETRY_PAUSE:g} seconds")
            self._retry = now + RETRY_PAUSE
        elif self._retry <= now:
            self._retry = now + RETRY_PAUSE
            self._reload()

    def _look_at_files(self) -> None:
        for action, path in self._touched.changes():
            log(f"[uwsgi-check-touches] {path} was touched")
            if action == "reload":
                self._reload()
            elif action == "chain":
                self._chain_reload()
            elif action == "workers":
                self._reload_workers()
            elif action.startswith("hook:"):
                self.instance.hooks.touched(action[5:])
            elif action == "log":
                self._reopen_log()
        changed = self._modules.changed() if self._modules is not None else None
        if changed:
            log(f"[uwsgi-python-reloader] module/file {changed} has been modified")
            self._reload()

    def _reload_workers(self) -> None:
        """Replace the workers, and nothing else."""
        for worker in tuple(self._crew.workers):
            self._crew.replace(worker)

    def _restart_workers(self) -> None:
        """End the workers now; others come when they have gone."""
        for worker in self._crew.workers:
            if worker.pid:
                os.kill(worker.pid, signal.SIGINT)

    def _chain_reload(self) -> None:
        """Replace the workers one after the other."""
        if not self.instance.settings.lazy_apps:
            log("a chain reload brings no new code without --lazy-apps: the application is loaded in the master")
        self._chain = [worker.id for worker in self._crew.workers if not worker.cheap]
        self._next_of_chain()

    def _next_of_chain(self) -> None:
        if self._chain and not self._crew.starting:
            number = self._chain.pop(0)
            log(f"chain reloading worker {number}")
            self._crew.replace(self._crew.workers[number - 1])


def _old_worker(old: OldWorker) -> WorkerProcess:
    worker = WorkerProcess(old.id, old.pid, old.line)
    worker.ready, worker.told, worker.started, worker.deadline = old.ready, old.told, old.started, old.deadline
    return worker
