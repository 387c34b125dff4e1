"""The fake `uwsgi` module: builds it, puts it into `sys.modules`, and links it with the running server.

    from geuwsgi.api import module
    module.install(ModuleSettings(opt=..., cores=...))    before the application is imported
    module.attach(server)                                 in the worker, once the server object exists
    module.call_post_fork_hook()                          in the worker after a fork
    module.call_atexit()                                  when the worker ends
"""

from __future__ import annotations

import os
import sys
import traceback
from types import ModuleType

from ..log import log
from .state import ModuleSettings, RunningServer, state

__all__ = ["ModuleSettings", "RunningServer", "attach", "call_after_req_hook", "call_atexit", "call_post_fork_hook", "install", "set_worker"]


class UwsgiModule(ModuleType):
    """`uwsgi`: plain attributes, and `env`, which is another one in every request."""


def install(settings: ModuleSettings) -> ModuleType:
    """Put a fresh `uwsgi` module into `sys.modules`, and make `uwsgidecorators` importable. Call it before the application is imported."""
    state.settings = settings
    state.server = None
    state.master_pid = os.getpid() if settings.master else 0
    state.worker_id = settings.worker_id
    module = state.module = UwsgiModule("uwsgi")
    sys.modules["uwsgi"] = module
    return module


def attach(server: RunningServer) -> None:
    """Link the module with the server whose requests it answers for."""
    state.server = server


def set_worker(worker_id: int) -> None:
    """Tell the module, after a fork, which worker it is in."""
    state.worker_id = worker_id


def call_post_fork_hook() -> None:
    """Run `uwsgi.post_fork_hook` if the application set one; a failure is logged."""
    _call("post_fork_hook")


def call_atexit() -> None:
    """Run `uwsgi.atexit` if the application set one; a failure is logged."""
    _call("atexit")


def call_after_req_hook() -> None:
    """Run `uwsgi.after_req_hook` if the application set one; a failure is logged."""
    _call("after_req_hook")


def _call(name: str) -> None:
    hook = getattr(state.module, name, None)
    if hook is None:
        return
    try:
        hook()
    except Exception:
        log(traceback.format_exc().rstrip("\n"))
