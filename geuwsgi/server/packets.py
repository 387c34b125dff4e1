"""Connections of front servers that speak the uwsgi protocol: `uwsgi_pass` of nginx, the HTTP router of uWSGI.

Only the beginning and the framing differ from HTTP: what a request is to the application, and all that the application can do with it,
is the same.
"""

from __future__ import annotations

from typing import Any

from ..log import log
from ..protocol.uwsgi import PING, RPC, SIGNAL, SPOOL, WSGI, WSGI_WITH_SCRIPT_NAME, PacketParser, packet
from .connection import HTTPConnection
from .response import Response
from .transport import ClientError

#: What is answered where nobody takes the packet. Source: a running uWSGI 2.0.31, which closes without an answer for all others.
_REFUSALS = {SPOOL: packet(255), SIGNAL: packet(255)}
_NAMES = {SPOOL: "a job for the spooler", SIGNAL: "a signal", RPC: "a remote procedure call"}


class PacketResponse(Response):
    """A response to a front server: it ends with the connection, and the connection is no business of the client's."""

    __slots__ = ()

    until_closed = True

    def _build_head(self, size: int) -> bytes:
        head = self._head
        if head is None or head.length >= 0 or size < 0 or "UWSGI_ROUTER" not in self._request.environ:
            return super()._build_head(size)
        # uWSGI's router hands the head on as it is, and closes: a client that sees a length would take the connection for one that stays.
        encoded = super()._build_head(-1)
        self._left = size
        return encoded


class UwsgiConnection(HTTPConnection):
    """A connection that begins with a uwsgi packet."""

    __slots__ = ()

    parser_class: Any = PacketParser
    response_class = PacketResponse
    packets = True

    def _read_head(self, idle: float) -> bool:
        if super()._read_head(idle):
            return True
        if self.parser.started:
            log(f"{self._who()}: the connection ended in the middle of a uwsgi packet")
        return False

    def _serve_request(self) -> bool:
        modifier1 = self.parser.modifier1
        if modifier1 in (WSGI, WSGI_WITH_SCRIPT_NAME):
            return super()._serve_request()
        answer = self._answer(modifier1, self.parser.modifier2, self.parser.block)
        if answer:
            try:
                self.transport.send(answer)
            except ClientError as error:
                log(f"{self._who()}: {error}")
        if self.parser.has_unread or self.transport.receive_now():
            self._linger()
        return False

    def _answer(self, modifier1: int, modifier2: int, block: bytes) -> bytes:
        """What is said to a packet that is no request; b"" for nothing."""
        if modifier1 == PING:
            log(f"{self._who()}: PING")
            return packet(PING, modifier2=1)
        handler = self.server.modifiers.get(modifier1)
        if handler is not None:
            return handler(modifier2, block)
        what = _NAMES.get(modifier1, "another language or service")
        log(f"{self._who()}: unavailable modifier requested: {modifier1} ({what}); nobody takes it here")
        return _REFUSALS.get(modifier1, b"")
