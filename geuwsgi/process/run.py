"""The life of a server: what happens in which order, and that all of it is undone at the end.

    --env, --logto, limits                      as the application, and whoever reads its log, will find them
    --chdir, --virtualenv, --pythonpath
    gevent's monkey patching                    before the application is imported; not with --threads, where it may block
    listening sockets, pidfile                  connections wait in the backlog from here on
    attached daemons                            the application finds its Redis
    the fake uwsgi module, the application      may fail: one message, exit status 1; with --lazy-apps each worker does this
    the workers                                 this process itself, or, with a master, those that it forks
    daemons stopped, files removed

There is a master where somebody has to watch: for `--master`, for several workers, for attached daemons. Only `--master` and daemons make
the application see it (`uwsgi.masterpid()`), as in uWSGI, whose workers without a master are forked by worker 1 and never replaced.
"""

from __future__ import annotations

import gc
import os
import platform
import re
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Callable, NoReturn, Optional

import gevent
from gevent import get_hub, monkey

from .. import EMULATED_UWSGI, __version__
from ..config.config import load
from ..errors import AppLoadError, ConfigError, GeuwsgiError
from ..log import log
from ..shared.scoreboard import Scoreboard
from . import environment, files, handover, originals, rules, settings
from .certificates import Certificates
from .daemonize import Daemonizing, daemonize, log_path
from .daemons import Daemons
from .ending import EXIT_RELOAD, leave
from .fifo import MasterFifo
from .front import Front, front
from .handover import Handover, Launch
from .hooks import Hooks
from .interruption import STOPPING, Interrupted, interrupt
from .output import replace_output
from .sockets import Sockets

if TYPE_CHECKING:
    from ..api.signal import SignalLink
    from ..config.config import Config
    from ..server.loader import Mount
    from ..server.routes.engine import Routes
    from ..server.settings import ServerSettings
    from ..shared.signaltable import SignalTable
    from .channels import Meeting


def run(config: Config) -> int:
    """Serve what the configuration asks for, until a signal ends it.

    Does not return, but ends the process, see `leave`. The exit status is 0 after a stop that was asked for, 1 after an error, which is in
    the log by then, and 128 + its number after a signal during the start.

    Raises:
        ConfigError: values that do not go together; nothing has happened yet.
    """
    instance = Instance(config)
    status = 1
    try:
        instance.start()
        status = instance.serve()
    except GeuwsgiError as error:
        _tell(error)
    except Interrupted as error:
        log(f"geuwsgi: {signal.Signals(error.number).name} during the start, nothing was served")
        status = 128 + error.number
    except BaseException:  # a mistake of ours: whatever it is, daemons and files do not stay behind
        log(traceback.format_exc().rstrip("\n"))
    if status == EXIT_RELOAD:
        _again(instance)
        status = 1
    if status:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)  # they have had their effect
    instance.tidy()
    if not status:
        log("goodbye to geuwsgi.")
    leave(status)


def _tell(error: GeuwsgiError) -> None:
    if isinstance(error, AppLoadError) and error.traceback_text:
        log(error.traceback_text)
    log(f"geuwsgi: {error}")


def _again(instance: Instance) -> None:
    """The reload of a server without a master; returns only when it fails."""
    try:
        reloads = instance.inherited.reloads + 1
        meeting, pems = instance.meeting_directory(), instance.certificates.keep()
        instance.launch.again(Handover(reloads, instance.sockets.for_next_image(), meeting=meeting, pems=pems))
    except OSError as error:
        log(f"geuwsgi: cannot execute {instance.launch.argv[0]}: {error.strerror}")


def _understand(config: Config) -> tuple[settings.ProcessSettings, ServerSettings, Hooks, Optional[Front]]:
    """What a configuration means, all of it, before anything is done: a reload asks this first, since afterwards there is no way back.

    Raises:
        ConfigError: values that do not go together.
    """
    return settings.process_settings(config), settings.server_settings(config), Hooks(config), front(config)


def _keep_what_is_there() -> None:
    """What was imported stays: no garbage collection looks at it again, nor writes to memory that workers share.

    An application of Django's size makes a full collection 30 milliseconds longer, in which no player hears anything.
    """
    gc.collect()
    if hasattr(gc, "freeze"):  # not on PyPy
        gc.freeze()


class Instance:
    """Everything that the start makes and the end undoes.

    Attributes:
        config: what was asked for.
        settings: the part of it that concerns processes.
        server_settings: the part of it that concerns the server of each worker.
        hooks: what is to be done when.
        launch: how to do it again.
        inherited: what the image before a reload has left; empty at first.
        failed: the start after a reload has failed, and the workers of before go on.
        failed_files: sources whose change may mend that.
        interrupted: the signal that ended the start after a reload, 0 without one.
        sockets: those that it listens on.
        certificates: what is shown at TLS addresses.
        mounts: the loaded applications; empty in a master with `--lazy-apps`.
        routes: the rules of the internal routing, None without any.
        daemons: attached ones.
        fifo: the pipe that takes commands, if one was asked for.
        meeting: where the workers' channels meet.
        signals: the signal framework; None without a master that the application may know of.
        old_signals: the file of the table that the workers of before a reload have; -1 without.
        scoreboard: what the workers are doing.
        front: the backends that requests are forwarded to, if some are.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.settings, self.server_settings, self.hooks, self.front = _understand(config)
        self.launch = Launch()
        self.inherited = handover.take(os.environ) or Handover()
        self.failed = False
        self.failed_files: list[str] = []
        self.interrupted = 0
        self.certificates = Certificates(self.inherited.pems)
        self.scoreboard = Scoreboard(self.settings.processes)
        self.sockets = Sockets(self.inherited.sockets)
        self.mounts: list[Mount] = []
        self.routes: Optional[Routes] = None
        self.daemons = Daemons(self.inherited.daemons)
        self.meeting: Optional[Meeting] = None
        self.signals: Optional[SignalLink] = None
        self.old_signals = -1
        self.fifo: Optional[MasterFifo] = None
        self.pidfile = ""
        self.safe_pidfile = ""
        self.announced = False
        self._daemonizing: Optional[Daemonizing] = None
        self.logto = ""
        self.ready_file = ""

    def start(self) -> None:
        """Everything up to the workers.

        Raises:
            ConfigError: something that was asked for cannot be done.
            AppLoadError: the application cannot be imported.
        """
        for number in STOPPING:
            signal.signal(number, interrupt)
        if not self.inherited.workers:
            self._start()
            return
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
            self._start()
        except GeuwsgiError as error:
            _tell(error)
            self.failed = True
            self.failed_files = re.findall(r'^ *File "([^"]+)", line', getattr(error, "traceback_text", ""), re.MULTILINE)
        except Interrupted as error:
            self.failed = True
            self.interrupted = error.number

    def _start(self) -> None:
        if any(one.option == "https-dev" for one in self.settings.addresses):
            # Before the patching, after which the program would be waited for in the hub.
            self.certificates.make()
        self._prepare_environment()
        if self.settings.monkey_patch:
            monkey.patch_all()
        # Only now: they see the patched standard library.
        from ..api import module
        from ..server import forked, loader, routing  # noqa: F401 - all of ours, before --chroot and --uid may put it out of reach
        from . import master, pypy, worker  # noqa: F401
        from .channels import Meeting, import_backend
        from .sharing import shared_areas

        if self.settings.monkey_patch and originals.CAN_FORK:
            os.fork = forked.hear_of_every_end(os.fork)
        import_backend(self.config)
        log(
            f"*** Starting geuwsgi {__version__} (emulating uWSGI {EMULATED_UWSGI}) on [{time.ctime()}], "
            f"{platform.python_implementation()} {platform.python_version()}, gevent {gevent.__version__} ***"
        )
        for warning in self.config.warnings:
            log(warning)
        self.routes = rules.compiled(self.config, settings.gateway_settings(self.config), self.settings.master)
        # First: a certificate that cannot be used must not cost a socket that was just taken over from the image before.
        certificates = self.certificates.load(self.settings.addresses)
        self.sockets.open(self.config, self.settings, certificates, self.front is not None)
        self.settings.privileges.own(self.sockets.paths())
        self._insist(self.write_pidfile)
        if self.settings.master_fifo:
            self.fifo = MasterFifo(self.settings.master_fifo, self.config.source("master-fifo") or "")
            self.settings.privileges.hand(self.fifo.fd)
        self._change_user()
        self.daemons.want(self.settings.daemons)
        self.meeting = Meeting(self.config, self.settings.processes, self.inherited.meeting)
        told = settings.module_settings(self.config, self.sockets.listeners, self.inherited.reloads > 0)
        self._prepare_signals()
        module.install(told, self.scoreboard, shared_areas(self.config), self.signals)
        self._check_application()
        if self.settings.shared_imports:
            from ..server.loader import import_modules

            import_modules(self.settings.shared_imports)
        if not self.settings.lazy_apps:
            self._load()
        if self._daemonizing is not None:
            self._daemonizing.finish()

    def _prepare_signals(self) -> None:
        from ..api.signal import SignalLink
        from ..shared.signalpipes import SignalPipes
        from ..shared.signaltable import SignalTable

        kept = self.inherited.signals
        if not self.settings.master:
            for fd in kept:
                originals.close(fd)
            return
        if kept:
            self.old_signals = kept[0]
        self.signals = SignalLink(SignalTable(), SignalPipes(self.settings.processes, kept[1:], self.settings.signal_buffer))

    def signal_descriptors(self, table: Optional[SignalTable]) -> list[int]:
        """Those of the signal framework, for the next image; `table` is the one that is followed."""
        return [] if self.signals is None or table is None else [table.fd, *self.signals.pipes.descriptors()]

    def _change_user(self) -> None:
        asked = self.settings
        for phase in ("pre-jail", "post-jail"):
            self.hooks.run(phase)
        asked.privileges.change_root()
        if asked.chdir and asked.privileges.chroot:
            environment.change_directory(asked.chdir, self.config.source("chdir"))
        for phase in ("in-jail", "as-root"):
            self.hooks.run(phase)
        asked.privileges.drop()
        self.hooks.run("as-user")

    def _check_application(self) -> None:
        asked = self.settings
        some = asked.app.module or asked.app.wsgi_file or asked.app.mounts
        files_only = not asked.need_app and (self.server_settings.static.any or rules.route_settings(self.config).rules)
        nothing_served = all(listener.forwards or listener.tells for listener in self.sockets.listeners)
        front_only = not asked.need_app and nothing_served
        if self.routes is not None and nothing_served:
            log("the internal routing has nothing to do: all requests are forwarded, and its rules are for those served here")
        if not some and not files_only and not front_only:
            # uWSGI would start and answer 500 to everything.
            raise AppLoadError("no application: name one with --wsgi-file FILE or --module MODULE:CALLABLE")

    def _load(self) -> None:
        self.hooks.run("pre-app")
        from ..server.loader import load_applications
        from ..server.routing import warn_about_mounts
        from . import pypy

        pypy.run(self.settings.pypy_eval, self.settings.pypy_exec)
        self.mounts = load_applications(self.settings.app)
        warn_about_mounts(self.mounts, self.settings.manage_script_name)
        self.hooks.run("post-app")

    def _prepare_environment(self) -> None:
        config, asked = self.config, self.settings
        started_in = os.getcwd()
        environment.set_variables(asked.env)
        self.hooks.run("asap")
        # A leftover of an earlier run would tell whoever waits for it the wrong address.
        if asked.ready_file:
            self.ready_file = os.path.abspath(asked.ready_file)
            if not self.inherited.sockets:
                files.forget(self.ready_file)
        if asked.pidfile:
            self.pidfile = os.path.abspath(asked.pidfile)
        if asked.safe_pidfile:
            self.safe_pidfile = os.path.abspath(asked.safe_pidfile)
        if asked.umask is not None:
            os.umask(asked.umask)
        self._daemonize()
        if asked.logto:
            self.logto = os.path.abspath(asked.logto)
            self._redirect_log("logto")
        replace_output()
        environment.raise_descriptor_limit()
        if asked.chdir and not asked.privileges.chroot:
            environment.change_directory(asked.chdir, config.source("chdir"))
        if asked.virtualenv:
            environment.activate_virtualenv(asked.virtualenv, config.source("virtualenv"))
        environment.set_python_path(asked.pythonpath, started_in)
        sys.argv[:] = ["uwsgi"]  # as in uWSGI: our options are none of the application's

    def _daemonize(self) -> None:
        option = "daemonize" if self.settings.daemonize else "daemonize2" if self.settings.daemonize2 else ""
        if not option:
            return
        source = self.config.source(option)
        self.logto = log_path(self.config.get(option), option, source)
        if self.inherited.reloads:
            self._redirect_log(option)
        elif option == "daemonize":
            daemonize(self.logto, option, source)
        else:
            self._daemonizing = Daemonizing(self.logto, source)

    def _redirect_log(self, option: str) -> None:
        if not (self.inherited.reloads and environment.logs_to(self.logto)):
            self._insist(lambda: environment.redirect_log(self.logto, self.config.source(option), option))

    def _insist(self, write: Callable[[], None]) -> None:
        """Write what a start cannot do without. A reload can: its user may not be allowed to, or the disk is full by now."""
        try:
            write()
        except ConfigError as error:
            if not self.inherited.reloads:
                raise
            log(f"geuwsgi: {error}")

    def private_descriptors(self) -> list[int]:
        """Those that are for the master and for the next image only."""
        signals = [] if self.signals is None else self.signals.pipes.masters()
        if self.old_signals >= 0:
            signals.append(self.old_signals)
        return [*self.sockets.unclaimed(), *self.daemons.pipes(), *self.certificates.descriptors(), *signals]

    def meeting_directory(self) -> str:
        """Where the channels of all workers meet, those of before a reload included."""
        return self.inherited.meeting if self.meeting is None else self.meeting.own

    def settled(self) -> None:
        """All new workers serve: what only the image before this one needed can go."""
        left = self.sockets.settled()
        if self.settings.vacuum:
            files.remove(left)
        if self.old_signals >= 0:
            originals.close(self.old_signals)
            self.old_signals = -1

    def may_reload(self) -> bool:
        """Whether the configuration, as it is now, is one; if not the log says why.

        With a master the workers of before go on when certificates or rules cannot be used; without one nobody would be left to do so.
        """
        try:
            with handover.in_directory(self.launch.directory):
                config = load(self.launch.arguments, self.launch.environ)
                asked, *_ = _understand(config)
                if not self.settings.supervised:
                    self.certificates.check(config)
                    rules.compiled(config, settings.gateway_settings(config), asked.master)
        except (ConfigError, OSError) as error:
            log(f"geuwsgi: {error}\ngeuwsgi: no reload with this configuration, everything goes on as before")
            return False
        return True

    def write_pidfile(self) -> None:
        """Write the pidfile."""
        # After the sockets: the second start of a running server fails there and leaves the first one's pidfile alone.
        if self.pidfile:
            files.write_pid(self.pidfile, "pidfile", self.config.source("pidfile"))

    def serve(self) -> int:
        """Serve until a signal ends it; the exit status.

        Raises:
            AppLoadError: with `--lazy-apps`, the application cannot be imported.
        """
        _keep_what_is_there()
        if self.settings.supervised or self.inherited.workers:
            from .master import Master

            self.settings.names.set("master")
            return Master(self).run()
        self.settled()
        return self.run_worker(1)

    def run_worker(self, worker_id: int, line: int = -1) -> int:
        """Be a worker; the exit status.

        Args:
            worker_id: 1 to n.
            line: to the master, in a process that was just forked, with signals blocked; -1 without a master.
        Raises:
            AppLoadError: with `--lazy-apps`, the application cannot be imported.
        """
        from ..api import module
        from .worker import Worker

        if line >= 0:
            gevent.reinit()
            loop = get_hub().loop
            if hasattr(loop, "reset_sigchld"):
                loop.reset_sigchld()  # the handler of libev went with all others
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
        else:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, originals.HANDLED)  # which a reload kept waiting
        self.settings.names.set(f"worker {worker_id}")
        if line >= 0 and self.certificates.changed():
            for listener in self.sockets.of(worker_id):
                if listener.tls is not None:
                    listener.tls.reload()
        module.set_worker(worker_id)
        if self.settings.lazy_apps:
            self._load()
            _keep_what_is_there()
        return Worker(self, worker_id, line).run()

    def announce(self) -> None:
        """Tell people and tools that connections are being answered, and where."""
        self.announced = True
        if self.safe_pidfile:
            self._insist(lambda: files.write_pid(self.safe_pidfile, "safe-pidfile", self.config.source("safe-pidfile")))
        where = ", ".join(listener.url for listener in self.sockets.listeners)
        log(f"geuwsgi {__version__} serving {where}")
        if self.ready_file:
            text = "".join((listener.path or listener.address) + "\n" for listener in self.sockets.listeners)
            self._insist(lambda: files.write_atomically(self.ready_file, text, "ready-file", self.config.source("ready-file")))

    def tidy(self) -> None:
        """Undo the start, as far as it got."""
        if self.sockets.listeners:
            self._run_last_hooks()
        self.daemons.stop()
        self.sockets.close()
        self.remove_files()

    def _run_last_hooks(self) -> None:
        try:
            self.hooks.run("as-user-atexit")
        except GeuwsgiError as error:
            _tell(error)

    def abort(self) -> NoReturn:
        """End at once, leaving nothing running or lying about; for a signal handler."""
        self.daemons.kill()
        self.remove_files()
        os._exit(1)

    def remove_files(self) -> None:
        """Remove what no longer is true; safe in a signal handler."""
        if self.meeting is not None:
            self.meeting.end()
        if self.ready_file:
            files.forget(self.ready_file)
        if self.settings.vacuum:
            made = self.sockets.paths()
            if self.pidfile and self.sockets.listeners:
                made.append(self.pidfile)
            if self.safe_pidfile and self.announced:
                made.append(self.safe_pidfile)
            files.remove(made)
