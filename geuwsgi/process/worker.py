"""One worker: the server running, the signals that end it, the hooks around it."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING

from gevent.event import Event

from ..api import module
from ..errors import AppLoadError
from ..log import log
from ..server.routing import application_for, warn_about_mounts
from ..server.server import Server
from ..server.static import StaticFiles
from . import settings
from .signals import Signals

if TYPE_CHECKING:
    from .run import SingleProcess

#: Seconds that running requests get after Ctrl-C. uWSGI gives none; a person waits a second without wondering.
INTERRUPT_GRACE = 0.8
#: The same after SIGTERM, which service managers send and then wait for 10 seconds or more.
TERMINATE_GRACE = 5.0


class Worker:
    """Serves the loaded applications until a signal ends it.

    SIGINT and SIGQUIT stop, a second one at once; SIGTERM stops too, with more time for running requests; SIGHUP is refused;
    SIGUSR1 and SIGUSR2 log what the worker is doing.

    Raises:
        AppLoadError: there is nothing to serve.
    """

    def __init__(self, process: SingleProcess) -> None:
        self.process = process
        self.settings = settings.server_settings(process.config)
        self.started = time.monotonic()
        self._stop = Event()
        self._grace = INTERRUPT_GRACE
        self._interrupts = 0
        files = self.settings.static
        static = StaticFiles(files) if files.check or files.maps else None
        if not process.mounts and (static is None or process.settings.need_app):
            # uWSGI would start and answer 500 to everything.
            raise AppLoadError("no application: name one with --wsgi-file FILE or --module MODULE:CALLABLE")
        warn_about_mounts(process.mounts, process.settings.manage_script_name)
        application = application_for(process.mounts, static, process.settings.manage_script_name)
        self.server = Server(application, process.listeners, self.settings)
        module.attach(self.server, [(mount.mountpoint, mount.application) for mount in process.mounts])

    def run(self) -> None:
        """Serve; returns when everything that this worker did is over."""
        module.set_worker(1)
        # After the import: handlers that the application installed there give way, as they do in uWSGI.
        signals = Signals()
        for number in (signal.SIGINT, signal.SIGQUIT):
            signals.on(number, self._interrupt, immediate=self._count)
        signals.on(signal.SIGTERM, self._terminate)
        signals.on(signal.SIGHUP, self._refuse_reload)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signals.on(number, self._statistics)
        module.call_post_fork_hook()
        self.server.start()
        if self.process.settings.master:
            log(f"spawned uWSGI master process (pid: {os.getpid()})")
        alone = "" if self.process.settings.master else " (and the only)"
        log(f"spawned uWSGI worker 1{alone} (pid: {os.getpid()}, cores: {self.settings.cores})")
        self.process.announce()
        self._wait()
        self.server.stop(self._grace)
        module.call_atexit()

    def _wait(self) -> None:
        while True:
            try:
                self._stop.wait()
                return
            except (SystemExit, KeyboardInterrupt):
                # gevent hands these from any greenlet to the main one. One that the application spawned has no say over the server.
                log("a greenlet tried to end the process, still serving\n" + traceback.format_exc().rstrip("\n"))

    def _count(self, number: int) -> None:
        self._interrupts += 1
        if self._interrupts > 1:
            log(f"{signal.Signals(number).name} again: ending at once")
            self.process.abort()

    def _interrupt(self, number: int) -> None:
        log(f"{signal.Signals(number).name} received, stopping (once more ends at once)")
        self._stop.set()

    def _terminate(self, number: int) -> None:
        if self._stop.is_set():
            return
        # uWSGI reloads on SIGTERM unless told otherwise; an emulator that is one process has nobody to start it again.
        why = " (uWSGI would reload, which is not available yet; --die-on-term says that a stop is meant)"
        log(f"SIGTERM received, stopping{'' if self.process.settings.die_on_term else why}")
        self._grace = TERMINATE_GRACE
        self._stop.set()

    def _refuse_reload(self, number: int) -> None:
        log("SIGHUP received: a reload is not available yet, still serving")

    def _statistics(self, number: int) -> None:
        server = self.server
        seconds = time.monotonic() - self.started
        # Linux counts ru_maxrss in KiB, macOS in bytes.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 if sys.platform != "darwin" else 1024)
        log(
            f"worker 1 (pid: {os.getpid()}): {server.total_requests} requests served in {seconds:.0f} seconds, "
            f"{len(server.running)} running, {len(server.connections)} connections, {len(server.keepalive)} websockets, "
            f"peak memory {peak} KiB"
        )
