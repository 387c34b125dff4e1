"""Accepting connections, and sharing them fairly with the other workers that accept on the same socket.

All workers wait for the same listening socket, and whoever wakes first gets the connection: mostly the same one, which then has most of the
websockets for as long as they live. So each worker writes down how many connections it has where the others see it, takes one at a
time, and lets a connection wait for a moment when another worker has fewer. It waits only a few times: the other one may be stopped, or
busy, and the client must not suffer for it.

A worker that serves as many requests as it may takes none at all: a connection that waits in the kernel is served by whichever
worker is free first, one that was accepted would wait for this one.
"""

from __future__ import annotations

import errno
import os
import socket as stdlib_socket
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

import gevent
from gevent.server import StreamServer

from ..log import log
from . import https, proxied
from .connection import HTTPConnection
from .packets import UwsgiConnection
from .redirect import RedirectingConnection
from .transport import EXHAUSTED

if TYPE_CHECKING:
    from .listener import Listener
    from .server import Server

#: Seconds until the next try when the system is exhausted: until somebody closes something it would only burn the processor.
ACCEPT_PAUSE = 0.5

#: Seconds for which a worker that has more connections leaves one to the others.
DEFERRAL = 0.001
#: How often it does so in a row: this, and once more for each connection that it is ahead, up to a limit.
DEFERRALS = 4
MOST_DEFERRALS = 30

#: The number of connections of a worker that does not accept: larger than all others.
NOT_ACCEPTING = 2**62


class Share:
    """How many connections each worker has.

    Args:
        open: the numbers of connections of all workers, in memory that all of them see.
        accepted: how many each of them has ever accepted.
        pids: the process that each worker is; a process that another one has replaced has no part in this any more.
        index: where this worker's are.
        cores: requests that a worker serves at once.
    """

    def __init__(self, open: memoryview, accepted: memoryview, pids: memoryview, index: int, cores: int = NOT_ACCEPTING) -> None:
        self._open = open
        self._accepted = accepted
        self._pids = pids
        self._index = index
        self._cores = cores
        self._pid = os.getpid()
        #: Index -> what they had accepted, of workers that did not come when it was their turn: stopped, or busy.
        self._absent: dict[int, int] = {}

    def set(self, count: int) -> None:
        """Write down how many this worker has."""
        if self._pids[self._index] == self._pid:
            self._open[self._index] = count

    def accepted(self, count: int) -> None:
        """Write down that it has one more."""
        if self._pids[self._index] == self._pid:
            self._open[self._index] = count
            self._accepted[self._index] += 1

    def withdraw(self) -> None:
        """This worker accepts no more: nobody shall wait for it."""
        self.set(NOT_ACCEPTING)

    def excess(self) -> int:
        """How many connections this worker should leave to another one that has fewer; 0 when it should take the next one itself.

        A difference of one is none: somebody has to be first. But where there is no core for one more it counts.
        """
        if self._pids[self._index] != self._pid:
            return 0
        own = self._open[self._index]
        return max(0, own - min(self._present()) - (own < self._cores))

    def give_up(self) -> None:
        """Nobody has come for a connection: do not wait for those who have the fewest, until they have accepted something."""
        present = self._present()
        fewest = min(present)
        for index, number in enumerate(present):
            if number == fewest and index != self._index:
                self._absent[index] = self._accepted[index]

    def _present(self) -> list[int]:
        numbers = self._open.tolist()
        for index, accepted in tuple(self._absent.items()):
            if self._accepted[index] == accepted:
                numbers[index] = NOT_ACCEPTING
            else:
                del self._absent[index]
        return numbers


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
        self._connection = connection_maker(listener)
        #: Its requests take cores; what is forwarded does not.
        self._served = not (listener.forwards or listener.tells or listener.to_https is not None)
        self._proxied = listener.proxied
        self._tls = listener.tls
        self._share = server.share
        self._deferred = 0
        self._retired = False
        if self._share is not None:
            self.max_accept = 1  # for each event: the others have theirs
            self._later: Any = gevent.get_hub().loop.timer(DEFERRAL, DEFERRAL)
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
        connection = self._connection(sock, self._server, template)
        self._server.admit(connection)
        serve = connection.serve
        if self._tls is not None:
            https.secure(connection, self._tls)
            serve = partial(https.serve, connection, template, self._tls)
        if self._proxied:
            serve = partial(proxied.serve, connection, template, serve)
        connection.greenlet = self._server.greenlet_class.spawn(serve)

    def do_read(self) -> Any:
        if self._served and self._server.cores.full:
            self.stop_accepting()
            self._server.cores.when_free(self._start_again)
            return None
        if self._share is not None and self._defer(self._share):
            return None
        try:
            accepted = super().do_read()
        except OSError as error:
            if error.errno == errno.ECONNABORTED:
                return None
            if error.errno not in EXHAUSTED:
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

    def _defer(self, share: Share) -> bool:
        """Leave this connection to a worker that has fewer, unless it does not come for it."""
        excess = share.excess()
        if excess and self._deferred >= min(DEFERRALS + excess, MOST_DEFERRALS):
            share.give_up()
            excess = 0
        if not excess:
            self._deferred = 0
            return False
        self._deferred += 1
        self.stop_accepting()
        self._later.again(self._look_again)  # not start(), after which a used timer ends at once
        return True

    def _look_again(self) -> None:
        self._later.stop()
        self._start_again()

    def resume(self) -> None:
        """Accept again."""
        self._retired = False
        self.start_accepting()

    def retire(self) -> None:
        """Accept nothing more; the socket stays open."""
        self._retired = True
        self.stop_accepting()

    def _start_again(self) -> None:
        if self.started and not self._retired:
            self.start_accepting()


def connection_maker(listener: Listener) -> Callable[[Any, Server, dict[str, Any]], HTTPConnection]:
    """What makes the connections of a listener out of accepted sockets."""
    if listener.to_https is not None:
        return partial(RedirectingConnection, port=listener.to_https)
    if listener.tells:
        from .gateway.front import StatsConnection

        return StatsConnection
    if listener.forwards:
        from .gateway.front import FrontConnection

        return FrontConnection
    if listener.protocol == "uwsgi":
        return UwsgiConnection
    return HTTPConnection


def _gevent_socket(sock: Any) -> Any:
    """The listening socket as a gevent socket, whatever kind it is."""
    if hasattr(sock, "_sock") or hasattr(sock, "hub"):
        return sock
    return gevent.socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
