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
import time
import uuid
from typing import Any, Optional

import gevent
from gevent import socket as gevent_socket
from gevent.event import Event

from ..log import log
from . import wire
from .backend import Ways
from .background import spawn
from .channel import Message
from .directory import connectable, listen_path, others
from .peer import Peer

#: Seconds that a new worker waits for the others, a count for their answers, and a worker that ends for what is on its way.
PATIENCE = 0.5


class UnixBackend:
    """See `Backend`.

    Args:
        directory: where the workers of this server meet.
        ways: to the hub.
    """

    def __init__(self, directory: str, ways: Ways) -> None:
        self.directory = directory
        self._ways = ways
        self._item_limit = ways.max_size + wire.OVERHEAD
        self._name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._listener: Any = None
        self._acceptor: Any = None
        #: All connections, and of each worker the one that is written to.
        self._connections: set[Peer] = set()
        self._peers: dict[str, Peer] = {}
        self._counts: dict[bytes, tuple[set[str], list[int], Event]] = {}
        self._recalled: Optional[tuple[Peer, dict[str, list[Message]], Event]] = None

    def start(self) -> None:
        """Listen, then greet the others. Whichever of two workers listens later finds the other, so no pair is missed."""
        self._listener = listen_path(self.directory, self._name)
        self._acceptor = spawn(self._accept)
        deadline = time.monotonic() + PATIENCE
        greeting = [peer for peer in (self._connect(name, deadline) for name in others(self.directory, self._name)) if peer is not None]
        for peer in greeting:
            peer.greeted.wait(max(0.0, deadline - time.monotonic()))
        if self._ways.history:
            self._recall([peer for peer in greeting if peer.greeted.is_set() and not peer.closed])

    def stop(self) -> None:
        """Send what is on its way, for a moment; close all connections and take the name away."""
        deadline = time.monotonic() + PATIENCE
        for peer in list(self._connections):
            peer.flush(max(0.0, deadline - time.monotonic()))
        if self._acceptor is not None:
            self._acceptor.kill()
        if self._listener is not None:
            self._listener.close()
            try:
                os.unlink(connectable(self.directory, self._name))
            except OSError:
                pass
        greenlets = [greenlet for peer in self._connections for greenlet in peer.greenlets]
        for peer in list(self._connections):
            peer.close()
        gevent.killall(greenlets)

    def publish(self, name: str, message: Message) -> None:
        """One write for each other worker, whatever the number of its members."""
        if not self._peers:
            return
        item = wire.pack_message(wire.MESSAGE, name, message)
        lost = 0
        for peer in self._peers.values():
            lost += not peer.send(item)
        if lost:
            self._ways.lost(name, lost)

    def joined(self, name: str) -> None:
        """Nothing to do: every worker gets every message."""

    def left(self, name: str) -> None:
        """Nothing to do."""

    def past(self, name: str) -> Optional[list[Message]]:
        """The hub has it."""
        return None

    def count(self, name: str) -> int:
        """Ask all others; those that do not answer in time are not counted."""
        token = uuid.uuid4().bytes
        item = wire.framed(wire.pack(wire.COUNT, name, 0, token))
        waiting = {name for name, peer in list(self._peers.items()) if peer.send(item)}
        if not waiting:
            return 0
        numbers: list[int] = []
        done = Event()
        self._counts[token] = (waiting, numbers, done)
        try:
            done.wait(PATIENCE)
        finally:
            del self._counts[token]
        return sum(numbers)

    def _recall(self, peers: list[Peer]) -> None:
        """Ask those that were here before, until one of them has something to tell."""
        for peer in peers:
            done = Event()
            past: dict[str, list[Message]] = {}
            self._recalled = (peer, past, done)
            peer.send(wire.framed(wire.pack(wire.RECALL)))
            done.wait(PATIENCE)
            self._recalled = None
            if past:
                for name, messages in past.items():
                    self._ways.recall(name, messages)
                return

    # -- the connections' side

    def received(self, peer: Peer, item: wire.Item) -> None:
        """An item of another worker, or of a program outside.

        Raises:
            ChannelError: it is malformed.
        """
        kind = item.kind
        if kind == wire.MESSAGE:
            self._ways.deliver(item.name, item.message())
        elif kind in (wire.HELLO, wire.WELCOME):
            peer.name = item.name
            self._peers.setdefault(item.name, peer)
            if kind == wire.HELLO:
                peer.send(wire.framed(wire.pack(wire.WELCOME, self._name)))
            peer.greeted.set()
        elif kind == wire.COUNT:
            number = self._ways.local_count(item.name)
            peer.send(wire.framed(wire.pack(wire.ANSWER, "", 0, item.payload + number.to_bytes(8, "big"))))
        elif kind == wire.ANSWER:
            self._answered(peer, item.payload)
        elif kind == wire.RECALL:
            for name, messages in self._ways.histories():
                for message in messages:
                    peer.send(wire.pack_message(wire.PAST, name, message))
            peer.send(wire.framed(wire.pack(wire.PAST_END)))
        elif kind in (wire.PAST, wire.PAST_END) and self._recalled is not None and self._recalled[0] is peer:
            _, past, done = self._recalled
            if kind == wire.PAST:
                past.setdefault(item.name, []).append(item.message())
            else:
                done.set()

    def _answered(self, peer: Peer, payload: bytes) -> None:
        question = self._counts.get(payload[:16])
        if question is None:
            return
        waiting, numbers, done = question
        if peer.name in waiting:
            waiting.discard(peer.name)
            numbers.append(int.from_bytes(payload[16:], "big"))
            if not waiting:
                done.set()

    def forget(self, peer: Peer) -> None:
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
        if self._recalled is not None and self._recalled[0] is peer:
            self._recalled[2].set()

    def _connect(self, name: str, deadline: float) -> Optional[Peer]:
        """Greet a worker; None when it is no longer there."""
        path = connectable(self.directory, name)
        sock = gevent_socket.socket(stdlib_socket.AF_UNIX, stdlib_socket.SOCK_STREAM)
        sock.settimeout(max(0.01, deadline - time.monotonic()))
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
        except OSError as error:
            sock.close()
            if not isinstance(error, FileNotFoundError):
                log(f"channels: worker {name} takes no connection ({error}), so no messages go there")
            return None
        sock.settimeout(None)
        peer = self._new_peer(sock)
        peer.name = name
        peer.send(wire.framed(wire.pack(wire.HELLO, self._name)))
        # Not only when it has answered: what is published while it is stopped waits for it.
        self._peers.setdefault(name, peer)
        return peer

    def _new_peer(self, sock: Any) -> Peer:
        peer = Peer(sock, self._item_limit, self.received, self.forget)
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
