"""The servers that are compared: how each is started, and what it can do. One row per server.

Every row is started the way its own documentation says for one worker on one core, with request logging off and the same listen
backlog. What a server cannot do (picows has no HTTP, granian's WSGI no websockets) is not asked of it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from process import free_port

PEERS = Path(__file__).resolve().parent / "peers"
BACKLOG = "1024"  # the same for all, except where a scenario wants every server's own


@dataclass(frozen=True)
class Launch:
    """What a command is made from.

    Attributes:
        app: "echo" (with hello) or "room".
        port: the TCP port to listen on at 127.0.0.1; geuwsgi takes one of its own and writes it to ready_file.
        ready_file: where geuwsgi writes the address that it serves.
        python: the interpreter that has geuwsgi.
        native: the compiled C echo.
        backlog: give every server the same listen backlog; otherwise each has its own default.
        cert: a certificate, and `key` its key, for servers that speak TLS.
    """

    app: str
    port: int
    ready_file: str
    python: str
    native: str
    backlog: bool = True
    cert: str = ""
    key: str = ""

    def listen(self, option: str) -> str:
        """The option that sets the listen backlog, as this server calls it; nothing where its own default is wanted."""
        return f"{option} {BACKLOG}" if self.backlog else ""


@dataclass(frozen=True)
class Server:
    """One server.

    Attributes:
        name: for the command line and the JSON.
        title: for tables.
        command: makes the command line.
        can: of "echo", "tls", "workers", "room", "channels", "get".
        env: added to the environment.
        packages: distributions whose versions go into the JSON.
        ready_file: it reports its address in a file; otherwise it is ready when the port accepts.
        redis: it needs a Redis server.
        descriptors: file descriptors it holds per websocket in one process.
        cores: how many cores it is given.
        certificate: it speaks TLS.
    """

    name: str
    title: str
    command: Callable[[Launch], list[str]]
    can: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    ready_file: bool = False
    redis: bool = False
    descriptors: int = 1
    cores: int = 1
    certificate: bool = False


def tool(name: str) -> str:
    """A console script of the environment that runs the benchmarks."""
    return os.path.join(os.path.dirname(sys.executable), name)


def words(text: str) -> list[str]:
    """Options without blanks in their values, written as one would type them."""
    return text.split()


def geuwsgi(extra: str = "", tls: bool = False) -> Callable[[Launch], list[str]]:
    def command(launch: Launch) -> list[str]:
        address = f"--https-socket 127.0.0.1:0,{launch.cert},{launch.key}" if tls else "--http-socket 127.0.0.1:0"
        file = PEERS / ("uwsgi_echo.py" if launch.app == "echo" else "channel_room.py")
        options = words(f"{address} --gevent 20000 --disable-logging {launch.listen('--listen')} {extra}")
        return [launch.python, "-m", "geuwsgi", *options, "--ready-file", launch.ready_file, "--wsgi-file", str(file)]

    return command


def front(backend: str, behind: str, router: str = "") -> Callable[[Launch], list[str]]:
    """A front without an application of its own, and the server behind it.

    Args:
        backend: its address as the front has it.
        behind: the server's options; those of a geuwsgi begin with its name, others are a uWSGI's.
        router: options of uWSGI's router; "" for geuwsgi's front.
    """

    def command(launch: Launch) -> list[str]:
        port = free_port() if router else launch.port
        backlog = launch.listen("--listen")
        program = [launch.python, "-m", "geuwsgi"] if "geuwsgi" in behind else [tool("uwsgi"), "--die-on-term", "--virtualenv", sys.prefix]
        options = words(f"{behind.replace('geuwsgi ', '').format(port=port)} --gevent 20000 --disable-logging {backlog}")
        served = [*program, *options, "--wsgi-file", str(PEERS / "uwsgi_echo.py")]
        to = words(f"--http-to {backend.format(port=port)} --disable-logging {backlog}")
        ahead = [launch.python, "-m", "geuwsgi", "--http", "127.0.0.1:0", *to, "--ready-file", launch.ready_file]
        if router:
            ahead = [tool("uwsgi"), "--master", "--die-on-term", *words(router.format(port=launch.port)), *to]
        return [sys.executable, str(PEERS / "behind.py"), str(port), *served, "--", *ahead]

    return command


def uwsgi(address: str) -> Callable[[Launch], list[str]]:
    def command(launch: Launch) -> list[str]:
        file, extra = ("uwsgi_echo.py", "") if launch.app == "echo" else ("redis_room.py", "--gevent-monkey-patch")
        where = address.format(port=launch.port, cert=launch.cert, key=launch.key)
        options = words(f"{where} --gevent 20000 --disable-logging --die-on-term {launch.listen('--listen')} {extra}")
        return [tool("uwsgi"), *options, "--virtualenv", sys.prefix, "--wsgi-file", str(PEERS / file)]

    return command


def gunicorn(worker: str, module: str) -> Callable[[Launch], list[str]]:
    def command(launch: Launch) -> list[str]:
        options = words(
            f"--bind 127.0.0.1:{launch.port} --workers 1 --worker-class {worker} --worker-connections 20000 --log-level warning"
        )
        return [tool("gunicorn"), *options, *words(launch.listen("--backlog")), "--chdir", str(PEERS), f"{module}:application"]

    return command


def script(file: str) -> Callable[[Launch], list[str]]:
    return lambda launch: [sys.executable, str(PEERS / file), str(launch.port), *words(launch.listen(""))]


def uvicorn(launch: Launch) -> list[str]:
    options = words(
        f"--host 127.0.0.1 --port {launch.port} --loop uvloop --http httptools --ws websockets"
        f" --no-access-log --log-level warning {launch.listen('--backlog')}"
    )
    return [tool("uvicorn"), *options, "--app-dir", str(PEERS), "asgi_app:application"]


def granian(interface: str, module: str) -> Callable[[Launch], list[str]]:
    def command(launch: Launch) -> list[str]:
        options = words(
            f"--interface {interface} --host 127.0.0.1 --port {launch.port} --workers 1"
            f" --no-access-log --log-level warning {launch.listen('--backlog')}"
        )
        return [tool("granian"), *options, "--working-dir", str(PEERS), f"{module}:application"]

    return command


def hypercorn(launch: Launch) -> list[str]:
    options = words(f"--bind 127.0.0.1:{launch.port} --workers 1 --worker-class uvloop {launch.listen('--backlog')}")
    config = ["--config", str(PEERS / "hypercorn.toml")]
    return [tool("hypercorn"), *config, *options, "--log-level", "error", f"{PEERS / 'asgi_app.py'}:application"]


SERVERS = (
    Server(
        "geuwsgi",
        "geuwsgi",
        geuwsgi(),
        ("echo", "workers", "room", "channels", "get", "h2"),
        packages=("geuwsgi", "gevent", "h2"),
        ready_file=True,
    ),
    Server("geuwsgi-pure", "geuwsgi, pure Python", geuwsgi(), ("echo", "room", "get"), env={"GEUWSGI_PURE": "1"}, ready_file=True),
    Server(
        "geuwsgi-2", "geuwsgi, two workers on two cores", geuwsgi("--master --processes 2"), ("room", "workers"), ready_file=True, cores=2
    ),
    Server("geuwsgi-tls", "geuwsgi --https-socket", geuwsgi(tls=True), ("tls",), packages=("geuwsgi",), ready_file=True, certificate=True),
    Server(
        "uwsgi-https",
        "uWSGI --https --http-websockets --gevent",
        uwsgi("--https 127.0.0.1:{port},{cert},{key} --http-websockets"),
        ("tls",),
        packages=("uwsgi",),
        descriptors=2,
        certificate=True,
    ),
    Server(
        "geuwsgi-front",
        "geuwsgi --http --http-to, before uWSGI --socket --gevent",
        front("127.0.0.1:{port}", "--socket 127.0.0.1:{port}"),
        ("echo", "get"),
        ready_file=True,
        descriptors=2,
    ),
    Server(
        "geuwsgi-front-http",
        "geuwsgi --http --http-to http:, before geuwsgi --http-socket",
        front("http://127.0.0.1:{port}", "geuwsgi --http-socket 127.0.0.1:{port}"),
        ("echo", "get"),
        ready_file=True,
        descriptors=2,
    ),
    Server(
        "uwsgi-front-geuwsgi",
        "uWSGI --http --http-to, before geuwsgi --socket",
        front("127.0.0.1:{port}", "geuwsgi --socket 127.0.0.1:{port}", "--http 127.0.0.1:{port} --http-websockets --http-keepalive"),
        ("echo", "get"),
        descriptors=2,
    ),
    Server("c-epoll", "C, epoll (the limit)", lambda launch: [launch.native, str(launch.port)], ("echo", "workers", "room", "get")),
    Server(
        "c-epoll-2", "C, epoll, two processes on two cores", lambda launch: [launch.native, str(launch.port), "2"], ("workers",), cores=2
    ),
    Server("picows", "picows on uvloop", script("picows_app.py"), ("echo", "room"), packages=("picows", "uvloop")),
    Server(
        "uwsgi-http-socket", "uWSGI --http-socket --gevent", uwsgi("--http-socket 127.0.0.1:{port}"), ("echo", "get"), packages=("uwsgi",)
    ),
    Server(
        "uwsgi-http",
        "uWSGI --http --http-websockets --gevent",
        uwsgi("--http 127.0.0.1:{port} --http-websockets"),
        ("echo",),
        descriptors=2,  # the router holds the client's and the worker's
    ),
    Server(
        "uwsgi-keepalive",
        "uWSGI --http --http-keepalive --gevent",
        uwsgi("--http 127.0.0.1:{port} --http-keepalive"),
        ("get",),
        descriptors=2,
    ),
    Server(
        "uwsgi-redis",
        "uWSGI --http-socket --gevent, a Redis subscription each",
        uwsgi("--http-socket 127.0.0.1:{port}"),
        ("room",),
        packages=("redis",),
        redis=True,
        descriptors=2,
    ),
    Server("uvicorn", "uvicorn (uvloop, httptools) + websockets", uvicorn, ("echo", "room", "get"), packages=("uvicorn", "websockets")),
    Server("hypercorn", "hypercorn on uvloop", hypercorn, ("h2",), packages=("hypercorn", "h2")),
    Server("granian", "granian, WSGI", granian("wsgi", "wsgi_hello"), ("get",), packages=("granian",)),
    Server("granian-asgi", "granian, ASGI", granian("asgi", "asgi_app"), ("echo", "room")),
    Server(
        "gevent-websocket", "gevent-websocket", script("gevent_websocket_app.py"), ("echo", "room", "get"), packages=("gevent-websocket",)
    ),
    Server(
        "gunicorn-websocket",
        "gunicorn, gevent-websocket worker",
        gunicorn("geventwebsocket.gunicorn.workers.GeventWebSocketWorker", "gevent_websocket_app"),
        ("echo", "room"),
        packages=("gunicorn",),
    ),
    Server("gunicorn", "gunicorn, gevent worker", gunicorn("gevent", "wsgi_hello"), ("get",)),
)


def by_name(names: list[str]) -> list[Server]:
    """The servers of these names, in the order of the table.

    Raises:
        KeyError: a name that is in no row.
    """
    known = {server.name for server in SERVERS}
    for name in names:
        if name not in known:
            raise KeyError(name)
    return [server for server in SERVERS if server.name in names]
