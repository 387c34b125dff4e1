"""The life of a server that is one process: what happens in which order, and that all of it is undone at the end.

    --env, --logto, limits                      as the application, and whoever reads its log, will find them
    --chdir, --virtualenv, --pythonpath
    gevent's monkey patching                    always, and before the application is imported
    listening sockets, pidfile                  connections wait in the backlog from here on
    attached daemons                            the application finds its Redis
    the fake uwsgi module, the application      may fail: one message, exit status 1
    the worker                                  serves until a signal ends it
    daemons stopped, files removed

With `--master` this is still one process, its own master: `uwsgi.masterpid()` is its pid, which is all that applications and
`uwsgidecorators` ask for.
"""

from __future__ import annotations

import atexit
import os
import platform
import signal
import sys
import time
import traceback
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, Optional

import gevent
from gevent import monkey

from .. import EMULATED_UWSGI, __version__
from ..errors import AppLoadError, ConfigError, GeuwsgiError
from ..log import log
from . import environment, files, settings

if TYPE_CHECKING:
    from ..config.config import Config
    from ..server.listener import Listener
    from ..server.loader import Mount
    from .daemons import Daemons


#: The signals that end a start.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


def run(config: Config) -> int:
    """Serve what the configuration asks for, until a signal ends it.

    Does not return, but ends the process, see `_leave`. The exit status is 0 after a stop that was asked for, 1 after an error, which is in
    the log by then, and 128 + its number after a signal during the start.

    Raises:
        ConfigError: values that do not go together; nothing has happened yet.
    """
    process = SingleProcess(config)
    status = 1
    try:
        process.start()
        process.serve()
        status = 0
    except AppLoadError as error:
        if error.traceback_text:
            log(error.traceback_text)
        log(f"geuwsgi: {error}")
    except GeuwsgiError as error:
        log(f"geuwsgi: {error}")
    except _Interrupted as error:
        log(f"geuwsgi: {signal.Signals(error.number).name} during the start, nothing was served")
        status = 128 + error.number
    except BaseException:  # a mistake of ours: whatever it is, daemons and files do not stay behind
        log(traceback.format_exc().rstrip("\n"))
    if status:
        for number in STOPPING:
            signal.signal(number, signal.SIG_IGN)  # they have had their effect
    process.tidy()
    if not status:
        log("goodbye to geuwsgi.")
    _leave(status)


class _Interrupted(KeyboardInterrupt, SystemExit):
    """A signal during the start.

    A KeyboardInterrupt, which applications let pass and gevent hands to the main greenlet, and a SystemExit, whose traceback gevent does
    not print while it does so.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _interrupt(number: int, frame: Optional[FrameType]) -> NoReturn:
    raise _Interrupted(number)


class SingleProcess:
    """Everything that the start makes and the end undoes."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.settings = settings.process_settings(config)
        self.listeners: list[Listener] = []
        self.mounts: list[Mount] = []
        self.daemons: Optional[Daemons] = None
        self.pidfile = ""
        self.ready_file = ""

    def start(self) -> None:
        """Everything up to the worker, loaded and not yet serving.

        Raises:
            ConfigError: something that was asked for cannot be done.
            AppLoadError: the application cannot be imported.
        """
        for number in STOPPING:
            signal.signal(number, _interrupt)
        self._prepare_environment()
        monkey.patch_all()
        # Only now: they see the patched standard library.
        from ..api import module
        from ..server.loader import load_applications
        from .daemons import Daemons

        log(
            f"*** Starting geuwsgi {__version__} (emulating uWSGI {EMULATED_UWSGI}) on [{time.ctime()}], "
            f"{platform.python_implementation()} {platform.python_version()}, gevent {gevent.__version__} ***"
        )
        for warning in self.config.warnings:
            log(warning)
        self._listen()
        self._write_pidfile()
        self.daemons = Daemons(self.settings.daemons, self.config.source("attach-daemon"))
        self.daemons.start()
        module.install(settings.module_settings(self.config, self.listeners))
        self.mounts = load_applications(self.settings.app)
        from .worker import Worker  # brings the server with it

        self.worker = Worker(self)

    def _prepare_environment(self) -> None:
        config, asked = self.config, self.settings
        started_in = os.getcwd()
        environment.set_variables(asked.env)
        # A leftover of an earlier run would tell whoever waits for it the wrong address.
        if asked.ready_file:
            self.ready_file = os.path.abspath(asked.ready_file)
            files.forget(self.ready_file)
        if asked.pidfile:
            self.pidfile = os.path.abspath(asked.pidfile)
        if asked.logto:
            environment.redirect_log(asked.logto, config.source("logto"))
        environment.line_buffer_output()
        environment.raise_descriptor_limit()
        if asked.chdir:
            environment.change_directory(asked.chdir, config.source("chdir"))
        if asked.virtualenv:
            environment.activate_virtualenv(asked.virtualenv, config.source("virtualenv"))
        environment.set_python_path(asked.pythonpath, started_in)
        sys.argv[:] = ["uwsgi"]  # as in uWSGI: our options are none of the application's

    def _listen(self) -> None:
        from ..server.listener import open_listener, systemd_listeners

        asked = self.settings
        handed = systemd_listeners(os.environ)
        for option, address, source in asked.addresses:
            # What systemd has bound already is found by its address, as in uWSGI, or by its number.
            listener = next((listener for listener in handed if listener.is_for(address)), None)
            if listener is not None:
                handed.remove(listener)
            else:
                listener = open_listener(address, asked.backlog, unix_mode=asked.unix_mode, option=option, source=source)
            self.listeners.append(listener)
        self.listeners += handed
        limit = environment.backlog_limit()
        if self.config.given("listen") and asked.backlog > limit:
            log(f"--listen {asked.backlog} is more than the kernel's limit (net.core.somaxconn): the queue is {limit} connections long")
        if not self.listeners:
            raise ConfigError("nowhere to listen: give an address, such as --http :8080")

    def _write_pidfile(self) -> None:
        # After the sockets: the second start of a running server fails there and leaves the first one's pidfile alone.
        if self.pidfile:
            files.write_atomically(self.pidfile, f"{os.getpid()}\n", "pidfile", self.config.source("pidfile"))

    def serve(self) -> None:
        """Serve until a signal ends it."""
        self.worker.run()

    def announce(self) -> None:
        """Tell people and tools that connections are being answered, and where."""
        where = ", ".join(listener.url for listener in self.listeners)
        log(f"geuwsgi {__version__} serving {where}")
        if self.ready_file:
            text = "".join((listener.path or listener.address) + "\n" for listener in self.listeners)
            files.write_atomically(self.ready_file, text, "ready-file", self.config.source("ready-file"))

    def tidy(self) -> None:
        """Undo the start, as far as it got."""
        if self.daemons is not None:
            self.daemons.stop()
        for listener in self.listeners:
            listener.sock.close()
        self.remove_files()

    def abort(self) -> NoReturn:
        """End at once, leaving nothing running or lying about; for a signal handler."""
        if self.daemons is not None:
            self.daemons.kill()
        self.remove_files()
        os._exit(1)

    def remove_files(self) -> None:
        """Remove what no longer is true; safe in a signal handler."""
        if self.ready_file:
            files.forget(self.ready_file)
        if self.settings.vacuum:
            made = [listener.path for listener in self.listeners if listener.path]
            if self.pidfile and self.listeners:
                made.append(self.pidfile)
            files.remove(made)


def _leave(status: int) -> NoReturn:
    """End the process as uWSGI does: functions registered with `atexit` run, threads that never end do not hold it up.

    A normal end of the interpreter would join every thread of the application, which after monkey patching are greenlets that sit in a
    loop around Redis or a queue.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass
    os._exit(status)
