"""Websockets on a server in this process: an application as a function of the connection, and a raw client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

import gevent
import gevent.socket

from geuwsgi.errors import ConnectionClosed
from geuwsgi.server.keepalive import Keepalive
from geuwsgi.server.request import find_request
from geuwsgi.server.settings import WebSocketSettings
from geuwsgi.server.upgrade import accept
from geuwsgi.server.websocket import WebSocketConnection
from tests.conformance.client import RawClient
from tests.server.serving import Serving, serving

Talk = Callable[[WebSocketConnection], Any]


class WebSocketServing:
    """The server under test.

    Attributes:
        talks: the connections so far, in order.
    """

    def __init__(self, serving: Serving, talks: list[WebSocketConnection]) -> None:
        self.serving = serving
        self.server = serving.server
        self.talks = talks
        self.clients: list[RawClient] = []

    def open(self, early: bytes = b"", receive_buffer: int = 0, **changes: Any) -> RawClient:
        """A client behind its handshake.

        Args:
            receive_buffer: the kernel's, in bytes; small for a client that must be full soon.
        """
        sock = gevent.socket.socket()
        if receive_buffer:
            sock.setsockopt(gevent.socket.SOL_SOCKET, gevent.socket.SO_RCVBUF, receive_buffer)
        sock.connect(self.serving.listener.sock.getsockname())
        client = RawClient(sock, 20)
        self.clients.append(client)
        client.handshake(early=early, **changes)
        return client


@contextmanager
def websockets(talk: Talk, **options: Any) -> Iterator[WebSocketServing]:
    """Serve `talk(connection)` on every websocket; `options` are WebSocketSettings. At the end `talk.finish()`, if there is one."""
    talks: list[WebSocketConnection] = []

    def application(environ: Any, start_response: Any) -> Any:
        request = find_request()
        assert request is not None
        connection = accept(request)
        talks.append(connection)
        talk(connection)
        return []

    with serving(application, websocket=WebSocketSettings(**options)) as running:
        found = WebSocketServing(running, talks)
        try:
            yield found
        finally:
            for client in found.clients:
                client.sock.close()
            if hasattr(talk, "finish"):
                talk.finish()


class Clock:
    """What the keepalive takes for the time. It goes on when the test says so, so that a busy machine makes nobody late."""

    def __init__(self, keepalive: Keepalive) -> None:
        self.time = keepalive.now()
        self.look = keepalive._look
        keepalive.now = lambda: self.time
        keepalive._look = lambda now: None

    def forward(self, seconds: float) -> None:
        """Let some time pass, and the keepalive look at once; it does not look otherwise."""
        self.time += seconds
        self.look(self.time)


def echo(connection: WebSocketConnection) -> None:
    """Until the end."""
    try:
        while True:
            message = connection.receive()
            connection.send(connection.opcode, message)
    except ConnectionClosed:
        pass
