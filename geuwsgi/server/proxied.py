"""Connections that begin with a PROXY protocol header: it is taken off before anything else, TLS included, is read."""

from __future__ import annotations

import socket as stdlib_socket
from typing import TYPE_CHECKING, Any, Callable

import gevent

from ..log import log
from ..protocol.proxy import ProxyError, ProxyHeader, parse

if TYPE_CHECKING:
    from .connection import HTTPConnection

#: Bytes looked at, so that none is taken that belongs to what follows.
_LOOK = 4096


def serve(connection: HTTPConnection, template: dict[str, Any], then: Callable[[], None]) -> None:
    """Serve a connection behind its header. Runs in the connection's own greenlet.

    Args:
        connection: just accepted.
        template: of its environs, which the header changes.
        then: serves what follows.
    """
    server = connection.server
    seconds = server.settings.http.headers_timeout
    header = None
    try:
        if not server.trust.believes(connection.peer):
            raise ProxyError("is no proxy that is believed (forwarded-allow-ips)")
        with gevent.Timeout(seconds, ProxyError(f"no PROXY protocol header within {seconds:g} seconds")):
            header = _read(connection.sock)
    except ProxyError as error:
        log(f"{connection.peer or 'unix peer'}: {error}: the connection is closed")
    except OSError:
        pass  # gone
    finally:
        if header is None:
            connection.abandon()
    if header is None:
        return
    if header.address:
        connection.peer = template["REMOTE_ADDR"] = header.address
        template["REMOTE_PORT"] = str(header.port)
    if header.tls:
        template["wsgi.url_scheme"] = "https"
        template["HTTPS"] = "on"
    then()


def _read(sock: Any) -> ProxyHeader:
    """Read a header, and not a byte more.

    Raises:
        ProxyError: it is none.
        OSError: the peer has left.
    """
    taken = b""
    while True:
        seen = sock.recv(_LOOK, stdlib_socket.MSG_PEEK)
        if not seen:
            if taken:
                raise ProxyError("ended in the middle of its PROXY protocol header")
            raise ConnectionResetError
        header = parse(taken + seen)
        rest = len(seen) if header is None else header.size - len(taken)
        while rest:
            data = sock.recv(rest)
            taken += data
            rest -= len(data)
        if header is not None:
            return header
