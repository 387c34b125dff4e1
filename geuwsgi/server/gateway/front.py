"""The front: connections whose requests are answered by backends (`--http ADDRESS --http-to ADDRESS`), and those that ask how they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit

from ...protocol.http import environ_key
from ...protocol.http_client import options
from ..body import NO_BODY
from ..connection import NOTHING, HTTPConnection
from ..request import Request
from ..transport import ClientError
from .exchange import forward

if TYPE_CHECKING:
    from ..http2.stream import HTTP2Stream
    from .pool import Pool


#: Connection headers that name no field. Others are looked at.
_USUAL = frozenset(["keep-alive", "close", "Upgrade", "upgrade", "keep-alive, Upgrade"])

#: Fields that a client cannot have left behind: those by which its request is read, and what proxies before this one have said of it.
_STAYING = frozenset(
    [
        *("CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_CONNECTION", "HTTP_UPGRADE", "HTTP_HOST", "HTTP_FORWARDED"),
        *("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_SSL", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT"),
    ]
)


class FrontConnection(HTTPConnection):
    """As an HTTPConnection, for a listener that forwards.

    Its requests take no core and are not logged: those are the affair of whoever serves them. They run in no application's name, so
    the fake module does not know them.
    """

    __slots__ = ()

    def _stream_class(self) -> type[HTTP2Stream]:
        from ..http2.front import FrontStream

        return FrontStream

    def _serve_request(self) -> bool:
        server = self.server
        parser = self.parser
        environ = parser.environ
        server.last_id = number = server.last_id + 1
        request = self.request = Request(self, environ, -1, number, False)
        self.responding = False
        connection = environ.get("HTTP_CONNECTION")
        if connection is not None and connection not in _USUAL:
            _leave_behind(environ, connection)
        if "HTTP_X_FORWARDED_FOR" in environ or "HTTP_X_FORWARDED_PROTO" in environ or "HTTP_X_FORWARDED_SSL" in environ:
            server.trust.apply(environ)
        body = self.body = self.body_class(self, parser.content_length, parser.expect_continue) if parser.content_length else NO_BODY
        response = self.response = self.response_class(self, request, parser.http11, environ["REQUEST_METHOD"] == "HEAD", parser.keep_alive)
        del parser
        pool: Pool = server.front
        try:
            try:
                if self.hosts is not None:
                    self.hosts.check(environ)
                response.send(forward(request, pool))
            except (GreenletExit, KeyboardInterrupt):
                raise  # the server is stopping
            except BaseException as error:
                self._failed(request, response, error)
        finally:
            self.request = self.response = None
            server.total_requests += 1
            self.body = NO_BODY
            if not self.upgraded:
                self.parser.environ = NOTHING
        return self._goes_on(response, body)


def _leave_behind(environ: dict[str, Any], connection: str) -> None:
    """Take out the fields that the client has named as this connection's own (RFC 9110 section 7.6.1)."""
    for option in options(connection):
        key = environ_key(option.encode("latin-1"))
        if key not in _STAYING:
            environ.pop(key, None)


class StatsConnection(HTTPConnection):
    """Whoever connects to `--http-stats` is told the state of the front, and asked nothing."""

    __slots__ = ()

    def serve(self) -> None:
        try:
            self.transport.send(self.server.front.report())
            self._linger()
        except ClientError:
            pass
        finally:
            self.transport.close()
            self.server.forget(self)
