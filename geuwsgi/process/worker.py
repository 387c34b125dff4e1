"""One worker: the server running, the orders and signals that end it, the hooks around it."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, Optional

import gevent
from gevent.event import Event
from gevent.hub import get_hub

from ..api import module
from ..log import log
from ..server import forked
from ..server.acceptor import Share
from ..server.gzipped import Gzipped
from ..server.routing import application_for
from ..server.server import Server
from ..server.static import StaticFiles
from ..server.threads import ThreadPool, in_threads
from ..shared import scoreboard as board
from . import control, environment, limits
from .autoreload import Modules
from .ending import EXIT_RELOAD
from .harakiri import Watch
from .signalinbox import SignalInbox
from .signals import Signals

if TYPE_CHECKING:
    from .run import Instance

#: Seconds that running requests get after Ctrl-C. uWSGI gives none; a person waits a second without wondering.
INTERRUPT_GRACE = 0.8
#: The same after SIGTERM, which service managers send and then wait for 10 seconds or more.
TERMINATE_GRACE = 5.0

#: Seconds between two looks at what changes slowly.
PULSE = 1.0


class Worker:
    """Serves the loaded applications until it is told to end, or to make room for another process.

    Without a master SIGINT and SIGQUIT stop, a second one at once; SIGTERM stops too, with more time for running requests; SIGHUP reloads.
    Under a master the orders come from there, and the same signals, sent to a worker, end it or have it replaced. SIGUSR1 and SIGUSR2 log
    what it is doing.

    Args:
        instance: what was prepared for all workers.
        worker_id: 1 to n.
        line: the worker's end of the line to the master; -1 without a master.
    """

    def __init__(self, instance: Instance, worker_id: int = 1, line: int = -1) -> None:
        self.instance = instance
        self.id = worker_id
        self.line = line
        self.alone = line < 0
        self.settings = instance.server_settings
        self.started = time.monotonic()
        self.status = 0
        self._stop = Event()
        self._retire = Event()
        self._grace = INTERRUPT_GRACE
        self._interrupts = 0
        self._asked = False
        self._line_watcher: Any = None
        self._autoreload: Any = None
        static = StaticFiles(self.settings.static) if self.settings.static.any else None
        self.threads = ThreadPool(self.settings.threads) if self.settings.threads else None
        mounts = in_threads(instance.mounts, self.threads) if self.threads is not None else instance.mounts
        routes = instance.routes
        application = application_for(mounts, static, instance.settings.manage_script_name, routes)
        if instance.front is None and (self.settings.auto_gzip or self.settings.gzip):
            application = Gzipped(application, self.settings.auto_gzip, self.settings.gzip)
        self.server = Server(application, instance.sockets.of(worker_id), self.settings, self._share())
        if instance.front is not None:
            respawns = instance.scoreboard.row(worker_id)[board.RESPAWNS]
            served = [listener.address for listener in instance.sockets.listeners if listener.forwards]
            self.server.front = instance.front.pool(worker_id, respawns, served)
        if routes is not None:
            module.serve_routes(routes, worker_id)
        module.attach(self.server, [(mount.mountpoint, mount.application) for mount in instance.mounts])
        assert instance.meeting is not None
        self.channels = self.server.channels = instance.meeting.hub_for_worker()

    def _share(self) -> Optional[Share]:
        asked = self.instance.settings
        if asked.processes == 1 or asked.reuse_port:
            return None
        column = self.instance.scoreboard.column
        return Share(column(board.CONNECTIONS), column(board.ACCEPTED), column(board.PID), self.id - 1, self.settings.cores)

    def run(self) -> int:
        """Serve; returns the exit status when everything that this worker did is over."""
        forked.watch()
        self._install_signals()
        if not self.alone:
            self._line_watcher = get_hub().loop.io(self.line, 1)
            self._line_watcher.start(self._hear)
        self.channels.start()
        self._inbox = SignalInbox(self) if self.instance.signals is not None else None
        self._run_hooks("post-fork")
        module.call_post_fork_hook()
        asked = self.instance.settings
        helpers = [gevent.spawn(self._pulse), gevent.spawn(Watch(self, asked.harakiri, asked.harakiri_verbose).run)]
        if asked.max_requests:
            limits.count_requests(self)
        self.watch_modules()
        self.server.start()
        self._run_hooks("accepting", "accepting-once" if self.first else "")
        if self.id == 1:
            self._run_hooks("accepting1", "accepting1-once" if self.first else "")
        if self.alone:
            log(f"spawned uWSGI worker 1 (and the only) (pid: {os.getpid()}, cores: {self.settings.cores})")
            self.instance.announce()
        else:
            control.tell(self.line, control.READY)
        if self._inbox is not None:
            self._inbox.start()
        self._wait(self._stop, self._retire)
        self.channels.retire()
        if self._inbox is not None:
            self._inbox.stop()
        if not self._stop.is_set():
            self._make_room()
        self.server.stop(self._grace, close_listeners=self.status != EXIT_RELOAD)
        gevent.killall(helpers)
        if self._inbox is not None and self._stop.is_set():
            self._inbox.finish(self._grace)
        self.channels.stop()
        module.call_atexit()
        return self.status

    def _run_hooks(self, *phases: str) -> None:
        for phase in phases:
            self.instance.hooks.run(phase)

    @property
    def first(self) -> bool:
        """No other process had this number before."""
        return self.instance.scoreboard.row(self.id)[board.RESPAWNS] == 0

    def _install_signals(self) -> None:
        # After the import: handlers that the application installed there give way, as they do in uWSGI.
        signals = Signals()
        for number in (signal.SIGINT, signal.SIGQUIT):
            signals.on(number, self._interrupt, immediate=self._count if self.alone else None)
        signals.on(signal.SIGTERM, self._terminate)
        signals.on(signal.SIGHUP, self._hang_up)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signals.on(number, self._statistics)

    def _wait(self, *events: Any) -> None:
        while True:
            try:
                gevent.wait(events, count=1)
                return
            except (SystemExit, KeyboardInterrupt) as error:
                if forked.child:
                    forked.end(error)
                # gevent hands these from any greenlet to the main one. One that the application spawned has no say over the server.
                log("a greenlet tried to end the process, still serving\n" + traceback.format_exc().rstrip("\n"))

    def _make_room(self) -> None:
        """Serve what has come so far; whoever comes now is for another process."""
        asked = self.instance.settings
        helpers = [] if self._inbox is None else [gevent.spawn(self._inbox.finish, asked.worker_mercy)]
        retiring = gevent.spawn(self._retire_server, helpers)
        self._wait(retiring, self._stop)
        retiring.kill()

    def _retire_server(self, helpers: list[Any]) -> None:
        asked = self.instance.settings
        self.server.retire(asked.worker_mercy, asked.websockets_drain)
        gevent.joinall(helpers)

    def _pulse(self) -> None:
        """What is looked at or written down every second."""
        while True:
            module.update_scoreboard()
            reason = limits.reason_to_go(self.instance.settings, self.age)
            if reason:
                self.ask_for_replacement(reason)
            gevent.sleep(PULSE)

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started

    def ask_for_replacement(self, reason: str) -> None:
        """Have the master start another process with this number, which this one makes room for once it serves."""
        if not self._asked:
            self._asked = True
            log(f"worker {self.id} (pid: {os.getpid()}) {reason}: it will be replaced")
            control.tell(self.line, control.REPLACE_ME)

    # -- orders of the master

    def _hear(self) -> None:
        try:
            orders = control.hear(self.line)
        except BlockingIOError:
            return
        if not orders:
            self._line_watcher.stop()
            log(f"worker {self.id} (pid: {os.getpid()}): the master is gone, ending")
            self._end(INTERRUPT_GRACE)
        for order in (orders[index : index + 1] for index in range(len(orders))):
            if order == control.STOP:
                self._end(INTERRUPT_GRACE)
            elif order == control.STOP_SLOWLY:
                self._end(TERMINATE_GRACE)
            elif order == control.RETIRE:
                self._retire.set()
            elif order == control.PAUSE:
                self.server.pause()
            elif order == control.RESUME:
                self.server.resume()
            elif order == control.REOPEN_LOG:
                environment.reopen_log(self.instance.logto, self.instance.config.source("logto"))
            elif order == control.REPORT:
                self._statistics(0)
            elif order == control.REFUSED:
                self.watch_modules()

    def _end(self, grace: float) -> None:
        if not self._stop.is_set():
            self._grace = grace
            self.status = 0  # also in the middle of a reload
            self._stop.set()

    # -- signals

    def _count(self, number: int) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            log(f"{signal.Signals(number).name} again: ending at once")
            self.instance.abort()

    def _interrupt(self, number: int) -> None:
        if self.alone:
            log(f"{signal.Signals(number).name} received, stopping (once more ends at once)")
        self._end(INTERRUPT_GRACE)

    def _terminate(self, number: int) -> None:
        if self._stop.is_set():
            return
        if self.alone:
            log("SIGTERM received, stopping")
        self._end(TERMINATE_GRACE)

    def _hang_up(self, number: int) -> None:
        if not self.alone:
            self.ask_for_replacement("got SIGHUP")
        elif self.instance.may_reload():
            log("SIGHUP received, reloading; connections wait meanwhile, which they would not with --master")
            self.status = EXIT_RELOAD
            self._retire.set()

    # -- reloading when a source file changes

    def watch_modules(self) -> None:
        """Look for changed modules, in the first worker, until one has changed."""
        asked = self.instance.settings
        if asked.autoreload and self.id == 1 and not self._autoreload:
            self._autoreload = gevent.spawn(self._look_at_modules)

    def _look_at_modules(self) -> None:
        asked = self.instance.settings
        modules = Modules(asked.autoreload_ignore)
        while True:
            gevent.sleep(asked.autoreload / 4)
            changed = modules.changed()
            if changed:
                log(f"[uwsgi-python-reloader] module/file {changed} has been modified")
                self._autoreload = None
                os.kill(os.getppid(), signal.SIGHUP)
                return

    def _statistics(self, number: int) -> None:
        server = self.server
        seconds = time.monotonic() - self.started
        # Linux counts ru_maxrss in KiB, macOS in bytes.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 if sys.platform != "darwin" else 1024)
        log(
            f"worker {self.id} (pid: {os.getpid()}): {server.total_requests} requests served in {seconds:.0f} seconds, "
            f"{len(server.running)} running, {len(server.connections)} connections, {len(server.keepalive)} websockets, "
            f"peak memory {peak} KiB"
        )
