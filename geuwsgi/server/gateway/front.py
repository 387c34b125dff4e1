"""The front: connections whose requests are answered by backends (`--http ADDRESS --http-to ADDRESS`), and those that ask how they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenlet import GreenletExit

from ..body import NO_BODY
from ..connection import NOTHING, HTTPConnection
from ..request import Request
from ..transport import ClientError
from .exchange import forward

if TYPE_CHECKING:
    from ..http2.stream import HTTP2Stream
    from .pool import Pool


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
