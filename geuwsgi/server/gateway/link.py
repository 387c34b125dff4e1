"""One connection to a backend.

Apart from `transport.Transport`, which is a client's: here the socket is made, and whose fault an error is has to be told apart.
"""

from __future__ import annotations

import errno
import os
import socket as stdlib_socket
import time
from typing import TYPE_CHECKING, Any, Optional, Union

import gevent
from gevent.monkey import get_original

from ...errors import HTTPError, ProtocolError
from ..transport import EXHAUSTED, TimedOut, Waiting

if TYPE_CHECKING:
    from ..transport import Sweeper
    from .backend import Backend

UNAVAILABLE = "503 Service Unavailable"

#: Bytes asked of the kernel at once.
READ_SIZE = 65536

#: Seconds between two tries to connect to a unix socket whose backlog is full.
_BACKLOG_PAUSE = 0.01

_native_socket = get_original("_socket", "socket")
_KIND = stdlib_socket.SOCK_STREAM | getattr(stdlib_socket, "SOCK_NONBLOCK", 0)


class BackendError(ProtocolError):
    """The backend does not do what it should.

    Attributes:
        late: it has taken too long.
    """

    def __init__(self, message: str, late: bool = False) -> None:
        super().__init__(message)
        self.late = late


class Unreachable(BackendError):
    """No connection: nothing has been sent, and another backend may be asked."""


class Link(Waiting):
    """A connection to a backend. Made by `connect`; the first `send` finds out whether it is really there.

    Args:
        native: the plain, non-blocking socket.
        backend: whose it is.
        sweeper: watches the deadlines.
        timeout: seconds for which the backend may take nothing.
        connect_timeout: seconds until it has to be connected; 0 when it is.

    Attributes:
        native: the plain socket.
        reused: another request was on it before.
    """

    __slots__ = ("__weakref__", "_connect_timeout", "backend", "idle_since", "native", "reused", "timeout")

    def __init__(self, native: Any, backend: Backend, sweeper: Sweeper, timeout: float, connect_timeout: float) -> None:
        self.native = native
        self.backend = backend
        self.timeout = timeout
        self.reused = False
        self.idle_since = 0.0
        self._connect_timeout = connect_timeout
        super().__init__(sweeper)

    # -- writing

    def send(self, data: Union[bytes, memoryview]) -> None:
        """Send all of it.

        Raises:
            Unreachable: there never was a connection.
            BackendError: it is over, or nothing is taken for `timeout` seconds.
        """
        try:
            sent = self.native.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self._lost(error) from None
        if sent:
            self._connect_timeout = 0
        if sent != len(data):
            self._send_rest(memoryview(data)[sent:])

    def _send_rest(self, rest: memoryview) -> None:
        while rest:
            self._wait_writable()
            try:
                rest = rest[self.native.send(rest) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._lost(error) from None
            self._connect_timeout = 0

    def _wait_writable(self) -> None:
        seconds = self._connect_timeout or self.timeout
        try:
            self._wait_for_room(self.native.fileno(), seconds)
        except TimedOut:
            if self._connect_timeout:
                raise Unreachable(f"{self.backend.name} does not answer within {seconds:g} seconds", late=True) from None
            raise BackendError(f"{self.backend.name} has taken nothing for {seconds:g} seconds", late=True) from None

    def _lost(self, error: OSError) -> BackendError:
        if self._connect_timeout:
            return Unreachable(f"{self.backend.name}: {reason(error)}")
        return BackendError(f"{self.backend.name} has closed the connection ({reason(error)})")

    def ensure(self) -> None:
        """Wait until it is really connected.

        Raises:
            Unreachable: it is not.
        """
        if self._connect_timeout:
            self._wait_writable()
            code = self.native.getsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_ERROR)
            if code:
                raise self._lost(OSError(code, os.strerror(code)))
            self._connect_timeout = 0

    # -- reading

    def receive(self, seconds: float) -> bytes:
        """Wait for bytes; b"" when the backend has ended.

        Raises:
            TimedOut: nothing came in that time.
            BackendError: it has broken the connection off.
        """
        deadline = self._sweeper.now + seconds
        while True:
            self._wait_readable(self.native.fileno(), deadline)
            data = self.receive_now()
            if data is not None:
                return data

    def receive_now(self) -> Optional[bytes]:
        """What the kernel holds; None when it holds nothing, b"" when the backend has ended.

        Raises:
            BackendError: as `receive`.
        """
        try:
            return self.native.recv(READ_SIZE)  # type: ignore[no-any-return]
        except BlockingIOError:
            return None
        except OSError as error:
            raise self._broken_off(error) from None

    def _broken_off(self, error: OSError) -> BackendError:
        return BackendError(f"{self.backend.name} has broken the connection off ({reason(error)})")

    # -- the end

    def hurry(self) -> None:
        """More than one piece will be sent: none waits for the confirmation of the one before."""
        if self.native.family != stdlib_socket.AF_UNIX:
            self.native.setsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_NODELAY, 1)

    def interrupt(self) -> None:
        """End the connection, so that whoever waits for it finds it ended."""
        try:
            self.native.shutdown(stdlib_socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        self.release()
        self.native.close()


def connect(backend: Backend, sweeper: Sweeper, timeout: float, connect_timeout: float) -> Link:
    """Begin a connection.

    Raises:
        Unreachable: there is nobody. That may also be told by the first `send`.
        HTTPError: 503 when this side has no descriptor left, for which no backend is to blame.
    """
    try:
        targets = backend.targets()
    except OSError as error:
        raise Unreachable(f"{backend.name}: the name cannot be looked up ({reason(error)})") from None
    last: Optional[Unreachable] = None
    several = len(targets) > 1
    for family, address in targets:
        try:
            native = _native_socket(family, _KIND)
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise HTTPError(UNAVAILABLE, f"no connection to {backend.name} can be made: {reason(error)}") from None
            last = Unreachable(f"{backend.name}: {reason(error)}")  # a system without IPv6
            continue
        if not getattr(stdlib_socket, "SOCK_NONBLOCK", 0):
            native.setblocking(False)
        try:
            code = _connect(native, family, address, connect_timeout)
        except OSError as error:
            native.close()
            late = isinstance(error, TimeoutError)
            what = f" does not answer within {connect_timeout:g} seconds" if late else f": {reason(error)}"
            last = Unreachable(backend.name + what, late)
            continue
        link = Link(native, backend, sweeper, timeout, connect_timeout if code else 0)
        if several:
            try:
                link.ensure()
            except Unreachable as error:
                link.close()
                last = error
                continue
        return link
    backend.forget_targets()
    raise last or Unreachable(f"{backend.name}: no address")


def _connect(native: Any, family: int, address: Any, connect_timeout: float) -> int:
    """0 when it is connected, else EINPROGRESS."""
    deadline = 0.0
    while True:
        code: int = native.connect_ex(address)
        if code in (0, errno.EINPROGRESS):
            return code
        if code != errno.EAGAIN:
            raise OSError(code, os.strerror(code))
        # A unix socket whose backlog is full: there is no event to wait for.
        now = time.monotonic()
        deadline = deadline or now + connect_timeout
        if now >= deadline:
            raise TimeoutError
        gevent.sleep(_BACKLOG_PAUSE)


def reason(error: OSError) -> str:
    """What an error of the system says."""
    return (error.strerror or str(error)).rstrip(".")
