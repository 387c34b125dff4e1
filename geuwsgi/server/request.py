"""One request being served, and how a call of the `uwsgi` module finds it.

A call finds its request through the greenlet it runs in. gevent hands `spawn_tree_locals`, one dict, from the
greenlet that spawns to the one that is spawned, so a greenlet started by the application belongs to the same request.
Raw greenlets carry no such dict; for them the chain of parents is searched.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, Optional

from greenlet import getcurrent

from ..accel import use_compiled

if TYPE_CHECKING:
    from .connection import HTTPConnection
    from .websocket import WebSocketConnection

Environ = dict[str, Any]

#: The key in `spawn_tree_locals` under which a greenlet's request stands.
_KEY = "geuwsgi.request"


class Request:
    """What `uwsgi.request_context()` returns: the state of one request.

    Attributes:
        connection: the HTTP connection that it came on.
        environ: the PEP 3333 environ.
        core: a small integer, unique among the requests being served.
        id: the number of this request in this worker, from 1.
        started: `time.time()` when its head was complete.
        websocket: the connection after `uwsgi.websocket_handshake()`, else None.
        status: the status line given to `start_response`, "" before.
        header_count: response headers sent.
        header_bytes: bytes of the response head sent.
        body_bytes: bytes of the response body sent; on a websocket, bytes of everything after the handshake.
        logvars: what `uwsgi.set_logvar` set.
        log: whether this request is logged (`uwsgi.log_this_request` forces it).
        switches: greenlet switches made while waiting for descriptors.
        finished: True once the application has returned and its iterable is closed.
        waits: descriptors registered by `wait_fd_read` and `wait_fd_write`: (fd, event, timeout) with event 1 or 2.
        sleep: seconds asked for by `async_sleep`, until the next suspend; negative when none.
        descriptor_asked: the application knows the connection's number, which must keep its meaning over a handshake.
        ready_fd: the descriptor that ended the last suspend, -1 on a time-out.
        channel_queues: channels joined by `channel_join`, by name; None before the first.
        at_end: callables run once when the request is over, last in first out.
    """

    __slots__ = (
        "__weakref__",
        "at_end",
        "body_bytes",
        "channel_queues",
        "connection",
        "core",
        "descriptor_asked",
        "environ",
        "finished",
        "header_bytes",
        "header_count",
        "id",
        "log",
        "logvars",
        "ready_fd",
        "sleep",
        "started",
        "status",
        "switches",
        "waits",
        "websocket",
    )

    def __init__(self, connection: HTTPConnection, environ: Environ, core: int, number: int, log: bool) -> None:
        self.connection = connection
        self.environ = environ
        self.core = core
        self.id = number
        self.started = time.time()
        self.websocket: Optional[WebSocketConnection] = None
        self.status = ""
        self.header_count = 0
        self.header_bytes = 0
        self.body_bytes = 0
        self.logvars: Optional[dict[str, bytes]] = None
        self.log = log
        self.switches = 1
        self.finished = False
        self.channel_queues: Optional[dict[str, Any]] = None
        self.descriptor_asked = False
        self.waits: Optional[list[tuple[int, int, float]]] = None
        self.sleep = -1.0
        self.ready_fd = -1
        self.at_end: Optional[list[Callable[[], None]]] = None

    def bind(self, greenlet: Any) -> None:
        """Make this the request of a greenlet and of those it spawns from now on."""
        greenlet.spawn_tree_locals = {_KEY: self}

    def connection_fd(self) -> int:
        """The connection's descriptor.

        Returns:
            on a websocket a number that is readable exactly when `websocket_recv_nb` has something to say, else the
            socket's own; -1 when the connection is gone. Asked for before the handshake, the number stays the same.
        """
        if self.websocket is not None:
            return self.websocket.connection_fd()
        self.descriptor_asked = True
        return int(self.connection.sock.fileno())

    def end(self) -> None:
        """Run what was left for the end of the request; later calls find it finished."""
        self.finished = True
        callbacks, self.at_end = self.at_end, None
        for callback in reversed(callbacks or ()):
            callback()


def find_request() -> Optional[Request]:
    """The request that the calling greenlet works for, or None outside any."""
    greenlet: Any = getcurrent()
    try:
        return greenlet.spawn_tree_locals[_KEY]  # type: ignore[no-any-return]
    except (AttributeError, KeyError, TypeError):
        pass
    while True:
        greenlet = greenlet.parent
        if greenlet is None:
            return None
        found = getattr(greenlet, "spawn_tree_locals", None)
        if found and _KEY in found:
            return found[_KEY]  # type: ignore[no-any-return]


use_compiled(globals(), "Request", "find_request")
