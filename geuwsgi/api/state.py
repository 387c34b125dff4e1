"""What the fake module knows: its settings, and the server it speaks for. One per process, as `sys.modules` is."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Callable, Mapping, Optional, Protocol

from ..server.request import Request


@dataclass(frozen=True)
class ModuleSettings:
    """What `process/` tells the module about the configuration.

    Attributes:
        opt: `uwsgi.opt`: option as the user spelled it -> True (command-line flag) or bytes; a bare ini flag is b"".
        hostname: the host's name.
        numproc: workers (`--processes`).
        cores: requests a worker serves at once.
        buffer_size: `--buffer-size`, in bytes.
        master: `--master` was given: `masterpid()` is the master's pid instead of 0.
        sockets: the listening descriptors.
        loop: name of the loop engine; uWSGI's is b"gevent" under --gevent, None without an engine.
        worker_id: 1..n in a worker, 0 while still in the master.
        threads: application threads are possible (`uwsgi.has_threads`).
    """

    opt: Mapping[str, Any] = field(default_factory=dict)
    hostname: bytes = b"localhost"
    numproc: int = 1
    cores: int = 1
    buffer_size: int = 4096
    master: bool = False
    sockets: tuple[int, ...] = ()
    loop: Optional[bytes] = b"gevent"
    worker_id: int = 1
    threads: bool = True


class RunningServer(Protocol):
    """What the module asks of `server.Server`.

    Attributes:
        total_requests: requests served since the start, the running ones not counted.
        running: core -> the request it serves.
        environ_extra: added to the environ of every request.
        suspend: called with the request when the application yields an empty chunk.
        after_request: called with each request after its response is complete, or None.
    """

    total_requests: int
    running: dict[int, Request]
    environ_extra: dict[str, Any]
    suspend: Callable[[Request], None]
    after_request: Optional[Callable[[Request], None]]


class State:
    """The module's state.

    Attributes:
        settings: as given to `install()`.
        server: as given to `attach()`, None before.
        module: the `uwsgi` module itself.
        master_pid: `masterpid()`: the process that called `install()` under a master, else 0.
        worker_id: `worker_id()`; `process/` sets it after a fork.
        started_on: `time.time()` of the start, whole seconds.
    """

    def __init__(self) -> None:
        self.settings = ModuleSettings()
        self.server: Optional[RunningServer] = None
        self.module: Optional[ModuleType] = None
        self.master_pid = 0
        self.worker_id = 1
        self.started_on = int(time.time())


state = State()
