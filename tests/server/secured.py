"""Clients of TLS ports that see and decide every record, and a server in this process with such a port."""

from __future__ import annotations

import dataclasses
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

import gevent.socket

from geuwsgi.server.listener import open_listener
from geuwsgi.server.server import Server
from geuwsgi.server.settings import CertificateSettings, TLSSettings, WebSocketSettings
from geuwsgi.server.tls import Pems, TLSContext
from tests.harness.certificates import certificates
from tests.server.serving import Application, Client, Serving, settings


class Peer:
    """The client's end of a TLS connection, with the methods of a socket.

    Args:
        address: of the server.
        context: trusts what, shows what.
        name: the server's name that is asked for; None for none.
        shake: complete the handshake at once.
        receive_buffer: the kernel's, in bytes.
    """

    family = gevent.socket.AF_INET

    def __init__(
        self,
        address: Any,
        context: Optional[ssl.SSLContext] = None,
        name: Optional[str] = "localhost",
        shake: bool = True,
        receive_buffer: int = 0,
    ) -> None:
        self.sock = gevent.socket.socket()
        if receive_buffer:
            self.sock.setsockopt(gevent.socket.SOL_SOCKET, gevent.socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(20)
        self.sock.connect(address)
        self.sock.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
        context = context or certificates().context()
        if name is None:
            context.check_hostname = False
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        #: The server has said goodbye in TLS.
        self.goodbye = False
        if shake:
            try:
                self.shake_hands()
            except ssl.SSLError:
                self.sock.close()
                raise

    def shake_hands(self) -> None:
        while True:
            try:
                self.ssl.do_handshake()
            except ssl.SSLWantReadError:
                self._exchange()
            else:
                break
        self.sock.sendall(self.outgoing.read())

    def _exchange(self) -> None:
        if self.outgoing.pending:
            self.sock.sendall(self.outgoing.read())
        data = self.sock.recv(65536)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    def records(self, data: bytes) -> bytes:
        """The ciphertext of some bytes: one record for each 16 KiB."""
        self.ssl.write(data)
        return self.outgoing.read()

    def sendall(self, data: bytes) -> None:
        for start in range(0, len(data), 16384):
            self.sock.sendall(self.records(data[start : start + 16384]))

    def recv(self, size: int) -> bytes:
        while True:
            try:
                data = self.ssl.read(size)
            except ssl.SSLWantReadError:
                self._exchange()
            except ssl.SSLEOFError:
                return b""
            else:
                self.goodbye = not data
                return data

    def settimeout(self, seconds: float) -> None:
        self.sock.settimeout(seconds)

    def setsockopt(self, *what: Any) -> None:
        self.sock.setsockopt(*what)

    def getsockname(self) -> Any:
        return self.sock.getsockname()

    def shutdown(self, how: int) -> None:
        """Say goodbye in TLS, and then what TCP has for it."""
        try:
            self.ssl.unwrap()
        except ssl.SSLError:
            pass
        self.sock.sendall(self.outgoing.read())
        self.sock.shutdown(how)

    def close(self) -> None:
        self.sock.close()


class SecureClient(Client):
    """As `Client`, over TLS."""

    def __init__(self, peer: Peer) -> None:
        self.sock = peer
        self.buffer = b""


class SecureServing(Serving):
    """The server under test, on a TLS port."""

    @property
    def address(self) -> Any:
        return self.listener.sock.getsockname()

    def connect(self, **options: Any) -> SecureClient:
        """Options are those of `Peer`."""
        self.clients.append(SecureClient(Peer(self.address, **options)))
        return self.clients[-1]  # type: ignore[return-value]

    def plain(self) -> Client:
        """A client that speaks no TLS, unless the test does."""
        return super().connect()


def tls_context(**options: Any) -> TLSContext:
    """The certificates of a port; `options` are TLSSettings."""
    found = certificates()
    options.setdefault("certificate", CertificateSettings(found.cert, found.key))
    return TLSContext(TLSSettings(**options), Pems())


@contextmanager
def serving_tls(
    application: Application, http: Any = None, websocket: Optional[WebSocketSettings] = None, proxied: bool = False, **options: Any
) -> Iterator[SecureServing]:
    """Serve an application on a TLS port; `options` are TLSSettings."""
    listener = dataclasses.replace(open_listener("127.0.0.1:0"), tls=tls_context(**options), proxied=proxied)
    server = Server(application, [listener], settings(http, log_requests=False, websocket=websocket or WebSocketSettings()))
    server.start()
    found = SecureServing(server, listener)
    try:
        yield found
    finally:
        for client in found.clients:
            client.close()
        server.stop(2)
