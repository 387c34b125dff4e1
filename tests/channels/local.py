"""Hubs in the test's own process, with real websockets on socket pairs as their members."""

from __future__ import annotations

import socket as stdlib_socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Optional

import gevent
from gevent import monkey

from geuwsgi.channels.hub import ChannelHub
from geuwsgi.channels.settings import ChannelSettings
from geuwsgi.channels.unix import UnixBackend
from geuwsgi.protocol.deflate import DeflateParameters
from geuwsgi.server.keepalive import Keepalive
from geuwsgi.server.settings import WebSocketSettings
from geuwsgi.server.stream import SocketStream
from geuwsgi.server.websocket import WebSocketConnection
from geuwsgi.server.writer import spread

_socketpair = monkey.get_original("socket", "socketpair")

WEBSOCKET = WebSocketSettings(ping_freq=0, close_timeout=1)


class Client:
    """A websocket and the far end of its socket, from which frames are read.

    Attributes:
        connection: what a hub takes as a member.
        far: the peer's socket, blocking for nobody.
    """

    def __init__(self, keepalive: Keepalive, deflate: Optional[DeflateParameters] = None, send_buffer: int = 0, **settings: Any) -> None:
        near, self.far = _socketpair()

        if send_buffer:
            near.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_SNDBUF, send_buffer)
        self.far.setblocking(False)
        chosen = WebSocketSettings(**{"ping_freq": 0, "close_timeout": 1, **settings})
        self.connection = WebSocketConnection(SocketStream(near.detach(), near.family), "test", chosen, keepalive, deflate)
        self._buffer = bytearray()
        #: (opcode with the FIN and RSV1 bits, payload) of every frame so far.
        self.frames: list[tuple[int, bytes]] = []
        #: The messages among them.
        self.messages: list[bytes] = []

    def read(self) -> list[tuple[int, bytes]]:
        """Every frame that has come until now."""
        while True:
            try:
                data = self.far.recv(1 << 20)
            except BlockingIOError:
                break
            except OSError:
                break
            if not data:
                break
            self._buffer += data
        buffer = self._buffer
        while len(buffer) >= 2:
            size, start = buffer[1], 2
            if size == 126:
                size, start = int.from_bytes(buffer[2:4], "big"), 4
            elif size == 127:
                size, start = int.from_bytes(buffer[2:10], "big"), 10
            if len(buffer) < start + size:
                break
            self.frames.append((buffer[0], bytes(buffer[start : start + size])))
            if buffer[0] & 15 in (1, 2):
                self.messages.append(self.frames[-1][1])
            del buffer[: start + size]
        return self.frames

    def payloads(self) -> list[bytes]:
        """Every message that has come until now."""
        self.read()
        return self.messages

    def hear(self, count: int, deadline: float = 20.0) -> list[bytes]:
        """Wait until so many messages have come; all of them so far."""
        with gevent.Timeout(deadline, False):
            while len(self.payloads()) < count:
                gevent.sleep(0.001)
        assert len(self.messages) >= count, f"{len(self.messages)} of {count} messages"
        return self.messages

    def vanish(self) -> None:
        """The peer is gone."""
        self.far.close()

    def finish(self) -> None:
        """The request is over."""
        self.far.close()
        self.connection.finish(None)


@contextmanager
def clients(**defaults: Any) -> Iterator[Callable[..., Client]]:
    """A function that makes clients; all are finished at the end."""
    keepalive = Keepalive(WEBSOCKET, lambda line: None)
    made: list[Client] = []

    def make(**options: Any) -> Client:
        made.append(Client(keepalive, **{**defaults, **options}))
        return made[-1]

    try:
        yield make
    finally:
        for client in made:
            client.finish()
        keepalive.stop()
        gevent.sleep(0)


def make_hub(directory: Optional[Path] = None, **settings: Any) -> ChannelHub:
    """A hub that is started; in memory, or one of those that meet in a directory."""
    chosen = ChannelSettings(**settings)
    hub = ChannelHub(chosen, spread) if directory is None else ChannelHub(chosen, spread, lambda ways: UnixBackend(str(directory), ways))
    hub.start()
    return hub


def served(hub: ChannelHub, name: str) -> None:
    """Wait until nothing stands in line in a channel any more: each member has got each message, or it was dropped."""
    with gevent.Timeout(20):
        while name in hub._channels and hub._channels[name].line is not None:
            gevent.sleep(0.001)


def crash(hub: ChannelHub) -> None:
    """What kill -9 does to the sockets of a hub with a unix backend: they close, the name stays, nothing is said."""
    backend: Any = hub.backend
    backend._acceptor.kill()
    backend._listener.close()
    for peer in list(backend._connections):
        for greenlet in peer.greenlets:
            greenlet.kill(block=False)
        peer.close()
    gevent.sleep(0)
