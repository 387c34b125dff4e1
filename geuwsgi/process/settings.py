"""The one place where the configuration becomes settings objects for the layers below, which know nothing of options."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Optional

from ..api.state import ModuleSettings
from ..errors import ConfigError
from ..server.forwarded import parse_allowed
from ..server.gateway.settings import GatewaySettings
from ..server.loader import AppSettings
from ..server.settings import HTTPSettings, ServerSettings, WebSocketSettings
from . import originals
from .addresses import Address, addresses
from .cheaper import CheaperSettings, cheaper_settings
from .cronspec import CronSpec, cron_specs
from .daemonspec import DaemonSpec, daemon_specs
from .names import Names, names
from .privileges import Privileges, privileges
from .rules import pairs, static_settings

if TYPE_CHECKING:
    from ..config.config import Config
    from ..server.listener import Listener


#: What is done when a path of this option changes.
TOUCH = {
    "touch-reload": "reload",
    "fs-reload": "reload",
    "touch-workers-reload": "workers",
    "touch-chain-reload": "chain",
    "touch-logreopen": "log",
}

#: Options that make no sense without a master.
_WATCHED = (
    *TOUCH,
    *("hook-touch", "touch-exec"),
    *("max-requests", "max-worker-lifetime", "reload-on-rss", "reload-on-as", "evil-reload-on-rss", "evil-reload-on-as"),
    *("py-autoreload", "master-fifo", "cheaper", "harakiri"),
)

#: Options that ask for further processes.
_FORKED = (
    *("master", "processes", "daemonize", "daemonize2", "cron", "cron2", "unique-cron"),
    *("attach-daemon", "attach-daemon2", "smart-attach-daemon", "smart-attach-daemon2"),
)


@dataclass(frozen=True)
class ProcessSettings:
    """What the process itself does.

    Attributes:
        addresses: of every listening socket, in the order they are bound.
        backlog: `--listen`.
        reuse_port: every worker has sockets of its own (`--reuse-port`).
        unix_mode: permissions of unix sockets (`--chmod-socket`), None for what the umask leaves.
        daemons: programs to attach.
        crons: commands to run at certain times.
        app: where the applications are.
        need_app: files alone are not enough.
        manage_script_name: see routing.Router.
        env: `--env` assignments.
        chdir: directory to change to, "" for none.
        virtualenv: environment to import from, "" for our own.
        pythonpath: additions to `sys.path`.
        logto: log file, "" for standard error.
        pidfile: file for the pid, "" for none.
        safe_pidfile: the same, written once requests are served.
        ready_file: file for the bound addresses, "" for none.
        vacuum: remove sockets and pidfile at the end.
        die_on_term: SIGTERM is meant to end the server.
        master: the application may know of the master: `masterpid()` is its pid.
        processes: how many workers.
        lazy_apps: each worker loads the application itself.
        monkey_patch: the application sees gevent's version of the standard library.
        shared_imports: what is imported before the workers are made, whoever loads the application.
        pypy_eval: code to run before the application is loaded.
        pypy_exec: files of such code.
        supervised: a master forks the workers and watches them; else this process serves.
        worker_mercy: seconds that a worker has to finish what it is serving when another one takes its place.
        websockets_drain: seconds in which its websockets are told to go.
        max_requests, max_requests_delta, max_lifetime, min_lifetime: requests and seconds of a worker.
        reload_on_rss, reload_on_as, evil_reload_on_rss, evil_reload_on_as: megabytes of a worker; 0 without a limit.
        touch: (what to do, path) pairs of the files to watch.
        autoreload: seconds within which a changed module is noticed; 0 when none is looked at.
        autoreload_ignore: modules that may change.
        master_fifo: paths of the pipes that take commands.
        cheaper: how many workers run.
        harakiri: seconds that a request may take, 0 for any time; `harakiri_verbose`: say more about one that takes longer.
        signal_buffer: bytes of each queue of the signal framework; 0 as the system makes it.
        umask: permissions that new files do not get; None for what it is.
        privileges: whom the server runs as.
        daemonize, daemonize2: log files of a server in the background, "" for none.
        names: of the processes.
    """

    addresses: tuple[Address, ...]
    backlog: int
    reuse_port: bool
    unix_mode: Optional[int]
    daemons: tuple[DaemonSpec, ...]
    crons: tuple[CronSpec, ...]
    app: AppSettings
    need_app: bool
    manage_script_name: bool
    env: tuple[str, ...]
    chdir: str
    virtualenv: str
    pythonpath: tuple[str, ...]
    logto: str
    pidfile: str
    safe_pidfile: str
    ready_file: str
    vacuum: bool
    die_on_term: bool
    master: bool
    processes: int
    lazy_apps: bool
    monkey_patch: bool
    shared_imports: tuple[str, ...]
    pypy_eval: tuple[str, ...]
    pypy_exec: tuple[str, ...]
    supervised: bool
    worker_mercy: float
    websockets_drain: float
    max_requests: int
    max_requests_delta: int
    max_lifetime: float
    min_lifetime: float
    reload_on_rss: int
    reload_on_as: int
    evil_reload_on_rss: int
    evil_reload_on_as: int
    touch: tuple[tuple[str, str], ...]
    autoreload: float
    autoreload_ignore: tuple[str, ...]
    master_fifo: tuple[str, ...]
    cheaper: CheaperSettings
    harakiri: float
    harakiri_verbose: bool
    signal_buffer: int
    umask: Optional[int]
    privileges: Privileges
    daemonize: str
    daemonize2: str
    names: Names


def process_settings(config: Config) -> ProcessSettings:
    """What `run` needs. Raises ConfigError for a value that only makes sense here."""
    if not originals.CAN_FORK:
        _leave_out_processes(config)
    daemons = daemon_specs(config)
    crons = cron_specs(config)
    _http2(config)  # before the application is loaded
    master = _master(config)
    processes: int = config.get("processes")
    return ProcessSettings(
        addresses=addresses(config),
        backlog=config.get("listen"),
        reuse_port=config.get("reuse-port"),
        unix_mode=_unix_mode(config),
        daemons=daemons,
        crons=crons,
        app=app_settings(config),
        need_app=config.get("need-app"),
        manage_script_name=config.get("manage-script-name"),
        env=_variables(config),
        chdir=config.get("chdir") or "",
        virtualenv=config.get("virtualenv") or "",
        pythonpath=tuple(config.get("pythonpath")),
        logto=config.get("logto") or "",
        pidfile=config.get("pidfile") or "",
        safe_pidfile=config.get("safe-pidfile") or "",
        ready_file=config.get("ready-file") or "",
        vacuum=config.get("vacuum"),
        die_on_term=config.get("die-on-term"),
        master=master,
        processes=processes,
        lazy_apps=config.get("lazy-apps"),
        monkey_patch=_monkey_patch(config),
        shared_imports=tuple(config.get("shared-import")),
        pypy_eval=tuple(config.get("pypy-eval")),
        pypy_exec=tuple(config.get("pypy-exec")),
        supervised=master or processes > 1 or any(config.get(name) for name in _WATCHED),
        worker_mercy=config.get("worker-reload-mercy") or config.get("reload-mercy"),
        websockets_drain=config.get("websockets-drain"),
        max_requests=config.get("max-requests"),
        max_requests_delta=config.get("max-requests-delta"),
        max_lifetime=config.get("max-worker-lifetime"),
        min_lifetime=config.get("min-worker-lifetime"),
        reload_on_rss=config.get("reload-on-rss"),
        reload_on_as=config.get("reload-on-as"),
        evil_reload_on_rss=config.get("evil-reload-on-rss"),
        evil_reload_on_as=config.get("evil-reload-on-as"),
        touch=tuple((action, path) for option, action in TOUCH.items() for path in config.get(option)),
        autoreload=config.get("py-autoreload"),
        autoreload_ignore=tuple(config.get("py-autoreload-ignore")),
        master_fifo=tuple(config.get("master-fifo")),
        cheaper=cheaper_settings(config),
        harakiri=config.get("harakiri"),
        harakiri_verbose=config.get("harakiri-verbose"),
        signal_buffer=config.get("signal-bufsize"),
        umask=_umask(config),
        privileges=privileges(config),
        daemonize=config.get("daemonize") or "",
        daemonize2=config.get("daemonize2") or "",
        names=names(config),
    )


def _leave_out_processes(config: Config) -> None:
    """Where the system has no fork (outside of POSIX), one process serves, and says so."""
    asked = [name for name in (*_FORKED, *_WATCHED) if config.given(name)]
    for name in asked:
        config.forget(name)
    if asked:
        config.warnings.append(f"this system has no fork(): one process serves, without {', '.join(asked)}")


def app_settings(config: Config) -> AppSettings:
    """Where the applications are."""
    return AppSettings(
        module=config.get("module") or "",
        wsgi_file=config.get("wsgi-file") or "",
        callable=config.get("callable"),
        mounts=pairs(config, "mount", "/mountpoint=file.py or /mountpoint=module:callable"),
        imports=tuple(config.get("import")),
    )


def server_settings(config: Config) -> ServerSettings:
    """What one worker's server needs."""
    return ServerSettings(
        cores=cores(config),
        threads=threads(config),
        asyncio=bool(config.get("asyncio")),
        auto_gzip=config.get("http-auto-gzip"),
        gzip=config.get("http-gzip"),
        log_requests=not config.get("disable-logging"),
        http=HTTPSettings(
            buffer_size=config.get("buffer-size"),
            keepalive=_keepalive(config),
            headers_timeout=config.get("http-headers-timeout"),
            socket_timeout=_stall_timeout(config),
            async_mode=bool(config.get("async")),
            forwarded_allow=_forwarded_allow(config),
            log_forwarded_for=config.get("log-x-forwarded-for"),
            http2=_http2(config),
            http2_streams=config.get("http2-max-streams"),
        ),
        websocket=WebSocketSettings(
            max_size=config.get("websockets-max-size") * 1024,
            ping_freq=config.get("websockets-ping-freq"),
            pong_tolerance=config.get("websockets-pong-tolerance"),
            deflate=_deflate(config),
            deflate_takeover=config.get("websockets-deflate-takeover"),
            deflate_threshold=config.get("websockets-deflate-threshold"),
        ),
        static=static_settings(config),
        server_name=platform.node() or "localhost",
        multiprocess=config.get("processes") > 1,
    )


def gateway_settings(config: Config) -> GatewaySettings:
    """How the actions `uwsgi:` and `http:` of the internal routing talk to other servers."""
    timeout = _stall_timeout(config)
    connect_timeout = config.get("http-connect-timeout")
    return GatewaySettings(
        timeout=timeout,
        connect_timeout=connect_timeout or timeout,
        chunked_input=config.get("http-chunked-input"),
        variables=(),
    )


def _master(config: Config) -> bool:
    """Whether there is a master that the application may know of. As in uWSGI, programs to be started bring one with them."""
    return bool(config.get("master") or daemon_specs(config) or cron_specs(config))


def module_settings(config: Config, listeners: Sequence[Listener], is_a_reload: bool = False) -> ModuleSettings:
    """What the fake module tells the application."""
    return ModuleSettings(
        is_a_reload=is_a_reload,
        opt=config.opt,
        magic={os.fsencode(name): os.fsencode(value) for name, value in config.magic_table.items()},
        hostname=(platform.node() or "localhost").encode("utf-8", "surrogateescape"),
        numproc=config.get("processes"),
        cores=cores(config),
        threads=threads(config),
        buffer_size=config.get("buffer-size"),
        master=_master(config),
        sockets=tuple(listener.sock.fileno() for listener in listeners),
        loop=_loop(config),
        worker_id=0,  # while the application is loaded; set_worker() follows
        locks=config.get("locks"),
    )


def _deflate(config: Config) -> bool:
    """`--websockets-deflate`, without which the options that refine it would do nothing."""
    if config.get("websockets-deflate"):
        return True
    for name in ("websockets-deflate-takeover", "websockets-deflate-threshold"):
        if config.given(name) and config.get(name) is not False:
            raise ConfigError("does nothing without websockets-deflate; add that, or leave this out", name, None, config.source(name))
    return False


def _http2(config: Config) -> bool:
    """Whether HTTP/2 is spoken in clear text.

    Raises:
        ConfigError: an option that refines it would do nothing.
    """
    there = find_spec("h2") is not None
    wanted = there and not config.get("disable-http2")
    name = "http2-max-streams"
    if config.given(name) and not wanted and not config.get("https2"):
        missing = "disable-http2: leave one of the two out" if there else "the package h2: pip install geuwsgi[http2]"
        raise ConfigError(f"does nothing {'with' if there else 'without'} {missing}", name, None, config.source(name))
    return wanted


def _stall_timeout(config: Config) -> float:
    """The longer of `--http-timeout`, which uWSGI's router has, and `--socket-timeout` of its workers: there is one socket here."""
    given = [config.get(name) for name in ("http-timeout", "socket-timeout") if config.given(name)]
    longest: float = max(given, default=config.get("http-timeout"))
    return longest


def _forwarded_allow(config: Config) -> tuple[str, ...]:
    given: str = config.get("forwarded-allow-ips")
    try:
        return parse_allowed(given)
    except ValueError as error:
        raise ConfigError(str(error), "forwarded-allow-ips", given, config.source("forwarded-allow-ips")) from None


def _keepalive(config: Config) -> float:
    """As asked for. A worker that serves one request at a time keeps no connections by itself: the next request on one might have to
    wait for it while others are free."""
    seconds: float = config.get("http-keepalive") if config.given("http-keepalive") or not config.get("sync") else 0
    return seconds


def cores(config: Config) -> int:
    """Requests served at once: as many as the chosen model says, else the generous default.

    Raises:
        ConfigError: models that exclude each other.
    """
    if config.get("sync"):
        for name in ("threads", *_COOPERATIVE):
            if (config.get(name) or 0) > 1:
                raise ConfigError("sync means one request at a time: leave one of the two out", name, None, config.source(name))
        return 1
    asked: int = threads(config) or next(filter(None, map(config.get, _COOPERATIVE)), 0)
    return asked or ServerSettings.cores


#: Models in which greenlets serve the requests.
_COOPERATIVE = ("gevent", "async", "asyncio")


def threads(config: Config) -> int:
    """`--threads N`: real threads of a worker; 0 where greenlets serve. One thread beside another model is none, as in uWSGI.

    Raises:
        ConfigError: both were asked for.
    """
    asked: int = config.get("threads")
    other = next(filter(config.get, _COOPERATIVE), "")
    if asked > 1 and other:
        raise ConfigError(f"threads and {other} exclude each other: leave one of them out", "threads", str(asked), config.source("threads"))
    return 0 if other else asked


def _monkey_patch(config: Config) -> bool:
    """Whether to patch the standard library: with real threads only on request, since there the application is meant to block.

    Raises:
        ConfigError: not patching does not go together with what else was asked for.
    """
    names = ("gevent-monkey-patch", "gevent-early-monkey-patch")
    wanted: bool = not threads(config) or any(map(config.get, names))
    for name in () if threads(config) else names:
        if config.given(name) and not config.get(name):
            config.warnings.append(f"{name} ({config.source(name)}) has no effect: without threads the standard library is always patched")
    if not wanted and "redis" in (config.get("channel-backend") or "").partition(":")[0]:
        raise ConfigError(
            "with threads, channels over redis need gevent-monkey-patch too, or they would hold up the worker",
            "channel-backend", config.get("channel-backend"), config.source("channel-backend"),
        )  # fmt: skip
    return wanted


def _loop(config: Config) -> Optional[bytes]:
    """The name of the loop engine. uWSGI has none for plain --async and for threads. Without any option it is gevent that serves here."""
    if config.get("asyncio"):
        return b"asyncio"
    if config.get("gevent"):
        return b"gevent"
    return None if config.get("async") or config.get("sync") or threads(config) else b"gevent"


def _variables(config: Config) -> tuple[str, ...]:
    """`--env`, checked here because only here it is known where each one stood."""
    given: list[str] = config.get("env")
    for index, assignment in enumerate(given):
        if not assignment.partition("=")[0].strip():
            raise ConfigError("has no name before the equals sign; write it as NAME=VALUE", "env", assignment, config.source("env", index))
    return tuple(given)


def _umask(config: Config) -> Optional[int]:
    text = config.get("umask")
    if text is None:
        return None
    if not re.fullmatch("[0-7]{1,4}", text) or int(text, 8) > 0o777:
        raise ConfigError("must be octal digits, as in 022", "umask", text, config.source("umask"))
    return int(text, 8)


def _unix_mode(config: Config) -> Optional[int]:
    """`--chmod-socket`: octal digits, checked by then."""
    given: Optional[str] = config.get("chmod-socket")
    return None if given is None else int(given, 8)
