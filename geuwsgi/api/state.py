"""What the fake module knows: its settings, and the server it speaks for. One per process, as `sys.modules` is."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, Callable, Optional, Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

from ..channels.hub import ChannelHub
from ..server.request import Request
from ..shared.lock import UserLocks
from ..shared.scoreboard import Scoreboard
from ..shared.sharedarea import SharedArea

if TYPE_CHECKING:
    from .signal import SignalLink


@dataclass(frozen=True)
class ModuleSettings:
    """What `process/` tells the module about the configuration.

    Attributes:
        opt: `uwsgi.opt`: option as the user spelled it -> True (command-line flag) or bytes; a bare ini flag is b"".
        hostname: the host's name.
        numproc: workers (`--processes`).
        cores: requests a worker serves at once.
        threads: real threads of a worker; 0 where greenlets serve.
        buffer_size: `--buffer-size`, in bytes.
        master: `--master` was given: `masterpid()` is the master's pid instead of 0.
        sockets: the listening descriptors.
        loop: name of the loop engine; uWSGI's is b"gevent" under --gevent, None without an engine.
        worker_id: 1..n in a worker, 0 while still in the master.
        is_a_reload: this is not the first start.
        locks: user locks besides number 0 (`--locks`).
        magic: the placeholders of configuration files, `uwsgi.magic_table`: {b"n": b"bombertab", ...}; empty ones are left out there.
    """

    opt: Mapping[str, Any] = field(default_factory=dict)
    hostname: bytes = b"localhost"
    numproc: int = 1
    cores: int = 1
    threads: int = 0
    buffer_size: int = 4096
    master: bool = False
    sockets: tuple[int, ...] = ()
    loop: Optional[bytes] = b"gevent"
    worker_id: int = 0
    is_a_reload: bool = False
    locks: int = 0
    magic: Mapping[bytes, bytes] = field(default_factory=dict)


class RunningServer(Protocol):
    """What the module asks of `server.Server`.

    Attributes:
        total_requests: requests served since the start, the running ones not counted.
        exceptions: those in which the application raised.
        running: core -> the request it serves.
        environ_extra: added to the environ of every request.
        suspend: called with the request when the application yields an empty chunk.
        after_request: called with each request after its response is complete, or None.
        channels: the named channels of this worker; None until it serves.
        modifiers: who takes uwsgi packets that are no requests.
    """

    total_requests: int
    exceptions: int
    running: dict[int, Request]
    environ_extra: dict[str, Any]
    suspend: Callable[[Request], None]
    after_request: Optional[Callable[[Request], None]]
    channels: Optional[ChannelHub]
    modifiers: dict[int, Callable[[int, bytes], bytes]]


@dataclass
class App:
    """One loaded application, for `workers()`.

    Attributes:
        mountpoint: "" or "/x".
        application: the callable.
        requests: served by it.
    """

    mountpoint: str
    application: object
    requests: int = 0


class State:
    """The module's state.

    Attributes:
        settings: as given to `install()`.
        scoreboard: what all workers are doing.
        server: as given to `attach()`, None before.
        module: the `uwsgi` module itself.
        master_pid: `masterpid()`: the process that called `install()` under a master, else 0.
        main_pid: the process that called `install()`, whom signals reach that are meant for the whole server.
        worker_id: `worker_id()`; `process/` sets it after a fork.
        started_on: `time.time()` of `install()`.
        requests_before: served by earlier processes with this worker's number.
        locks: behind `lock()`.
        areas: the shared areas, by number.
        apps: what `attach()` was told.
        deadlines: request -> `time.time()` of its end, as the application has set it; infinite for a request without one.
        numbers: descriptor -> the request that it was given out for by `connection_fd()`.
        transmitted: bytes sent in responses and websockets.
        running_time: microseconds spent in requests.
        average_time: microseconds a request takes, the latest one weighing half, as in uWSGI.
        signals: the way to the master for the signal framework; None without `--master`.
        handlers: signal -> its handler in this process.
        waiters: who sits in `signal_wait`.
        handling: the greenlets of handlers that run.
        received: what `signal_wait` outside of requests has got; `received_by` for requests.
    """

    def __init__(self) -> None:
        self.reset(ModuleSettings())
        self.module: Optional[ModuleType] = None

    def reset(self, settings: ModuleSettings, scoreboard: Optional[Scoreboard] = None) -> None:
        """Begin anew with other settings."""
        self.settings = settings
        self.scoreboard = scoreboard or Scoreboard(settings.numproc)
        self.server: Optional[RunningServer] = None
        self.master_pid = 0
        self.main_pid = os.getpid()
        self.worker_id = settings.worker_id
        self.started_on = time.time()
        self.requests_before = 0
        self.locks = UserLocks(settings.locks)
        self.areas: list[SharedArea] = []
        self.apps: list[App] = []
        self.deadlines: WeakKeyDictionary[Request, float] = WeakKeyDictionary()
        self.numbers: WeakValueDictionary[int, Request] = WeakValueDictionary()
        self.transmitted = 0
        self.running_time = 0
        self.average_time = 0
        self.signals: Optional[SignalLink] = None
        self.handlers: dict[int, Callable[[int], Any]] = {}
        self.waiters: list[Any] = []
        self.handling: set[Any] = set()
        self.received = 0
        self.received_by: WeakKeyDictionary[Request, int] = WeakKeyDictionary()


state = State()
