"""The TLS handshake of a connection; whatever is served behind it need not know."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from ..log import log
from .tlsstream import reason_of
from .tlstransport import TLSTransport
from .transport import TimedOut

if TYPE_CHECKING:
    from .connection import HTTPConnection
    from .tls import TLSContext

#: The answer to a client that speaks plain HTTP to a TLS port.
_PLAIN_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 44\r\nConnection: close\r\n\r\n"
    b"This port speaks https, and that was no TLS\n"
)


def secure(connection: HTTPConnection, tls: TLSContext) -> None:
    """Put TLS between a connection that was just accepted and its socket."""
    connection.transport.release()
    timeout = connection.server.settings.http.socket_timeout
    connection.transport = TLSTransport(connection.sock, connection.sweeper, timeout, connection.peer, tls.default)


def serve(connection: HTTPConnection, template: dict[str, Any], tls: TLSContext) -> None:
    """Shake hands, and serve the connection. Runs in the connection's own greenlet; never raises but when it is killed.

    Args:
        connection: after `secure`.
        template: of its environs, to which the client's certificate is added.
        tls: the certificates.
    """
    complete = False
    transport = connection.transport
    assert isinstance(transport, TLSTransport)
    transport.stream.peer = connection.peer  # which a PROXY protocol header has changed
    seconds = connection.server.settings.http.headers_timeout
    try:
        complete = _shake_hands(transport, tls, connection.sweeper.now + seconds)
        if complete:
            tls.describe(transport.stream.ssl, template)
            connection.hosts = tls.guard(transport.stream.ssl)
    except TimedOut:
        log(f"{connection.peer or 'unix peer'}: the TLS handshake did not end within {seconds:g} seconds")
    except ssl.SSLError as error:
        _refuse(connection, transport, error)
    finally:
        if not complete:
            connection.abandon()
    if complete:
        http2 = transport.stream.ssl.selected_alpn_protocol() == "h2"
        del transport  # a websocket lets go of it
        if http2:
            connection.serve_http2(template)
        else:
            connection.serve()


def _shake_hands(transport: TLSTransport, tls: TLSContext, deadline: float) -> bool:
    """Complete the handshake; False when the client has left before.

    Raises:
        TimedOut: the client stalls.
        ssl.SSLError: why there is no connection.
    """
    stream = transport.stream
    heard = b""  # before the client's name was known
    chosen = False
    while True:
        data = transport.receive_ciphertext(deadline)
        if not data:
            return False
        try:
            complete = stream.handshake(data)
        except ssl.SSLError:
            context = tls.take_choice()
            if context is None:
                raise
            chosen = True
            stream.begin(context)
            complete = stream.handshake(heard + data)
        stream.flush()
        if complete:
            return True
        if not chosen:
            heard += data


def _refuse(connection: HTTPConnection, transport: TLSTransport, error: ssl.SSLError) -> None:
    """One line in the log; the client has OpenSSL's alert, or an answer that it understands."""
    peer = connection.peer or "unix peer"
    if error.reason == "HTTP_REQUEST":
        log(f"{peer}: 400 Bad Request: plain HTTP to a TLS port")
        transport.stream.answer_plainly(_PLAIN_HTTP)
    else:
        log(f"{peer}: no TLS connection: {reason_of(error)}")
        transport.stream.flush()
    if not connection.server.stopping:
        transport.linger()
