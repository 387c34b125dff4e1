"""Bytes in and out of one connected socket, with time-outs that cost nothing while nothing stalls.

A wait stores its deadline and starts an io watcher; no timer is made for it. One `Sweeper` per server looks at all deadlines a
few times a second instead: a request pays for an attribute, not for a timer.
"""

from __future__ import annotations

import errno
import os
import select
import socket as stdlib_socket
import struct
from typing import Any, Optional, Union

from gevent import get_hub
from gevent.monkey import get_original
from greenlet import getcurrent

from ..errors import ProtocolError
from .stream import ByteStream, SocketStream

#: Bytes asked of the kernel at once.
READ_SIZE = 65536
#: Bytes handed to sendfile at once, after which other greenlets get their turn.
SENDFILE_SIZE = 1024 * 1024
#: Seconds and bytes to go on reading after the last response, so that closing with unread bytes does not reset the connection
#: and destroy that response on its way (RFC 9112 section 9.6).
LINGER_SECONDS = 2.0
LINGER_BYTES = 1024 * 1024

#: The event of a peer that has closed, where the system tells (Linux).
_HANG_UP: int = getattr(select, "POLLRDHUP", 0)
_poll: Any = get_original("select", "poll") if _HANG_UP else None

#: What the system says when it has no descriptor or memory to give, which is nobody's fault at the other end.
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

REQUEST_TIMEOUT = "408 Request Timeout"


class ClientError(ProtocolError, OSError):
    """The client left, stalled, or broke the rest of its request; an OSError, because that is what applications expect of wsgi.input.

    Attributes:
        status: the status line that tells the client, "" when nobody is there to be told.
    """

    def __init__(self, message: str, status: str = "") -> None:
        super().__init__(message)
        self.status = status


class TimedOut(ClientError):
    """A wait has passed its deadline."""

    def __init__(self, message: str = "the client stalls") -> None:
        super().__init__(message, REQUEST_TIMEOUT)


class Sweeper:
    """Ends the waits whose deadline has passed.

    Args:
        interval: seconds between two looks; a deadline is missed by at most this much.

    Attributes:
        now: the loop's time in seconds at the last look; deadlines are counted from it.
        transports: the open ones.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.transports: set[Waiting] = set()
        self._loop = get_hub().loop
        self._loop.update_now()
        self.now: float = self._loop.now()
        # It must not keep the loop alive when everything else has ended.
        self._timer = self._loop.timer(interval, interval, ref=False)

    def start(self) -> None:
        self._timer.start(self._look, update=True)

    def stop(self) -> None:
        self._timer.stop()
        self._timer.close()

    def _look(self) -> None:
        now = self.now = self._loop.now()
        expired = [
            transport
            for transport in self.transports
            if (transport.reader is not None and transport.read_deadline < now)
            or (transport.writer is not None and transport.write_deadline < now)
        ]
        for transport in expired:
            transport.expire(now)


class Waiting:
    """A socket's two waits, one for bytes and one for room, and their deadlines.

    Args:
        sweeper: watches the deadlines until `release`.

    Attributes:
        reader: the greenlet that waits for bytes, or None; `writer` the one that waits for room.
        read_deadline: in the sweeper's time; meaningful while `reader` waits. `write_deadline` alike.
    """

    __slots__ = ("_hub", "_read_watcher", "_sweeper", "_write_watcher", "read_deadline", "reader", "write_deadline", "writer")

    def __init__(self, sweeper: Sweeper) -> None:
        self._sweeper = sweeper
        self._hub: Any = get_hub()
        self._read_watcher: Any = None
        self._write_watcher: Any = None
        self.reader: Any = None
        self.writer: Any = None
        self.read_deadline = 0.0
        self.write_deadline = 0.0
        sweeper.transports.add(self)

    def _wait_readable(self, fd: int, deadline: float) -> None:
        """Wait until the kernel has bytes, or says so.

        Raises:
            TimedOut: the deadline has passed.
        """
        if self.reader is not None:
            raise RuntimeError("another greenlet already waits for bytes of this connection")
        watcher = self._read_watcher
        if watcher is None:
            watcher = self._read_watcher = self._hub.loop.io(fd, 1)
        me = self.reader = getcurrent()
        self.read_deadline = deadline
        watcher.start(me.switch)
        try:
            self._hub.switch()
        finally:
            watcher.stop()
            self.reader = None

    def _wait_for_room(self, fd: int, seconds: float) -> None:
        """Wait until the kernel takes bytes.

        Raises:
            TimedOut: it took none for so many seconds.
        """
        if self.writer is not None:
            raise RuntimeError("another greenlet already waits to send on this connection")
        watcher = self._write_watcher
        if watcher is None:
            watcher = self._write_watcher = self._hub.loop.io(fd, 2)
        me = self.writer = getcurrent()
        self.write_deadline = self._sweeper.now + seconds
        watcher.start(me.switch)
        try:
            self._hub.switch()
        finally:
            watcher.stop()
            self.writer = None

    def expire(self, now: float) -> None:
        """Raise TimedOut in the greenlets whose wait is over. Runs in the hub."""
        if self.reader is not None and self.read_deadline < now:
            self.reader.throw(TimedOut())
        if self.writer is not None and self.write_deadline < now:
            self.writer.throw(TimedOut())

    def release(self) -> None:
        """Stop watching the socket."""
        self._sweeper.transports.discard(self)
        for watcher in (self._read_watcher, self._write_watcher):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._read_watcher = self._write_watcher = None


class Transport(Waiting):
    """One connected socket.

    Args:
        sock: a gevent socket.
        sweeper: watches its deadlines until `release` or `close`.

    Attributes:
        sock: the gevent socket.
        broken: the client is known to be gone.
    """

    __slots__ = ("_native", "broken", "sock", "write_timeout")

    def __init__(self, sock: Any, sweeper: Sweeper, write_timeout: float) -> None:
        self.sock = sock
        # The socket inside the gevent socket: its calls never wait, and cost one Python frame less.
        self._native = sock._sock
        self.write_timeout = write_timeout
        self.broken = False
        super().__init__(sweeper)

    # -- reading

    def receive_now(self) -> Optional[bytes]:
        """What the kernel holds; None when it holds nothing, b"" when the client has closed."""
        try:
            return self._native.recv(READ_SIZE)  # type: ignore[no-any-return]
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def receive(self, deadline: float, size: int = READ_SIZE) -> bytes:
        """Wait for bytes; b"" when the client has closed. For a moment at which none are likely to be there yet.

        Raises:
            TimedOut: the deadline (in the sweeper's time) has passed.
        """
        fd = self.sock.fileno()
        while True:
            self._wait_readable(fd, deadline)
            try:
                return self._native.recv(size)  # type: ignore[no-any-return]
            except BlockingIOError:
                continue
            except OSError:
                return b""

    def left(self) -> bool:
        """Whether the client has closed. Bytes that it has sent stay where they are, and do not hide it."""
        if _HANG_UP:
            poll = _poll()
            poll.register(self.sock.fileno(), _HANG_UP)
            return bool(poll.poll(0))
        try:
            return not self._native.recv(1, stdlib_socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def hurry(self, seconds: float) -> None:
        """Whoever waits in `receive` waits for at most this many seconds from now on."""
        self.read_deadline = min(self.read_deadline, self._sweeper.now + seconds)

    # -- writing

    def send(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            ClientError: the client is gone, or takes nothing for `write_timeout` seconds.
        """
        try:
            sent = self._native.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self._lost(error) from None
        if sent != len(data):
            self._send_rest(memoryview(data)[sent:])

    def send_two(self, head: bytes, data: bytes) -> None:
        """Send both in one system call, without joining them first.

        Raises:
            ClientError: as `send`.
        """
        try:
            sent = self._native.sendmsg((head, data))
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self._lost(error) from None
        if sent < len(head):
            self._send_rest(memoryview(head + data)[sent:])
        elif sent - len(head) < len(data):
            self._send_rest(memoryview(data)[sent - len(head) :])

    def _send_rest(self, rest: Union[bytes, memoryview]) -> None:
        while rest:
            self.wait_writable()
            try:
                rest = rest[self._native.send(rest) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._lost(error) from None

    def send_file(self, fd: int, offset: int, count: int) -> int:
        """Send bytes of a regular file from the kernel's cache.

        Args:
            fd: its descriptor; its own position is not moved.
            offset: where to begin.
            count: how many bytes.

        Returns:
            The bytes sent: fewer when the file has shrunk.

        Raises:
            ClientError: as `send`.
        """
        out = self.sock.fileno()
        left = count
        while left:
            try:
                sent = os.sendfile(out, fd, offset, min(left, SENDFILE_SIZE))
            except BlockingIOError:
                sent = -1
            except OSError as error:
                raise self._lost(error) from None
            if not sent:
                break
            if sent > 0:
                offset += sent
                left -= sent
            if left:
                self.wait_writable()
        return count - left

    def wait_writable(self) -> None:
        """Wait until the kernel has room.

        Raises:
            TimedOut: there was none for `write_timeout` seconds.
        """
        try:
            self._wait_for_room(self.sock.fileno(), self.write_timeout)
        except TimedOut:
            self.broken = True
            raise ClientError(f"the client has taken nothing for {self.write_timeout:g} seconds") from None

    def _lost(self, error: OSError) -> ClientError:
        self.broken = True
        return ClientError(f"the client has closed the connection ({error.strerror or error})")

    # -- the end

    def linger(self) -> None:
        """Tell the client that nothing more comes, and read for a moment what it still sends."""
        try:
            self._native.shutdown(stdlib_socket.SHUT_WR)
            deadline = self._sweeper.now + LINGER_SECONDS
            taken = 0
            while taken < LINGER_BYTES:
                data = self.receive(deadline)
                if not data:
                    return
                taken += len(data)
        except OSError:
            pass

    def reset(self) -> None:
        """Close in a way that no client takes for the end of a response."""
        try:
            self._native.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass

    def hand_over(self) -> ByteStream:
        """Let go of the socket; what carries the connection's bytes from now on."""
        self.release()
        family = self.sock.family
        return SocketStream(self.sock.detach(), family)

    def close(self) -> None:
        """Close the socket."""
        self.release()
        self.sock.close()
        if self.reader is not None or self.writer is not None:
            # Greenlets of the application that have outlived its request: nothing else would ever wake them.
            self._hub.loop.run_callback(self._desert)

    def _desert(self) -> None:
        """Raise ClientError in the greenlets that wait for a closed socket. Runs in the hub."""
        for greenlet in (self.reader, self.writer):
            if greenlet is not None:
                greenlet.throw(ClientError("the connection is closed"))
