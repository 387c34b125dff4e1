"""The server of one worker: accepts connections on its listeners, and ends in good order."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional

import gevent

from .. import EMULATED_UWSGI
from ..log import log
from .acceptor import Acceptor, ConnectionGreenlet, Share
from .accesslog import AccessLog
from .cores import Cores
from .filewrapper import FileWrapper
from .forwarded import Trust
from .keepalive import Keepalive
from .transport import Sweeper

if TYPE_CHECKING:
    from .connection import HTTPConnection
    from .listener import Listener
    from .request import Request
    from .settings import ServerSettings

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

#: Websockets told to go each second when a worker retires, at least.
DISMISSALS = 200

#: Seconds that a killed request has to run its `finally` clauses.
KILL_TIMEOUT = 1.0


class Server:
    """Serves a WSGI application.

    Args:
        application: the callable, routing and static files included.
        listeners: bound, listening sockets.
        settings: limits and habits.
        share: the connections of all workers that accept on the same listeners; None where this one is alone.

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
        front: the backends of listeners that forward, or None.
        tunnels: to backends, behind a 101.
        trust: whose word counts for where a request comes from.
        modifiers: who takes uwsgi packets that are no requests: modifier1 -> a function of modifier2 and the block, whose result is
            sent back.
        stopping: `stop` has been called.
        keep_accepting: neither `stop` nor `retire` has been called.
        keep_connections: connections outlive their requests.
        greenlet_class: of the greenlets that serve connections.
    """

    def __init__(
        self, application: Application, listeners: Sequence[Listener], settings: ServerSettings, share: Optional[Share] = None
    ) -> None:
        self.application = application
        self.share = share
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
        self.front: Any = None
        self.tunnels: set[Any] = set()
        self.greenlet_class = ConnectionGreenlet
        self.stopping = False
        self.keep_accepting = True
        self.keep_connections = settings.http.keepalive > 0
        self.cores = Cores(settings.cores)
        self.accesslog = AccessLog(settings.http.log_forwarded_for)
        self.keepalive = Keepalive(settings.websocket, log)
        http = settings.http
        self.trust = Trust(http.forwarded_allow)
        self.modifiers: dict[int, Callable[[int, bytes], bytes]] = {}
        shortest = min(timeout for timeout in (http.keepalive, http.headers_timeout, http.socket_timeout, 4.0) if timeout > 0)
        self.sweeper = Sweeper(min(1.0, max(0.02, shortest / 4)))
        self._listeners = list(listeners)
        self._acceptors: list[Acceptor] = []

    def start(self) -> None:
        """Begin to accept."""
        if self.settings.asyncio:
            from . import aio

            aio.start()
            self.greenlet_class = aio.RequestGreenlet
        if any(listener.tls is not None and "h2" in listener.tls.settings.alpn for listener in self._listeners):
            from .http2 import connection  # noqa: F401 - now, and not while the first client waits
        self.sweeper.start()
        if self.share is not None:
            self.share.set(0)
        self._acceptors = [Acceptor(listener, self) for listener in self._listeners]
        for acceptor in self._acceptors:
            acceptor.start()

    def pause(self) -> None:
        """Accept nothing until `resume`; connections wait in the kernel."""
        for acceptor in self._acceptors:
            acceptor.retire()
        if self.share is not None:
            self.share.withdraw()

    def resume(self) -> None:
        """Accept again."""
        if self.keep_accepting:
            if self.share is not None:
                self.share.set(len(self.connections))
            for acceptor in self._acceptors:
                acceptor.resume()

    def retire(self, mercy: float, spread: float) -> None:
        """Make room for another process that accepts on the same sockets; returns when the last client has left. `stop` comes after it.

        No new connections. Requests are served to their end, also those that come on connections that are open; websockets are told 1012,
        not all in the same instant, because they will all come back.

        Args:
            mercy: seconds after which it returns with clients still there.
            spread: seconds in which the last websocket is told.
        """
        self._leave_accepting()
        deadline = time.monotonic() + mercy
        for connection in self.connections:
            connection.retire()
        dismissal = gevent.spawn(self._dismiss, min(spread, mercy / 2))
        try:
            while (self.connections or len(self.keepalive)) and time.monotonic() < deadline:
                gevent.sleep(0.02)
        finally:
            dismissal.kill()

    def _dismiss(self, seconds: float) -> None:
        websockets = self.keepalive.connections()
        if websockets:
            pause = min(seconds / len(websockets), 1 / DISMISSALS)
            for websocket in websockets:
                websocket.close(1012, "service restart")
                gevent.sleep(pause)
        while True:  # handshakes of requests that were running
            gevent.sleep(0.05)
            for websocket in self.keepalive.connections():
                websocket.close(1012, "service restart")

    def _leave_accepting(self) -> None:
        self.keep_accepting = False
        self.keep_connections = False
        for acceptor in self._acceptors:
            acceptor.retire()
        if self.share is not None:
            self.share.withdraw()
            self.share = None

    def stop(self, timeout: float, close_listeners: bool = True) -> None:
        """End in good order; returns when all is closed.

        No new connections; idle ones are closed; open websockets are told 1001; running requests have time to finish.

        Args:
            timeout: seconds until what still runs is killed.
            close_listeners: close the listening sockets, too; connections that wait there are lost.
        """
        self.stopping = True
        self._leave_accepting()
        for websocket in self.keepalive.connections():
            websocket.close(1001, "server is shutting down")
        for tunnel in self.tunnels:
            tunnel.finish()
        for connection in list(self.connections):
            connection.stop()
        deadline = time.monotonic() + timeout
        self._wait(deadline)
        left = [greenlet for connection in self.connections for greenlet in connection.greenlets()]
        if left:
            log(f"{len(self.connections)} connections did not end within {timeout:g} seconds: killed")
            gevent.killall(left, block=False)
            gevent.joinall(left, timeout=KILL_TIMEOUT)
        for connection in list(self.connections):
            connection.abandon()
        if close_listeners:
            for acceptor in self._acceptors:
                acceptor.close()
        if self.front is not None:
            self.front.close()
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

    def admit(self, connection: HTTPConnection) -> None:
        """A connection was accepted."""
        self.connections.add(connection)
        if self.share is not None:
            self.share.accepted(len(self.connections))

    def forget(self, connection: HTTPConnection) -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        if self.share is not None:
            self.share.set(len(self.connections))

    def environ_template(self, listener: Listener) -> dict[str, Any]:
        """What all environs of a listener share."""
        settings = self.settings
        secure = {} if listener.tls is None else {"HTTPS": "on", "wsgi.url_scheme": "https"}
        return {
            "SCRIPT_NAME": "",
            "SERVER_NAME": settings.server_name,
            # PEP 3333 wants a port; a unix socket has none, and behind it is usually a proxy on 80.
            "SERVER_PORT": str(listener.port) if listener.port else "80",
            "REMOTE_ADDR": "",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": settings.threads > 0,
            "wsgi.multiprocess": settings.multiprocess,
            "wsgi.run_once": False,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.input_terminated": True,
            "uwsgi.version": EMULATED_UWSGI.encode(),
            "uwsgi.node": settings.server_name.encode("utf-8", "surrogateescape"),
            **secure,
            **self.environ_extra,
        }


def _no_suspend(request: Request) -> None:
    """Without the async API there is nothing to wait for; others get their turn, as in uWSGI."""
    gevent.sleep(0)
