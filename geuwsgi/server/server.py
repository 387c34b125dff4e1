"""The server of one worker: accepts connections on its listeners, and ends in good order."""

from __future__ import annotations

import errno
import socket as stdlib_socket
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional

import gevent
from gevent.server import StreamServer

from ..log import log
from .accesslog import AccessLog
from .connection import HTTPConnection
from .cores import Cores
from .filewrapper import FileWrapper
from .keepalive import Keepalive
from .transport import Sweeper

if TYPE_CHECKING:
    from .listener import Listener
    from .request import Request
    from .settings import ServerSettings

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

#: The emulated release, as uwsgi.version in the environ.
UWSGI_VERSION = b"2.0.31"

#: `accept` fails with these until somebody closes something: trying again at once would only burn the processor.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


#: Seconds to wait then.
ACCEPT_PAUSE = 0.5

#: Seconds that a killed request has to run its `finally` clauses.
KILL_TIMEOUT = 1.0


class ConnectionGreenlet(gevent.Greenlet):  # type: ignore[type-arg]  # not generic at run time
    """Serves one connection. A Greenlet, since applications link to the current one; without the stack of its creator,
    which gevent would keep with each."""

    spawning_stack_limit = 0


class Acceptor(StreamServer):
    """Accepts on one listener.

    Args:
        listener: what to accept on.
        server: whose connections they become.
    """

    def __init__(self, listener: Listener, server: Server) -> None:
        self._server = server
        self._exhausted = False
        self.template = server.environ_template(listener)
        self.tcp = listener.sock.family != stdlib_socket.AF_UNIX
        super().__init__(_gevent_socket(listener.sock), self.do_handle)

    def do_handle(self, *accepted: Any) -> None:
        """Start the greenlet of an accepted connection. Runs in the hub.

        Not gevent's own, which keeps the socket and two more frames for as long as the connection lives: a websocket may
        stay for days.
        """
        sock, address = accepted
        template = self.template.copy()
        if self.tcp:
            template["REMOTE_ADDR"] = address[0]
            template["REMOTE_PORT"] = str(address[1])
            try:
                sock.setsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NODELAY, 1)
            except OSError:
                pass  # the client has left already, on systems that tell so here
        connection = HTTPConnection(sock, self._server, template)
        self._server.connections.add(connection)
        connection.greenlet = ConnectionGreenlet.spawn(connection.serve)

    def do_read(self) -> Any:
        try:
            accepted = super().do_read()
        except OSError as error:
            if error.errno == errno.ECONNABORTED:
                return None
            if error.errno not in _EXHAUSTED:
                raise
            if not self._exhausted:
                self._exhausted = True
                log(f"cannot accept connections for the moment: {error.strerror}; they wait in the backlog")
            self.stop_accepting()
            gevent.spawn_later(ACCEPT_PAUSE, self._start_again)
            return None
        if accepted:
            self._exhausted = False
        return accepted

    def _start_again(self) -> None:
        if self.started and not self._server.stopping:
            self.start_accepting()


class Server:
    """Serves a WSGI application.

    Args:
        application: the callable, routing and static files included.
        listeners: bound, listening sockets.
        settings: limits and habits.

    Attributes:
        application: may be replaced while running.
        settings: as given.
        running: core -> the request it serves.
        connections: those that speak HTTP or belong to a running request.
        total_requests: requests served since the start, the running ones not counted.
        exceptions: those in which the application raised.
        last_id: the number given to the latest request.
        log_requests: whether requests are logged.
        environ_extra: added to the environ of every request; fill it before `start`.
        suspend: called with the request when the application yields an empty chunk.
        after_request: called with each request after its response is complete, or None.
        keepalive: watches the websockets.
        channels: the named channels of this worker, for the fake module; set by `process/`, as channels are no business of this layer.
        stopping: `stop` has been called.
        keep_connections: connections outlive their requests.
    """

    def __init__(self, application: Application, listeners: Sequence[Listener], settings: ServerSettings) -> None:
        self.application = application
        self.settings = settings
        self.running: dict[int, Request] = {}
        self.connections: set[HTTPConnection] = set()
        self.total_requests = 0
        self.exceptions = 0
        self.last_id = 0
        self.log_requests = settings.log_requests
        self.environ_extra: dict[str, Any] = {}
        self.suspend: Callable[[Request], None] = _no_suspend
        self.after_request: Optional[Callable[[Request], None]] = None
        self.channels: Any = None
        self.stopping = False
        self.keep_connections = settings.http.keepalive > 0
        self.cores = Cores(settings.cores)
        self.accesslog = AccessLog()
        self.keepalive = Keepalive(settings.websocket, log)
        http = settings.http
        shortest = min(timeout for timeout in (http.keepalive, http.headers_timeout, http.socket_timeout, 4.0) if timeout > 0)
        self.sweeper = Sweeper(min(1.0, max(0.02, shortest / 4)))
        self._listeners = list(listeners)
        self._acceptors: list[Acceptor] = []

    def start(self) -> None:
        """Begin to accept."""
        self.sweeper.start()
        self._acceptors = [Acceptor(listener, self) for listener in self._listeners]
        for acceptor in self._acceptors:
            acceptor.start()

    def stop(self, timeout: float) -> None:
        """End in good order; returns when all is closed.

        No new connections; idle ones are closed; open websockets are told 1001; running requests have time to finish.

        Args:
            timeout: seconds until what still runs is killed.
        """
        self.stopping = True
        self.keep_connections = False
        for acceptor in self._acceptors:
            acceptor.stop_accepting()
        for websocket in self.keepalive.connections():
            websocket.close(1001, "server is shutting down")
        for connection in list(self.connections):
            if connection.idle:
                connection.greenlet.kill(block=False)
        deadline = time.monotonic() + timeout
        self._wait(deadline)
        left = [connection.greenlet for connection in self.connections]
        if left:
            log(f"{len(left)} connections did not end within {timeout:g} seconds: killed")
            gevent.killall(left, block=False)
            gevent.joinall(left, timeout=KILL_TIMEOUT)
        for connection in list(self.connections):
            connection.abandon()
        for acceptor in self._acceptors:
            acceptor.close()
        self.keepalive.stop()
        self.sweeper.stop()
        self.accesslog.flush()

    def _wait(self, deadline: float) -> None:
        """Until all connections have ended, or the deadline has come."""
        left = deadline - time.monotonic()
        greenlets = [connection.greenlet for connection in self.connections]
        if greenlets and left > 0:
            gevent.joinall(greenlets, timeout=left)
        while len(self.keepalive) and time.monotonic() < deadline:
            gevent.sleep(0.01)

    def forget(self, connection: HTTPConnection) -> None:
        """A connection has ended."""
        self.connections.discard(connection)

    def environ_template(self, listener: Listener) -> dict[str, Any]:
        """What all environs of a listener share."""
        settings = self.settings
        return {
            "SCRIPT_NAME": "",
            "SERVER_NAME": settings.server_name,
            # PEP 3333 wants a port; a unix socket has none, and behind it is usually a proxy on 80.
            "SERVER_PORT": str(listener.port) if listener.port else "80",
            "REMOTE_ADDR": "",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": settings.multiprocess,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
            "uwsgi.version": UWSGI_VERSION,
            "uwsgi.node": settings.server_name.encode("utf-8", "surrogateescape"),
            **self.environ_extra,
        }


def _no_suspend(request: Request) -> None:
    """Without the async API there is nothing to wait for; others get their turn, as in uWSGI."""
    gevent.sleep(0)


def _gevent_socket(sock: Any) -> Any:
    """The listening socket as a gevent socket, whatever kind it is."""
    if hasattr(sock, "_sock") or hasattr(sock, "hub"):
        return sock
    return gevent.socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
