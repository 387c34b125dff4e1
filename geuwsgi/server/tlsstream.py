"""TLS between a socket and whoever reads and writes plain bytes: a `ByteStream` that never waits.

OpenSSL works in memory here (`ssl.MemoryBIO`), not on the socket: bytes of the kernel are put into one end and those that come out of the
other are given to the kernel. So a write that the kernel refuses never leaves OpenSSL in the middle of something, and what OpenSSL wants to
say on its own (alerts, key updates) is sent like everything else.
"""

from __future__ import annotations

import socket as stdlib_socket
import ssl
from typing import Any, Callable, Optional, Union

from gevent import get_hub

from ..accel import use_compiled
from ..log import log
from .descriptor import Readiness, forget, take_over
from .keepalive import unacknowledged
from .rawio import receive, transmit
from .stream import READABLE, WRITABLE, Watcher, adopt

#: Bytes of ciphertext taken from the kernel at once, and of a connection that has filled that. A BIO keeps the largest size that it
#: ever had, so both are small.
CIPHERTEXT_SIZE = 16384
LARGE_CIPHERTEXT_SIZE = 32768

#: Bytes that go into one record.
RECORD_SIZE = 16384

#: Bytes encrypted before the kernel is given what came out.
BATCH_SIZE = 32768

#: Bytes that OpenSSL may have to say on its own to a peer that does not read; beyond it is no honest peer.
_UNASKED_LIMIT = 1024 * 1024

#: No error of OpenSSL, but the peer's way to leave.
_ENDED = (ssl.SSLZeroReturnError, ssl.SSLEOFError)


def reason_of(error: ssl.SSLError) -> str:
    """What went wrong, in OpenSSL's words but without its brackets and line numbers."""
    reason: str = getattr(error, "reason", None) or str(error)
    detail = getattr(error, "verify_message", "")
    text = reason.replace("_", " ").lower()
    return f"{text}: {detail}" if detail else text


class TLSStream:
    """One end of a TLS connection, the server's.

    Args:
        native: the plain, non-blocking socket object.
        fd: its number.
        family: its address family.
        peer: the client, for the log.
        context: the certificates and what else was decided for it.

    Attributes:
        ssl: OpenSSL's object, through the handshake already or still in it.
        broken: TCP is gone, or the peer has broken TLS.
        peer: as given.
    """

    __slots__ = (
        "_came",
        "_ended",
        "_ending",
        "_family",
        "_fd",
        "_held",
        "_incoming",
        "_moved",
        "_on_readable",
        "_on_writable",
        "_outgoing",
        "_read",
        "_size",
        "_sock",
        "_unsent",
        "_watcher",
        "_write",
        "broken",
        "native",
        "number",
        "peer",
        "ssl",
    )

    def __init__(self, native: Any, fd: int, family: int, peer: str, context: ssl.SSLContext) -> None:
        self._sock = native
        self._fd = fd
        self._family = family
        self.peer = peer
        # For `rawio`: the bytes are here, not in a socket.
        self.native: Any = self
        self.number = -1
        #: Decrypted bytes may be left in OpenSSL, for which no event of the kernel comes.
        self._held = False
        #: Ciphertext came, and no plain bytes came out of it yet.
        self._came = False
        #: The peer sends nothing more; `_ending`: this side neither.
        self._ended = False
        self._ending = False
        self._moved = False
        self.broken = False
        #: Ciphertext that the kernel has not taken yet.
        self._unsent: Union[bytes, memoryview, None] = None
        self._watcher: Any = None
        self._on_readable: Optional[Callable[[], Any]] = None
        self._on_writable: Optional[Callable[[], Any]] = None
        self.begin(context)

    def begin(self, context: ssl.SSLContext) -> None:
        """Begin from the start with this context; what has come and was said so far is forgotten."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._size = CIPHERTEXT_SIZE
        self.ssl: ssl.SSLObject = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        # Past the methods of SSLObject, which only call these: a frame less for each message.
        inner: Any = getattr(self.ssl, "_sslobj", self.ssl)
        self._read: Callable[[int], bytes] = inner.read
        self._write: Callable[[Union[bytes, bytearray, memoryview]], int] = inner.write

    # -- the handshake

    def handshake(self, data: bytes) -> bool:
        """Take part in the handshake; True when it is complete.

        Args:
            data: what has come from the kernel.

        Raises:
            ssl.SSLError: it has failed. What the peer should know of it is sent by `flush`.
        """
        self._incoming.write(data)
        try:
            self.ssl.do_handshake()
        except ssl.SSLWantReadError:
            return False
        # What came behind the client's last word of the handshake: its first request, mostly.
        self._held = bool(self._incoming.pending)
        return True

    def take_ciphertext(self) -> Optional[bytes]:
        """What the kernel has, for `handshake`; None when nothing is there, b"" at the end."""
        return receive(self._sock, self._fd, CIPHERTEXT_SIZE)

    def answer_plainly(self, data: bytes) -> None:
        """Say something to a client that does not speak TLS."""
        transmit(self._sock, self._fd, data)
        self._ending = True
        self._shutdown(stdlib_socket.SHUT_WR)

    # -- bytes

    @property
    def held(self) -> bool:
        """`receive` may have something to return, the end included, without an event of the kernel."""
        return self._held or self._ended or self.broken

    def receive(self, size: int) -> Optional[bytes]:
        """Decrypted bytes, at most `size` and some kilobytes; as `rawio.receive`."""
        if self._ended or self.broken:
            return b""
        if not self._held:
            data = receive(self._sock, self._fd, self._size)
            if not data:
                if data is None:
                    return None
                self._ended = True  # without a goodbye, which a websocket and HTTP have their own of
                return b""
            if self._ending:
                return None
            if len(data) == CIPHERTEXT_SIZE:
                self._size = LARGE_CIPHERTEXT_SIZE
            self._incoming.write(data)
        return self._decrypt(size)

    def _decrypt(self, size: int) -> Optional[bytes]:
        self._held = False
        try:
            # One record at most comes out of one call.
            data = self._read(size if size < RECORD_SIZE else RECORD_SIZE)
        except ssl.SSLWantReadError:
            self._came = True
            if self._outgoing.pending:
                self.flush()
            return None
        except _ENDED:
            data = b""
        except ssl.SSLError as error:
            return self._failed(error)
        if not data:
            self._ended = True
            return b""
        self._came = False
        if self._incoming.pending or (size < RECORD_SIZE and self.ssl.pending()):
            data = self._decrypt_more(data, size)
        if self._outgoing.pending:
            self.flush()
        return data

    def _decrypt_more(self, data: bytes, size: int) -> bytes:
        parts = [data]
        taken = len(data)
        try:
            while taken < size:
                data = self._read(min(size - taken, RECORD_SIZE))
                if not data:
                    self._ended = True
                    break
                parts.append(data)
                taken += len(data)
            self._hold()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            # What came before is good; the next call, for which nobody else may call, tells.
            if isinstance(error, _ENDED):
                self._ended = True
            else:
                self._failed(error)
            self._hold()
        return b"".join(parts)

    def _hold(self) -> None:
        self._held = True
        if self._on_readable is not None:
            get_hub().loop.run_callback(self._held_readable)

    def _held_readable(self) -> None:
        if self._on_readable is not None and self.held:
            self._on_readable()

    def transmit(self, data: Union[bytes, bytearray, memoryview]) -> int:
        """Encrypt and send as much as the kernel takes at once; as `rawio.transmit`. What it returns is accepted and will be sent."""
        if self._unsent is not None:
            self.flush()
            if self._unsent is not None:
                return 0
        if self.broken or self._ending:
            return -1
        size = len(data)
        try:
            if size <= RECORD_SIZE:
                self._write(data)
                ciphertext = self._outgoing.read()
                sent = transmit(self._sock, self._fd, ciphertext)
                if sent != len(ciphertext):
                    self._sent(ciphertext, sent)
                    return -1 if self.broken else size
                return size
            view = memoryview(data)
            done = 0
            while done < size and self._unsent is None:
                end = min(done + BATCH_SIZE, size)
                while done < end:
                    done += self._write(view[done : min(done + RECORD_SIZE, end)])
                self.flush()
            return -1 if self.broken else done
        except ssl.SSLError as error:
            self._failed(error)
            return -1

    def transmit_two(self, head: bytes, body: Union[bytes, memoryview]) -> int:
        """As `transmit` for two pieces."""
        first = RECORD_SIZE - len(head)
        if first <= 0:
            return self.transmit(head)
        sent = self.transmit(head + bytes(body[:first]))
        if len(body) > first and sent == RECORD_SIZE and self._unsent is None:
            more = self.transmit(memoryview(body)[first:])
            return -1 if more < 0 else sent + more
        return sent

    def _failed(self, error: ssl.SSLError) -> bytes:
        """The peer has broken TLS: one line, and an alert to it."""
        if not self.broken:
            log(f"{self.peer or 'unix peer'}: TLS broken off: {reason_of(error)}")
            self.flush()
            self.broken = True
        return b""

    # -- ciphertext out

    @property
    def flushed(self) -> bool:
        """The kernel has all of it."""
        return self._unsent is None

    def flush(self) -> None:
        """Give the kernel what it takes; the rest follows when it has room."""
        if self.broken:
            self._outgoing.read()
            self._unsent = None
            return
        if self._unsent is None:
            data: Union[bytes, memoryview] = self._outgoing.read()
        elif self._outgoing.pending:
            data = bytes(self._unsent) + self._outgoing.read()
        else:
            data = self._unsent
        if data:
            self._sent(data, transmit(self._sock, self._fd, data))

    def _sent(self, data: Union[bytes, memoryview], sent: int) -> None:
        """The kernel has taken so much of this ciphertext; -1 for an error."""
        if sent == len(data):
            self._unsent = None
        elif sent < 0 or len(data) > _UNASKED_LIMIT:
            self.broken = True
            self._unsent = None
        else:
            self._unsent = memoryview(data)[sent:] if sent else data
            self._watch()

    def _watch(self) -> None:
        if self._watcher is None:
            self._watcher = get_hub().loop.io(self._fd, WRITABLE)
        if not self._watcher.active:
            self._watcher.start(self._writable)

    def _writable(self) -> None:
        self.flush()
        if self._unsent is not None:
            return
        if self._ending:
            self._shutdown(stdlib_socket.SHUT_WR)
        callback = self._on_writable
        if callback is not None:
            callback()
        if self._unsent is None and self._on_writable is None and self._watcher is not None:
            self._watcher.stop()

    # -- for a websocket

    def hand_over(self, fd: int) -> None:
        """The socket belongs to this object from now on, under the same number."""
        self._sock = adopt(fd, self._family)

    def watcher(self, events: int) -> Watcher:
        return _Readable(self, self._fd) if events == READABLE else _Writable(self)

    def move(self) -> Readiness:
        watching = self._watcher is not None and self._watcher.active
        self._close_watcher()
        self._fd, readiness = take_over(self._sock.detach())
        self._sock = adopt(self._fd, self._family)
        self._moved = True
        if watching:
            self._watch()
        return readiness

    def unread(self) -> bool:
        came, self._came = self._came, False
        if came or self._held:
            return True
        try:
            return bool(self._sock.recv(1, stdlib_socket.MSG_PEEK))
        except OSError:
            return False

    def unacknowledged(self) -> int:
        return unacknowledged(self._fd) + (0 if self._unsent is None else len(self._unsent))

    def end(self) -> None:
        """Say goodbye in TLS and in TCP. What still comes is thrown away."""
        if self._ending:
            return
        self._ending = True
        self._held = False
        if self.broken:
            return
        try:
            self.ssl.unwrap()
        except (ssl.SSLError, OSError):
            pass  # it wants the peer's goodbye, for which nobody waits
        self.flush()
        if self._unsent is None:
            self._shutdown(stdlib_socket.SHUT_WR)

    def shutdown(self) -> None:
        self._close_watcher()
        self.broken = True
        self._unsent = None
        self._shutdown(stdlib_socket.SHUT_RDWR)

    def _shutdown(self, how: int) -> None:
        try:
            self._sock.shutdown(how)
        except OSError:
            pass

    def close(self) -> None:
        self.release()
        if self._moved:
            forget(self._fd)
        self._sock.close()

    def release(self) -> None:
        """Stop watching the socket; nothing is read or written any more."""
        self._close_watcher()
        self._on_readable = self._on_writable = None
        self.broken = True
        self._unsent = None

    def _close_watcher(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None


class _Readable:
    """Watches for bytes: the kernel's, and those that are decrypted already."""

    __slots__ = ("_io", "_stream")

    def __init__(self, stream: TLSStream, fd: int) -> None:
        self._stream = stream
        self._io = get_hub().loop.io(fd, READABLE)

    def start(self, callback: Callable[[], Any]) -> None:
        self._stream._on_readable = callback
        self._io.start(callback)
        if self._stream.held:
            self._stream._hold()

    def stop(self) -> None:
        self._stream._on_readable = None
        self._io.stop()

    def close(self) -> None:
        self._io.close()


class _Writable:
    """Watches for room behind the ciphertext that waits."""

    __slots__ = ("_stream",)

    def __init__(self, stream: TLSStream) -> None:
        self._stream = stream

    def start(self, callback: Callable[[], Any]) -> None:
        self._stream._on_writable = callback
        self._stream._watch()

    def stop(self) -> None:
        self._stream._on_writable = None

    def close(self) -> None:
        self._stream._on_writable = None


use_compiled(globals(), "TLSStream")
