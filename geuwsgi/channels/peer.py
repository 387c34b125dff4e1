"""The connection to another worker of this host."""

from __future__ import annotations

from typing import Any, Callable

from gevent.event import Event

from ..errors import ChannelError
from ..log import log
from . import wire
from .background import spawn

#: Bytes that may wait for one worker.
OUTBOX_LIMIT = 64 * 1024 * 1024

_READ_SIZE = 256 * 1024


class Peer:
    """Reads and writes items.

    Args:
        sock: connected.
        limit: bytes of the largest item.
        received: takes (peer, item).
        ended: is told when the connection is over.

    Attributes:
        name: the other worker's, "" before it is known.
        greeted: set when the other knows us, or the connection is over.
        greenlets: that read and write.
        closed: the connection is over.
    """

    def __init__(self, sock: Any, limit: int, received: Callable[[Peer, wire.Item], None], ended: Callable[[Peer], None]) -> None:
        self.name = ""
        self.greeted = Event()
        self.closed = False
        self._sock = sock
        self._received = received
        self._ended = ended
        self._splitter = wire.Splitter(limit)
        self._outbox: list[bytes] = []
        self._outbox_size = 0
        self._some = Event()
        self._none = Event()
        self.greenlets = [spawn(self._read), spawn(self._write)]

    def send(self, item: bytes) -> bool:
        """Queue an item; False when too much waits, or the other is gone."""
        if self.closed or self._outbox_size + len(item) > OUTBOX_LIMIT:
            return False
        self._outbox.append(item)
        self._outbox_size += len(item)
        self._none.clear()
        self._some.set()
        return True

    def flush(self, timeout: float) -> None:
        """Wait until all is written, for at most `timeout` seconds."""
        if self._outbox_size and not self.closed:
            self._none.wait(timeout)

    def _write(self) -> None:
        """Write what was collected, in the turn of the loop behind the first item."""
        try:
            while True:
                self._some.wait()
                self._some.clear()
                data = b"".join(self._outbox)
                self._outbox.clear()
                self._sock.sendall(data)
                self._outbox_size -= len(data)
                if not self._outbox_size:
                    self._none.set()
        except OSError:
            self.close()

    def _read(self) -> None:
        splitter = self._splitter
        try:
            while True:
                data = self._sock.recv(_READ_SIZE)
                if not data:
                    break
                for item in splitter.feed(data):
                    self._received(self, item)
                while splitter.refused:
                    size = splitter.refused.pop()
                    log(f"channels: a message of {size} bytes from another server is over --channel-max-size here: dropped")
        except OSError:
            pass
        except ChannelError as error:
            log(f"channels: {error}; the connection is closed")
        finally:
            self.close()

    def close(self) -> None:
        """The other worker has ended, or this one is about to."""
        if self.closed:
            return
        self.closed = True
        self._outbox.clear()
        self._none.set()
        self._some.set()
        self._sock.close()
        self._ended(self)
