"""Messages between the workers of one host: a mesh of unix stream sockets in one directory.

Each worker listens on a socket of its own there and, when it starts, greets whoever else does; a pair of workers shares a
connection for both directions. So a worker that was killed leaves nothing but a stale name, and its replacement is known to
all before it serves. Items for a worker are collected and written once per turn of the loop.

A worker that does not read (stopped by a signal, stuck in C) is not waited for: beyond OUTBOX_LIMIT its messages are lost
and counted.
"""

from __future__ import annotations

import os
import socket as stdlib_socket
import tempfile
import uuid
from typing import Any, Callable, Optional

import gevent
from gevent import socket as gevent_socket
from gevent.event import Event

from ..errors import ChannelError
from ..log import log
from . import wire
from .backend import Deliver
from .background import spawn

#: Bytes that may wait for one worker.
OUTBOX_LIMIT = 64 * 1024 * 1024

#: Seconds that a new worker waits for the others to greet back, and a count for their answers.
PATIENCE = 0.5

_READ_SIZE = 256 * 1024
_SUFFIX = ".channels"


def make_directory() -> str:
    """A directory for the sockets of one server, which only its user may enter. Called once, before the fork."""
    return tempfile.mkdtemp(prefix="geuwsgi-")


class _Peer:
    """The connection to another worker.

    Attributes:
        name: the other worker's.
    """

    def __init__(self, sock: Any, mesh: UnixBackend) -> None:
        self.name = ""
        self._sock = sock
        self._mesh = mesh
        self._outbox: list[bytes] = []
        self._outbox_size = 0
        self._writing = False
        self.greeted = Event()
        self.greenlet = spawn(self._read)

    def send(self, item: bytes) -> bool:
        """Queue an item; False when too much waits."""
        if self._outbox_size + len(item) > OUTBOX_LIMIT:
            return False
        self._outbox.append(item)
        self._outbox_size += len(item)
        if not self._writing:
            self._writing = True
            spawn(self._write)
        return True

    def _write(self) -> None:
        """Write what was collected; started in the turn of the loop behind the first item."""
        try:
            while self._outbox:
                data = b"".join(self._outbox)
                self._outbox.clear()
                self._sock.sendall(data)
                self._outbox_size -= len(data)
        except OSError:
            self.close()
        finally:
            self._writing = False

    def _read(self) -> None:
        splitter = wire.Splitter(self._mesh.item_limit)
        try:
            while True:
                data = self._sock.recv(_READ_SIZE)
                if not data:
                    break
                for item in splitter.feed(data):
                    self._mesh.received(self, *wire.unpack(item))
        except OSError:
            pass
        except ChannelError as error:
            log(f"channels: {error}; the connection is closed")
        finally:
            self.close()

    def close(self) -> None:
        """Forget the other worker: it has ended, or is about to be greeted anew."""
        self._mesh.forget(self)
        self._outbox.clear()
        self._outbox_size = 0
        sock = self._sock
        if sock.fileno() >= 0:
            sock.close()


class UnixBackend:
    """See `Backend`.

    Args:
        directory: where the workers of this server meet.
        deliver: takes the messages of others.
        local_count: members of a channel in this worker.
        max_size: the largest message in bytes.
    """

    def __init__(self, directory: str, deliver: Deliver, local_count: Callable[[str], int], max_size: int) -> None:
        self.directory = directory
        self.lost = 0
        self.item_limit = max_size + wire.MAX_NAME + 64
        self._deliver = deliver
        self._local_count = local_count
        self._name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._path = os.path.join(directory, self._name + _SUFFIX)
        self._listener: Any = None
        self._acceptor: Any = None
        #: All connections, and of each worker the one that is written to.
        self._connections: set[_Peer] = set()
        self._peers: dict[str, _Peer] = {}
        self._counts: dict[bytes, tuple[set[str], list[int], Event]] = {}

    def start(self) -> None:
        """Listen, then greet the others. Whichever of two workers listens later finds the other, so no pair is missed."""
        self._listener = gevent_socket.socket(stdlib_socket.AF_UNIX, stdlib_socket.SOCK_STREAM)
        self._listener.bind(self._path)
        self._listener.listen(128)
        self._acceptor = spawn(self._accept)
        greeting = [peer for peer in map(self._connect, self._others()) if peer is not None]
        for peer in greeting:
            peer.greeted.wait(PATIENCE)

    def stop(self) -> None:
        """Close all connections and take the name away."""
        if self._acceptor is not None:
            self._acceptor.kill()
        if self._listener is not None:
            self._listener.close()
            try:
                os.unlink(self._path)
            except OSError:
                pass
        greenlets = [peer.greenlet for peer in self._connections]
        for peer in list(self._connections):
            peer.close()
        gevent.killall(greenlets)

    def publish(self, name: str, opcode: int, payload: bytes) -> None:
        """One write for each other worker, whatever the number of its members."""
        if not self._peers:
            return
        item = wire.framed(wire.pack(wire.MESSAGE, name, opcode, payload))
        for peer in list(self._peers.values()):
            if not peer.send(item):
                self.lost += 1

    def joined(self, name: str) -> None:
        """Nothing to do: every worker gets every message."""

    def left(self, name: str) -> None:
        """Nothing to do."""

    def count(self, name: str) -> int:
        """Ask all others; those that do not answer in time are not counted."""
        if not self._peers:
            return 0
        token = uuid.uuid4().bytes
        waiting: set[str] = set(self._peers)
        numbers: list[int] = []
        done = Event()
        self._counts[token] = (waiting, numbers, done)
        item = wire.framed(wire.pack(wire.COUNT, name, 0, token))
        for peer in list(self._peers.values()):
            if not peer.send(item):
                waiting.discard(peer.name)
        try:
            if waiting:
                done.wait(PATIENCE)
        finally:
            del self._counts[token]
        return sum(numbers)

    # -- the connections' side

    def received(self, peer: _Peer, kind: int, name: str, opcode: int, payload: bytes) -> None:
        """An item of another worker, or of a program outside."""
        if kind == wire.MESSAGE:
            self._deliver(name, opcode, payload)
        elif kind in (wire.HELLO, wire.WELCOME):
            peer.name = name
            self._peers.setdefault(name, peer)
            if kind == wire.HELLO:
                peer.send(wire.framed(wire.pack(wire.WELCOME, self._name)))
            peer.greeted.set()
        elif kind == wire.COUNT:
            number = self._local_count(name)
            peer.send(wire.framed(wire.pack(wire.ANSWER, "", 0, payload + number.to_bytes(8, "big"))))
        elif kind == wire.ANSWER:
            question = self._counts.get(payload[:16])
            if question is not None:
                waiting, numbers, done = question
                if peer.name in waiting:
                    waiting.discard(peer.name)
                    numbers.append(int.from_bytes(payload[16:], "big"))
                    if not waiting:
                        done.set()

    def forget(self, peer: _Peer) -> None:
        """A connection has ended."""
        self._connections.discard(peer)
        peer.greeted.set()
        if self._peers.get(peer.name) is peer:
            del self._peers[peer.name]
            for other in self._connections:
                if other.name == peer.name:  # both had greeted at once
                    self._peers[peer.name] = other
        for waiting, _, done in list(self._counts.values()):
            waiting.discard(peer.name)
            if not waiting:
                done.set()

    def _others(self) -> list[str]:
        try:
            names = os.listdir(self.directory)
        except OSError:
            return []
        return [os.path.join(self.directory, name) for name in sorted(names) if name.endswith(_SUFFIX) and not name.startswith(self._name)]

    def _connect(self, path: str) -> Optional[_Peer]:
        sock = gevent_socket.socket(stdlib_socket.AF_UNIX, stdlib_socket.SOCK_STREAM)
        try:
            sock.connect(path)
        except ConnectionRefusedError:
            # A worker that was killed. Nobody else can take the name, which is made of a pid and a random number.
            sock.close()
            try:
                os.unlink(path)
            except OSError:
                pass
            return None
        except OSError:
            sock.close()
            return None
        peer = self._new_peer(sock)
        peer.send(wire.framed(wire.pack(wire.HELLO, self._name)))
        return peer

    def _new_peer(self, sock: Any) -> _Peer:
        peer = _Peer(sock, self)
        self._connections.add(peer)
        return peer

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError as error:
                log(f"channels: cannot accept other workers: {error.strerror}")
                gevent.sleep(PATIENCE)
                continue
            self._new_peer(sock)


def publish(directory: str, name: str, opcode: int, payload: bytes) -> int:
    """Send a message to all workers that meet in a directory, from any process; returns how many took it.

    Raises:
        ChannelError: there is no such directory.
    """
    try:
        names = sorted(entry for entry in os.listdir(directory) if entry.endswith(_SUFFIX))
    except OSError as error:
        raise ChannelError(f"{directory}: {error.strerror}") from None
    item = wire.framed(wire.pack(wire.MESSAGE, name, opcode, payload))
    reached = 0
    for entry in names:
        with stdlib_socket.socket(stdlib_socket.AF_UNIX, stdlib_socket.SOCK_STREAM) as sock:
            try:
                sock.connect(os.path.join(directory, entry))
                sock.sendall(item)
                reached += 1
            except OSError:
                continue  # a worker that was killed
    return reached
