"""One worker: the server running, the orders and signals that end it, the hooks around it."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event
from gevent.hub import get_hub

from ..api import module
from ..log import log
from ..server.acceptor import Share
from ..server.routing import application_for
from ..server.server import Server
from ..server.static import StaticFiles
from ..server.threads import in_threads
from ..shared import scoreboard
from . import control, settings
from .signals import Signals

if TYPE_CHECKING:
    from .run import Instance

#: Seconds that running requests get after Ctrl-C. uWSGI gives none; a person waits a second without wondering.
INTERRUPT_GRACE = 0.8
#: The same after SIGTERM, which service managers send and then wait for 10 seconds or more.
TERMINATE_GRACE = 5.0

#: Seconds between two looks at what changes slowly.
PULSE = 1.0

#: The exit status of a worker that wants to be started again. Source: UWSGI_RELOAD_CODE.
EXIT_RELOAD = 17
#: Of one whose application cannot be loaded: starting it again would not help. Source: UWSGI_FAILED_APP_CODE.
EXIT_APP = 22


class Worker:
    """Serves the loaded applications until it is told to end.

    Without a master SIGINT and SIGQUIT stop, a second one at once; SIGTERM stops too, with more time for running requests. Under a master
    the orders come from there, and the same signals, sent to a worker, make the master start another one. SIGUSR1 and SIGUSR2 log what the
    worker is doing.

    Args:
        instance: what was prepared for all workers.
        worker_id: 1 to n.
        line: the worker's end of the line to the master; -1 without a master.
    """

    def __init__(self, instance: Instance, worker_id: int = 1, line: int = -1) -> None:
        self.instance = instance
        self.id = worker_id
        self.line = line
        self.settings = settings.server_settings(instance.config)
        self.started = time.monotonic()
        self.status = 0
        self._stop = Event()
        self._grace = INTERRUPT_GRACE
        self._interrupts = 0
        self._line_watcher: Any = None
        files = self.settings.static
        static = StaticFiles(files) if files.check or files.maps else None
        mounts = in_threads(instance.mounts, self.settings.threads) if self.settings.threads else instance.mounts
        application = application_for(mounts, static, instance.settings.manage_script_name)
        share = None
        if instance.settings.processes > 1 and not instance.settings.reuse_port:
            board = instance.scoreboard
            share = Share(board.column(scoreboard.CONNECTIONS), board.column(scoreboard.ACCEPTED), worker_id - 1)
        self.server = Server(application, instance.listeners_of(worker_id), self.settings, share)
        assert instance.meeting is not None
        self.channels = self.server.channels = instance.meeting.hub_for_worker()
        module.attach(self.server, [(mount.mountpoint, mount.application) for mount in instance.mounts])

    def run(self) -> int:
        """Serve; returns the exit status when everything that this worker did is over."""
        # After the import: handlers that the application installed there give way, as they do in uWSGI.
        signals = Signals()
        alone = self.line < 0
        for number in (signal.SIGINT, signal.SIGQUIT):
            signals.on(number, self._interrupt, immediate=self._count if alone else None)
        signals.on(signal.SIGTERM, self._terminate)
        signals.on(signal.SIGHUP, self._refuse_reload)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signals.on(number, self._statistics)
        if not alone:
            self._line_watcher = get_hub().loop.io(self.line, 1)
            self._line_watcher.start(self._hear)
        self.channels.start()
        module.call_post_fork_hook()
        pulse = gevent.spawn(self._pulse)
        self.server.start()
        if alone:
            log(f"spawned uWSGI worker 1 (and the only) (pid: {os.getpid()}, cores: {self.settings.cores})")
            self.instance.announce()
        else:
            control.tell(self.line, control.READY)
        self._wait()
        self.server.stop(self._grace)
        pulse.kill()
        self.channels.stop()
        module.call_atexit()
        return self.status

    def _wait(self) -> None:
        while True:
            try:
                self._stop.wait()
                return
            except (SystemExit, KeyboardInterrupt):
                # gevent hands these from any greenlet to the main one. One that the application spawned has no say over the server.
                log("a greenlet tried to end the process, still serving\n" + traceback.format_exc().rstrip("\n"))

    def _pulse(self) -> None:
        """What is looked at or written down every second."""
        while True:
            module.update_scoreboard()
            gevent.sleep(PULSE)

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
            elif order == control.REPORT:
                self._statistics(0)

    def _end(self, grace: float, status: int = 0) -> None:
        if not self._stop.is_set():
            self._grace = grace
            self.status = status
            self._stop.set()

    # -- signals

    def _count(self, number: int) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            log(f"{signal.Signals(number).name} again: ending at once")
            self.instance.abort()

    def _interrupt(self, number: int) -> None:
        if self.line < 0:
            log(f"{signal.Signals(number).name} received, stopping (once more ends at once)")
        self._end(INTERRUPT_GRACE)

    def _terminate(self, number: int) -> None:
        if self._stop.is_set():
            return
        # uWSGI reloads on SIGTERM unless told otherwise; an emulator that is one process has nobody to start it again.
        why = " (uWSGI would reload, which is not available yet; --die-on-term says that a stop is meant)"
        if self.line < 0:
            log(f"SIGTERM received, stopping{'' if self.instance.settings.die_on_term else why}")
        self._end(TERMINATE_GRACE)

    def _refuse_reload(self, number: int) -> None:
        log("SIGHUP received: a reload is not available yet, still serving")

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
