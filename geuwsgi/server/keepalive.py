"""Pings, silent peers and overdue closing handshakes: one greenlet per worker, whatever the number of connections.

It works from flags: a connection only notes that it heard something; the time is looked at here, once per tick, so that
no message pays for a clock.
"""

from __future__ import annotations

import fcntl
import sys
import termios
from typing import TYPE_CHECKING, Any, Callable

import gevent
from gevent import get_hub
from gevent.event import Event

if TYPE_CHECKING:
    from .settings import WebSocketSettings
    from .websocket import WebSocketConnection


def unacknowledged(fd: int) -> int:
    """Bytes handed to a socket that the peer's kernel has not confirmed; 0 where the system does not tell."""
    try:
        return int.from_bytes(fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:
        return 0


class Keepalive:
    """Watches the websockets of one worker.

    Args:
        settings: ping frequency, pong tolerance and time-outs, in seconds.
        report: is told, in one line, why a peer is dropped.
    """

    def __init__(self, settings: WebSocketSettings, report: Callable[[str], None]) -> None:
        self._settings = settings
        self._report = report
        self._connections: set[WebSocketConnection] = set()
        self._some = Event()
        self._greenlet: Any = None
        times = [1.0, settings.close_timeout / 5]
        if settings.ping_freq > 0:
            times += [settings.ping_freq / 10, settings.pong_tolerance / 5]
        #: Seconds between two looks; a tolerance is kept to within one tick.
        self._tick = max(0.02, min(times))

    def __len__(self) -> int:
        return len(self._connections)

    def connections(self) -> list[WebSocketConnection]:
        """The websockets whose TCP connection is up."""
        return list(self._connections)

    def now(self) -> float:
        """The loop's time in seconds, monotonic enough for time-outs and free of a system call."""
        return get_hub().loop.now()

    def add(self, connection: WebSocketConnection) -> None:
        """Watch a connection from now on."""
        connection.ping_due = self.now() + self._settings.ping_freq
        self._connections.add(connection)
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)
            # It serves all: inherited from the first, that request would live as long as the worker.
            self._greenlet.spawn_tree_locals = None
        self._some.set()

    def discard(self, connection: WebSocketConnection) -> None:
        """Watch it no longer."""
        self._connections.discard(connection)

    def note(self, connection: WebSocketConnection, text: str) -> None:
        """Log something about a websocket."""
        self._report(f"websocket of {connection.peer or 'a unix peer'}: {text}")

    def report(self, connection: WebSocketConnection, reason: str) -> None:
        """Log why a websocket is dropped."""
        self._report(f"websocket of {connection.peer or 'a unix peer'} dropped: {reason}")

    def stop(self) -> None:
        """End the greenlet; nothing is watched any longer."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def _run(self) -> None:
        while True:
            if not self._connections:
                self._some.clear()
                self._some.wait()
            gevent.sleep(self._tick)
            self._look(self.now())

    def _look(self, now: float) -> None:
        # Apart from `_run`, whose variables would keep the last connection alive.
        for connection in list(self._connections):
            self._check(connection, now)

    def _check(self, connection: WebSocketConnection, now: float) -> None:
        if connection.close_deadline:
            # Closing: a peer that has sent its close frame answers no ping.
            if now >= connection.close_deadline:
                connection.expired()
            return
        freq = self._settings.ping_freq
        if freq <= 0 or not connection.open:
            return
        if connection.heard:
            connection.heard = False
            connection.ping_sent = 0.0
        if connection.ping_sent:
            if now - connection.ping_sent >= self._settings.pong_tolerance:
                if connection.unread() or connection.ping_delayed():
                    # Its pong, or data, sits in the kernel because this side is behind; or the ping still waits in its turn.
                    connection.ping_sent = now
                else:
                    connection.lost(f"no pong received in {self._settings.pong_tolerance:g} seconds")
        elif now >= connection.ping_due:
            connection.ping_due = now + freq
            connection.ping_sent = now
            connection.ping()
