"""The fake `uwsgi` module: builds it, puts it into `sys.modules`, and links it with the running server.

from geuwsgi.api import module
module.install(ModuleSettings(opt=..., cores=...))    before the application is imported
module.attach(server, mounts)                         in the worker, before server.start()
module.set_worker(1)                                  in the worker
module.call_post_fork_hook()                          in the worker after a fork
module.call_atexit()                                  when the worker ends
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from types import ModuleType
from typing import Any, Callable, Optional

from .. import EMULATED_UWSGI
from ..log import log
from ..protocol.uwsgi import SIGNAL
from ..server import suspend
from ..server.request import Request, find_request
from ..server.routes.engine import Routes
from ..server.threads import threaded
from ..shared import scoreboard as board
from ..shared.scoreboard import Scoreboard
from ..shared.sharedarea import SharedArea
from . import async_, channel, context, files, lock, logging, network, process, remotesignal, request, sharedarea, signal, websocket
from .procname import set_process_title
from .signal import SignalLink
from .state import App, ModuleSettings, RunningServer, state

__all__ = [
    "ModuleSettings",
    "RunningServer",
    "attach",
    "call_after_req_hook",
    "call_atexit",
    "call_post_fork_hook",
    "install",
    "serve_routes",
    "set_worker",
    "update_scoreboard",
    "user_deadlines",
]

#: A subsystem that does not exist has no file here, so that its names are absent and `hasattr` tells the truth.
_SUBSYSTEMS: tuple[Any, ...] = (async_, channel, context, files, lock, logging, network, process, request, signal, websocket)

_DECORATORS = "uwsgidecorators"


def install(
    settings: ModuleSettings,
    scoreboard: Optional[Scoreboard] = None,
    areas: Sequence[SharedArea] = (),
    signals: Optional[SignalLink] = None,
) -> ModuleType:
    """Put a fresh `uwsgi` module into `sys.modules`, and make `uwsgidecorators` importable. Call it before the application is imported.

    Args:
        settings: what it tells of the configuration.
        scoreboard: what the workers are doing; one of its own, of which nobody else knows, if None.
        areas: the shared areas, by number.
        signals: the way to the master for the signal framework; None without a master that the application may know of.
    """
    state.reset(settings, scoreboard)
    state.areas = list(areas)
    state.signals = signals
    state.master_pid = os.getpid() if settings.master else 0
    module = state.module = ModuleType("uwsgi", "The API of the uWSGI server, as far as this server has it.")
    names = module.__dict__
    for subsystem in (*_SUBSYSTEMS, sharedarea) if areas else _SUBSYSTEMS:
        for name in subsystem.__all__:
            names[name] = _anywhere(getattr(subsystem, name))
    names.update(_values(settings))
    # `uwsgi.env` is another one in each request. PEP 562 asks here only for names that are not there, so the rest costs nothing.
    names["__getattr__"] = _anywhere(_missing)
    sys.modules["uwsgi"] = module
    sys.modules.pop(_DECORATORS, None)
    if not any(isinstance(finder, _DecoratorsFinder) for finder in sys.meta_path):
        # First, because the package uWSGI may be installed and bring its own.
        sys.meta_path.insert(0, _DecoratorsFinder())
    return module


def _anywhere(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as the application gets it: with `--threads`, callable from all threads."""
    return threaded(function) if state.settings.threads else function


def _values(settings: ModuleSettings) -> dict[str, Any]:
    """The names that are no functions, of the types that they have in uWSGI."""
    return {
        "applications": None,
        "buffer_size": settings.buffer_size,
        "cores": settings.cores,
        "has_threads": 1,  # the interpreter's lock is released wherever Python does, as after --enable-threads
        "hostname": settings.hostname,
        "is_a_reload": settings.is_a_reload,
        "loop": settings.loop,
        "magic_table": {letter: value for letter, value in settings.magic.items() if value},
        "numproc": settings.numproc,
        "opt": dict(settings.opt),
        "sockets": list(settings.sockets),
        "started_on": int(state.started_on),
        "unbit": None,
        "version": EMULATED_UWSGI.encode(),
        "version_info": (*map(int, EMULATED_UWSGI.split(".")), 0, b""),
    }


def _missing(name: str) -> Any:
    if name == "env":
        found = find_request()
        if found is not None:
            return found.environ
    raise AttributeError(f"module 'uwsgi' has no attribute {name!r}")


class _DecoratorsFinder(MetaPathFinder):
    """Finds `uwsgidecorators`. As lazily as any module, because importing it has effects and may be refused."""

    def find_spec(self, fullname: str, path: Any, target: Optional[ModuleType] = None) -> Optional[ModuleSpec]:
        if fullname != _DECORATORS:
            return None
        return spec_from_file_location(fullname, os.path.join(os.path.dirname(__file__), "decorators.py"))


def attach(server: RunningServer, mounts: Iterable[tuple[str, object]] = ()) -> None:
    """Link the module with the server whose requests it answers for. Call it before the server is started.

    Args:
        server: gets the suspend and after-request hooks, and the async extension of the environ.
        mounts: (mountpoint, application) pairs as loaded, for `workers()`.
    """
    state.server = server
    state.apps = [App(mountpoint, application) for mountpoint, application in mounts]
    server.suspend = suspend.suspend
    server.after_request = _after_request
    if state.signals is not None:
        server.modifiers[SIGNAL] = remotesignal.take
    server.environ_extra.update({name: value and _anywhere(value) for name, value in async_.environ_extra().items()})


def serve_routes(routes: Routes, worker_id: int) -> None:
    """Give the rules of the internal routing what they need of this worker."""
    services = routes.services
    services.worker_id = worker_id
    services.sockets = state.settings.sockets
    services.set_harakiri = process.set_user_harakiri
    services.set_process_name = set_process_title
    services.signal = signal.raise_signal


def set_worker(worker_id: int) -> None:
    """Tell the module which worker it is in."""
    state.worker_id = worker_id
    row = state.scoreboard.row(worker_id)
    state.requests_before = row[board.REQUESTS]
    row[board.PID] = os.getpid()
    row[board.LAST_SPAWN] = int(time.time())


def user_deadlines() -> Mapping[Request, float]:
    """`time.time()` of the end of requests, where the application has set one; infinite where it wants none."""
    return state.deadlines


def update_scoreboard() -> None:
    """Write down for the other workers what this one is doing."""
    process.update_row()


def _after_request(finished: Request) -> None:
    state.transmitted += finished.header_bytes + finished.body_bytes
    took = int((time.time() - finished.started) * 1_000_000)
    state.running_time += took
    state.average_time = (state.average_time + took) // 2
    if len(state.apps) > 1:
        point = finished.environ.get("SCRIPT_NAME", "")
        next((app for app in state.apps if app.mountpoint == point), state.apps[0]).requests += 1
    call_after_req_hook()


def call_post_fork_hook() -> None:
    """Run `uwsgi.post_fork_hook` if the application has set one; a failure is logged."""
    _call("post_fork_hook")


def call_atexit() -> None:
    """Run `uwsgi.atexit` if the application has set one; a failure is logged."""
    _call("atexit")


def call_after_req_hook() -> None:
    """Run `uwsgi.after_req_hook` if the application has set one; a failure is logged."""
    _call("after_req_hook")


def _call(name: str) -> None:
    hook = state.module.__dict__.get(name) if state.module is not None else None
    if hook is None:
        return
    try:
        hook()
    except Exception:
        log(f"uwsgi.{name}: the application raised\n" + traceback.format_exc().rstrip("\n"))
