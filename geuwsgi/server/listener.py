"""Listening sockets: an address as people write it in, a bound non-blocking gevent socket out.

    ":8080"  "127.0.0.1:0"  "localhost:8080"  "[::1]:8080"     TCP
    "/run/app.sock"  "app.sock"  "@name"                       unix, the last one in Linux's abstract namespace
    "fd://3"                                                   a listening socket that somebody opened for us

What `getaddrinfo` and `bind` refuse becomes a ConfigError that says what to do. The sockets are made with the standard
library's own functions, patched or not, so that a process may bind before any gevent hub runs.
"""

from __future__ import annotations

import errno
import os
import socket as stdlib_socket
import stat
import sys
from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Optional

import gevent.socket
from gevent.monkey import get_original

from ..errors import ConfigError

if TYPE_CHECKING:
    from .tls import TLSContext

#: The first descriptor that systemd hands over. Source: sd_listen_fds(3).
SYSTEMD_FIRST = 3

#: Bytes of `sun_path` that a name may take, its terminating NUL not counted.
_UNIX_PATH_MAX = 107

_FORMS = "write :8080, 127.0.0.1:8080, [::1]:8080, or the path of a unix socket"


@dataclass(frozen=True)
class Listener:
    """One bound socket.

    Attributes:
        sock: listening, non-blocking, a `gevent.socket.socket`.
        address: as a client would write it: "127.0.0.1:43211", "[::1]:8080", "/run/app.sock", "@name".
        host: the bound IP address; "" for a unix socket.
        port: the bound port; 0 for a unix socket.
        path: the file of a unix socket that this process made and may remove (`--vacuum`), else "".
        number: the descriptor under which it was handed to us, -1 if we bound it.
        forwards: its requests are for the backends of the server's front, not for the application.
        tells: whoever connects is told the state of the front.
        protocol: what is spoken there: "http" or "uwsgi".
        proxied: connections begin with a PROXY protocol header.
        tls: the certificates of a TLS port, else None.
        to_https: every request is sent on to https, on this port ("" for the usual one); None where they are served.
    """

    sock: gevent.socket.socket
    address: str
    host: str
    port: int
    path: str = ""
    number: int = -1
    forwards: bool = False
    tells: bool = False
    protocol: str = "http"
    proxied: bool = False
    tls: Optional[TLSContext] = None
    to_https: Optional[str] = None

    def is_for(self, address: str) -> bool:
        """Whether this socket, which somebody handed to us, is what `address` asks for."""
        if address.startswith("fd://"):
            return address[5:] == str(self.number)
        if _is_unix(address):
            return not self.host and os.path.realpath(address) == os.path.realpath(self.address)
        try:
            host, port = _split(address)
        except _BadAddress:
            return False
        return port == self.port != 0 and (host == self.host or (not host and self.host in ("0.0.0.0", "::")))

    def served_as(self, other: Listener) -> Listener:
        """This socket, with the same done there as with another one."""
        return replace(other, sock=self.sock, address=self.address, host=self.host, port=self.port, path=self.path, number=self.number)

    @property
    def bound_by_us(self) -> bool:
        """Whether it is a TCP socket that others may share a port with (`reuse_port`)."""
        return bool(self.host) and self.number < 0

    @property
    def url(self) -> str:
        """The address for a person to click on, such as "http://127.0.0.1:43211"."""
        if self.protocol != "http":
            return f"{self.protocol}://{self.address}"
        if not self.host:
            return f"unix:{self.address}"
        return f"https://{self.address}" if self.tls is not None else f"http://{self.address}"


def open_listener(
    address: str,
    backlog: int = 100,
    *,
    unix_mode: Optional[int] = None,
    reuse_port: bool = False,
    option: Optional[str] = None,
    source: Optional[str] = None,
) -> Listener:
    """Bind `address` and listen on it.

    Args:
        address: see the head of this file. A host name is looked up, IPv4 first; ":8080" is every IPv4 interface, as in uWSGI;
            "[::]:8080" is IPv6 and, where the system says so (net.ipv6.bindv6only), IPv4 too.
        backlog: connections that the kernel keeps while they wait to be accepted.
        unix_mode: permissions for the file of a unix socket, such as 0o666 (`--chmod-socket`); None leaves them to the umask.
        reuse_port: let several processes bind the same port (SO_REUSEPORT).
        option: the option that gave the address, for the error message.
        source: where that option stood.

    Raises:
        ConfigError: the address is malformed, taken, not ours to bind, or no listening socket.
    """
    try:
        if address.startswith("fd://"):
            return _inherited(_descriptor(address[5:]))
        if _is_unix(address):
            return _open_unix(address, backlog, unix_mode)
        return _open_tcp(address, backlog, reuse_port)
    except _BadAddress as error:
        raise ConfigError(str(error), option, address, source) from None


def adopt(fd: int, path: str = "", number: int = -1) -> Listener:
    """The Listener of a socket that an earlier image of this process has bound.

    Args:
        fd: its descriptor, which now belongs to the Listener.
        path: as it had it; `number` too.
    """
    return replace(_finish(_new_socket(-1, fd), path), number=number)


def waiting(fd: int) -> int:
    """Connections that wait to be accepted on a listening TCP socket; 0 where the system does not tell.

    Source: tcp(7); `tcpi_unacked` of a listening socket is the length of its queue.
    """
    try:
        with_info = _new_socket(-1, os.dup(fd))
    except OSError:
        return 0
    try:
        info = with_info.getsockopt(stdlib_socket.IPPROTO_TCP, stdlib_socket.TCP_INFO, 28)
        return int.from_bytes(info[24:28], sys.byteorder)
    except (OSError, AttributeError):
        return 0
    finally:
        with_info.close()


def systemd_listeners(environ: MutableMapping[str, str]) -> list[Listener]:
    """The sockets that systemd opened for this very process, in its order.

    The variables are removed from `environ`, so that children do not take the sockets for theirs.

    Raises:
        ConfigError: a descriptor is not a listening stream socket.
    Source: sd_listen_fds(3).
    """
    count, pid = environ.get("LISTEN_FDS", ""), environ.get("LISTEN_PID", "")
    if not count.isdigit() or pid != str(os.getpid()):
        return []
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    try:
        return [_inherited(fd) for fd in range(SYSTEMD_FIRST, SYSTEMD_FIRST + int(count))]
    except _BadAddress as error:
        raise ConfigError(f"systemd (LISTEN_FDS={count}): {error}") from None


class _BadAddress(Exception):
    """Says what is wrong with an address and what to do."""


def _is_unix(address: str) -> bool:
    return address.startswith(("@", "/", ".")) or ":" not in address


def _new_socket(family: int, fileno: Optional[int] = None) -> stdlib_socket.socket:
    """A plain socket, whether or not the module `socket` is patched by now."""
    cls = get_original("socket", "socket")
    made: stdlib_socket.socket = cls(family, stdlib_socket.SOCK_STREAM) if fileno is None else cls(fileno=fileno)
    return made


def _finish(sock: stdlib_socket.socket, path: str = "") -> Listener:
    """Wrap a listening socket for gevent and write down where it is bound."""
    bound: Any = sock.getsockname()
    family = sock.family
    cooperative = gevent.socket.socket(family, stdlib_socket.SOCK_STREAM, fileno=sock.detach())
    cooperative.setblocking(True)  # for gevent that means: wait in the hub; the descriptor itself does not block
    if family == stdlib_socket.AF_INET6:
        return Listener(cooperative, f"[{bound[0]}]:{bound[1]}", bound[0], bound[1])
    if family == stdlib_socket.AF_INET:
        return Listener(cooperative, f"{bound[0]}:{bound[1]}", bound[0], bound[1])
    name = bound if isinstance(bound, str) else "@" + os.fsdecode(bound[1:])
    return Listener(cooperative, name, "", 0, path)


def _open_tcp(address: str, backlog: int, reuse_port: bool) -> Listener:
    host, port = _split(address)
    getaddrinfo = get_original("socket", "getaddrinfo")
    try:
        found = getaddrinfo(host or "0.0.0.0", port, 0, stdlib_socket.SOCK_STREAM, 0, stdlib_socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        advice = f"use an address of this machine, or :{port} for all"
        raise _BadAddress(f"the host {host!r} cannot be looked up ({_reason(error)}); {advice}") from None
    family, _, _, _, target = min(found, key=lambda entry: entry[0] != stdlib_socket.AF_INET)
    sock = _new_socket(family)
    try:
        sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_REUSEPORT, 1)
        sock.bind(target)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise _BadAddress(_why_not_bound(error, host, port)) from None
    return _finish(sock)


def _split(address: str) -> tuple[str, int]:
    """ "[::1]:80" -> ("::1", 80), ":80" -> ("", 80)."""
    host, _, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise _BadAddress("only an IPv6 address stands in brackets, as in [::1]:8080")
    elif ":" in host:
        raise _BadAddress("an IPv6 address stands in brackets, as in [::1]:8080")
    if host == "*":
        host = ""
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise _BadAddress(f"the port {port!r} is not a number from 0 to 65535; {_FORMS}")
    return host, int(port)


def _why_not_bound(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is already in use; stop the server that has it, or choose another port (0 takes a free one)"
    if error.errno == errno.EACCES:
        return f"no permission to bind port {port}; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is not an address of this machine"
    return f"cannot be bound: {_reason(error)}"


def _open_unix(address: str, backlog: int, mode: Optional[int]) -> Listener:
    abstract = address.startswith("@")
    name: Any = b"\0" + os.fsencode(address[1:]) if abstract else address
    if not address.strip("@") or address.isdigit():  # a bare number is a port whose colon was forgotten
        raise _BadAddress(f"no address that makes sense; {_FORMS}")
    if len(os.fsencode(address)) > _UNIX_PATH_MAX:
        raise _BadAddress(f"the path of a unix socket may have {_UNIX_PATH_MAX} bytes, this one has {len(os.fsencode(address))}")
    if not abstract:
        _remove_stale(address)
    sock = _new_socket(stdlib_socket.AF_UNIX)
    try:
        sock.bind(name)
        if mode is not None and not abstract:
            os.chmod(address, mode)  # before listen(): nobody connects under other permissions
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise _BadAddress("another server listens on this unix socket; stop it or choose another name") from None
        raise _BadAddress(f"the unix socket cannot be made: {_reason(error)}") from None
    # Absolute, because the application may change the directory before the file is removed.
    return _finish(sock, "" if abstract else os.path.abspath(address))


def _remove_stale(path: str) -> None:
    """Remove the socket file that a dead server left; refuse to touch anything else."""
    try:
        found = os.lstat(path).st_mode
    except OSError:
        return  # nothing there; or bind() will say what is wrong
    if not stat.S_ISSOCK(found):
        raise _BadAddress("a file of that name is there and is not a socket; remove it or choose another name")
    probe = _new_socket(stdlib_socket.AF_UNIX)
    try:
        probe.setblocking(False)  # a full backlog must not hold up the start
        probe.connect(path)
    except ConnectionRefusedError:
        try:
            os.unlink(path)
        except OSError as error:
            raise _BadAddress(f"the unix socket that a dead server left cannot be removed: {_reason(error)}") from None
        return
    except BlockingIOError:
        pass
    except OSError as error:
        raise _BadAddress(f"the unix socket is there and cannot be tried: {_reason(error)}") from None
    finally:
        probe.close()
    raise _BadAddress("another server listens on this unix socket; stop it or choose another name")


def _descriptor(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _BadAddress("after fd:// stands the number of an open descriptor, as in fd://3")
    return int(text)


def _inherited(fd: int) -> Listener:
    try:
        sock = _new_socket(-1, os.dup(fd))
    except OSError as error:
        raise _BadAddress(f"descriptor {fd} is not an open socket: {_reason(error)}") from None
    listening = sock.type == stdlib_socket.SOCK_STREAM and sock.getsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_ACCEPTCONN)
    if not listening:
        sock.close()
        raise _BadAddress(f"descriptor {fd} is not a listening stream socket")
    os.close(fd)  # only the copy, which no child inherits, stays
    return replace(_finish(sock), number=fd)


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")
