"""One HTTP/1.1 connection: reads heads, calls the application, sends responses, until one side has enough."""

from __future__ import annotations

import os
import socket as stdlib_socket
import time
import traceback
from typing import TYPE_CHECKING, Any, Optional

from greenlet import GreenletExit

from ..errors import ConnectionClosed, HTTPError
from ..log import log
from ..protocol.handshake import HandshakeError
from ..protocol.http import HTTP2Preface, RequestParser
from . import forked
from .body import NO_BODY, Body
from .head import date_line
from .request import Request
from .response import Response
from .transport import ClientError, TimedOut, Transport

if TYPE_CHECKING:
    from .http2.connection import HTTP2Connection
    from .http2.stream import HTTP2Stream
    from .server import Server
    from .stream import ByteStream
    from .tls import HostGuard

#: Seconds that an idle connection stays open once its worker retires: a client that is about to send its next request gets an answer,
#: and is told with it to come back on another connection.
IDLE_GRACE = 2.0

#: Pipelined requests served in a row before other connections get their turn.
_PIPELINE_TURN = 16

#: The environ between requests.
NOTHING: dict[str, Any] = {}

#: Where tracebacks are of no interest to whoever looks for a mistake in an application.
_OWN_FILES = os.path.dirname(os.path.dirname(__file__)) + os.sep


class HTTPConnection:
    """One connection, served by one greenlet.

    Args:
        sock: the accepted gevent socket.
        server: whose application is served.
        template: what is in every environ of this connection.

    Attributes:
        sock: the gevent socket, also after an upgrade.
        transport: moves its bytes.
        parser: finds the requests in them.
        request: the one being served, or None between requests.
        body: its body.
        response: the response to it.
        responding: the final response to it has begun.
        spoiled: its body broke off, so that no further request can be found behind it.
        upgraded: the socket belongs to somebody else.
        http2: serves the connection in this one's place, since the client speaks HTTP/2.
        hosts: refuses requests for hosts that this TLS connection is not good for; None where it is good for all.
        parser_class: finds the requests in what it is given.
        body_class: reads the bodies.
        response_class: frames the responses.
        packets: requests come in uwsgi packets, whose variables the access log counts as they are.
    """

    parser_class: Any = RequestParser
    body_class: type[Body] = Body
    response_class: type[Response] = Response
    packets = False

    __slots__ = (
        "__weakref__",
        "body",
        "greenlet",
        "hosts",
        "http2",
        "parser",
        "peer",
        "request",
        "responding",
        "response",
        "server",
        "sock",
        "spoiled",
        "sweeper",
        "transport",
        "upgraded",
    )

    def __init__(self, sock: Any, server: Server, template: dict[str, Any]) -> None:
        settings = server.settings.http
        self.sock = sock
        self.server = server
        self.peer: str = template["REMOTE_ADDR"]
        self.sweeper = server.sweeper
        self.transport = Transport(sock, server.sweeper, settings.socket_timeout)
        self.parser: Any = self.parser_class(template, settings.buffer_size)
        self.request: Optional[Request] = None
        self.body: Body = NO_BODY
        self.response: Optional[Response] = None
        self.responding = False
        self.spoiled = False
        self.upgraded = False
        self.greenlet: Any = None
        self.http2: Optional[HTTP2Connection] = None
        self.hosts: Optional[HostGuard] = None

    # -- for the websocket

    def upgrade(self, head: bytes) -> tuple[ByteStream, bytes, bytes]:
        """Stop speaking HTTP: from now on the stream belongs to the caller, who also closes it.

        Args:
            head: the response that grants the upgrade.

        Returns:
            the stream, what of the response the caller has to send on it, and the bytes that the client has sent behind its request.

        Raises:
            HTTPError: the request has a body, which would be taken for what comes after the upgrade.
        """
        if not self.body.ended:
            raise HTTPError("400 Bad Request", "websocket handshake with a request body")
        unread: bytes = self.parser.take_unread()
        self.upgraded = True
        stream = self.transport.hand_over()
        # A websocket may stay for days: what only HTTP needs is not kept for it.
        self.parser.close()
        self.parser = None
        del self.transport
        return stream, head, unread

    def refuse(self, request: Request, error: HTTPError) -> None:
        """Answer a handshake that cannot be granted, in the middle of the application's call; what the application sends is ignored."""
        log(f"{self._who()}: {request.environ['REQUEST_METHOD']} {request.environ['REQUEST_URI']}: {error}")
        if request is self.request and self.response is not None:
            try:
                self.response.refuse(error.status)
            except ClientError:
                pass

    def give_core_back(self) -> None:
        """The application has done its part, and what is left may take as long as the client likes."""
        request = self.request
        running = self.server.running
        if request is not None and running.get(request.core) is request:
            del running[request.core]
            self.server.cores.release(request.core)

    # -- for applications that go beyond WSGI

    def disconnect(self) -> None:
        """End the connection while the application goes on."""
        self.spoiled = self.transport.broken = True
        try:
            self.sock.shutdown(stdlib_socket.SHUT_RDWR)
        except OSError:
            pass

    def read_raw(self, size: int) -> bytes:
        """At most `size` bytes of what the client sends, past HTTP; b"" when it has closed. No further request is read.

        Raises:
            ClientError: nothing comes.
        """
        self.spoiled = True
        data: bytes = self.parser.take_unread()
        if data:
            self.parser.put_back(data[size:])
            return data[:size]
        return self.transport.receive(self.sweeper.now + self.server.settings.http.socket_timeout, size)

    @property
    def idle(self) -> bool:
        """It waits for a request of which nothing has come yet."""
        if self.http2 is not None:
            return self.http2.idle
        return not self.upgraded and self.request is None and not self.parser.started and not self.parser.environ

    def retire(self) -> None:
        """The worker retires: end with the request that is served, or soon when there is none."""
        if self.http2 is not None:
            self.http2.retire()
        elif self.idle:
            self.transport.hurry(IDLE_GRACE)

    def stop(self) -> None:
        """The server ends: what is idle ends at once."""
        if self.http2 is not None:
            self.http2.stop()
        elif self.idle:
            self.greenlet.kill(block=False)

    def greenlets(self) -> list[Any]:
        """All that serve this connection."""
        return [self.greenlet] if self.http2 is None else [self.greenlet, *self.http2.greenlets()]

    def abandon(self) -> None:
        """Close a connection whose greenlet was killed before it ran, or does not let itself be killed."""
        if not self.upgraded:
            self.transport.close()
        self.server.forget(self)

    # -- the loop

    def serve(self) -> None:
        """Serve requests until the connection ends. Runs in the connection's own greenlet; never raises but when it is killed."""
        try:
            settings = self.server.settings.http
            if self._first_head():
                turn = 0
                while self._serve_request():
                    if self.parser.feed_unread():
                        turn += 1
                        if turn % _PIPELINE_TURN == 0:
                            # Not sleep(0), after which the loop goes on for a while without looking at other sockets.
                            self.transport.wait_writable()
                    elif not self._read_head(settings.keepalive if self.server.keep_connections else IDLE_GRACE):
                        break
        except HTTPError as error:
            self._refuse(error.status, error.detail)
        except TimedOut:
            if self.parser.started:
                self._refuse("408 Request Timeout", "the request head did not arrive in time")
        except ClientError as error:
            log(f"{self._who()}: {error}")
        finally:
            if not self.upgraded:
                self.transport.close()
                self.parser.close()
            self.server.forget(self)

    def _first_head(self) -> bool:
        try:
            data = self.transport.receive_now()
            if data is None:
                return self._read_head(self.server.settings.http.headers_timeout)
            if not data:
                return False
            return bool(self.parser.feed(data)) or self._read_head(self.server.settings.http.headers_timeout)
        except HTTP2Preface as preface:
            if not self.server.settings.http.http2:
                detail = f"{preface.detail}, which is served with geuwsgi[http2] installed, and without disable-http2"
                raise HTTPError(preface.status, detail) from None
            template = preface.template
        self._speak_http2(template, self.parser.take_unread(), b"SM\r\n\r\n")
        return False

    def serve_http2(self, template: dict[str, Any]) -> None:
        """As `serve`, for a client with which HTTP/2 was agreed on.

        Args:
            template: what is in every environ of this connection.
        """
        try:
            self._speak_http2(template, b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        finally:
            self.transport.close()
            self.server.forget(self)

    def _speak_http2(self, template: dict[str, Any], data: bytes, preface: bytes) -> None:
        """Serve streams to the end: `data` has come, and has to begin with what is left of the preface."""
        from .http2.connection import HTTP2Connection

        self.http2 = HTTP2Connection(self.transport, self.server, template, self.greenlet, self._stream_class(), self.hosts)
        self.http2.serve(data, preface)

    def _stream_class(self) -> type[HTTP2Stream]:
        """What serves a request of HTTP/2."""
        from .http2.stream import HTTP2Stream

        return HTTP2Stream

    def _read_head(self, idle: float) -> bool:
        """Read until a head is complete; False when the client has closed.

        Args:
            idle: seconds until its first byte has to be there.
        """
        transport = self.transport
        parser = self.parser
        deadline = self.sweeper.now + idle
        started = parser.started
        while True:
            try:
                data = transport.receive(deadline)
            except TimedOut:
                data = transport.receive_now() or b""  # it may have come in the same turn of the loop
                if not data:
                    raise
            if not data:
                return False
            if parser.feed(data):
                return True
            if not started and parser.started:
                # All of the head has this long, however slowly its bytes drip in.
                started = True
                deadline = self.sweeper.now + self.server.settings.http.headers_timeout

    def _serve_request(self) -> bool:
        """Serve the request whose head is complete; False when the connection is over."""
        server = self.server
        parser = self.parser
        environ = parser.environ
        head_size, header_count = parser.head_size, parser.header_count
        core = server.cores.acquire()
        server.last_id = number = server.last_id + 1
        request = self.request = Request(self, environ, core, number, server.log_requests)
        request.bind(self.greenlet)
        server.running[core] = request
        self.responding = False
        environ["uwsgi.core"] = core
        if "HTTP_X_FORWARDED_FOR" in environ or "HTTP_X_FORWARDED_PROTO" in environ or "HTTP_X_FORWARDED_SSL" in environ:
            server.trust.apply(environ)
        body = self.body = self.body_class(self, parser.content_length, parser.expect_continue) if parser.content_length else NO_BODY
        environ["wsgi.input"] = body
        response = self.response = self.response_class(self, request, parser.http11, environ["REQUEST_METHOD"] == "HEAD", parser.keep_alive)
        del parser  # a websocket lets go of it
        failure: Optional[BaseException] = None
        try:
            try:
                if self.hosts is not None:
                    self.hosts.check(environ)
                result = server.application(environ, response.start_response)
                if forked.child:
                    forked.end(None)
                try:
                    response.send(result)
                finally:
                    close = getattr(result, "close", None)
                    if close is not None:
                        close()
            except BaseException as error:  # gevent.Timeout is no Exception, and SystemExit may not end the others
                if forked.child:
                    forked.end(error)
                if isinstance(error, (GreenletExit, KeyboardInterrupt)):
                    raise  # the server is stopping
                failure = error
                self._failed(request, response, error)
        finally:
            self.request = self.response = None
            if server.running.get(core) is request:
                del server.running[core]
                server.cores.release(core)
            try:
                request.end()
            except Exception:
                log(traceback.format_exc().rstrip("\n"))
            server.total_requests += 1
            if request.websocket is not None:
                request.websocket.finish(failure)
                request.body_bytes = request.websocket.writer.bytes_sent
            if server.after_request is not None:
                server.after_request(request)
            if request.log:
                server.accesslog.add(request, head_size, header_count, server.total_requests)
            # An idle connection keeps nothing of its last request alive.
            self.greenlet.spawn_tree_locals = None
            self.body = NO_BODY
            if not self.upgraded:
                self.parser.environ = NOTHING
        return self._goes_on(response, body)

    def _goes_on(self, response: Response, body: Body) -> bool:
        """Whether another request may come behind the one that has been served."""
        if self.upgraded:
            return False
        if self.transport.reader is not None:
            # A greenlet of the application still waits for the body: nobody can find the end of it, and a request behind it.
            return False
        if response.keep_alive and not self.spoiled and (body.ended or body.discard()):
            return True
        # A front server sends one request, so that there is no need to look for another one.
        if not body.ended or self.parser.has_unread or (not self.packets and self.transport.receive_now()):
            self._linger()
        return False

    def must_close(self) -> bool:
        """Whether the response being begun has to be the connection's last."""
        return not self.server.keep_connections or self.spoiled or self.body.oversized

    # -- what goes wrong

    def _failed(self, request: Request, response: Response, error: BaseException) -> None:
        """The application, or sending what it said, has raised."""
        if request.websocket is not None:
            if not isinstance(error, ConnectionClosed) and not isinstance(error.__cause__, ConnectionClosed):
                self._log_traceback(request, error)
            return
        cause = error if isinstance(error, (ClientError, HTTPError)) else error.__cause__
        if isinstance(cause, HandshakeError) and cause.status:
            cause = HTTPError(cause.status, cause.reason)
        if isinstance(cause, (ClientError, HTTPError)):
            # The client's doing: a line, no traceback.
            status = cause.status
            if not response.refused:
                log(f"{self._who()}: {request.environ['REQUEST_METHOD']} {request.environ['REQUEST_URI']}: {cause}")
            if not status or self.transport.broken:
                response.keep_alive = False
                return
        else:
            status = "500 Internal Server Error"
            self._log_traceback(request, error)
        try:
            response.fail(status)
        except ClientError:
            response.keep_alive = False

    def _log_traceback(self, request: Request, error: BaseException) -> None:
        self.server.exceptions += 1
        environ = request.environ
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename.startswith(_OWN_FILES):
            trace = trace.tb_next  # begin where the application does
        text = "".join(traceback.format_exception(type(error), error, trace)).rstrip("\n")
        log(f"{environ.get('REQUEST_METHOD')} {environ.get('REQUEST_URI')}: the application raised\n{text}")

    def _who(self) -> str:
        return self.peer or "unix peer"

    def _refuse(self, status: str, detail: str) -> None:
        """Answer what is not a request that can be served, and close."""
        log(f"{self._who()}: {status}: {detail}" if detail else f"{self._who()}: {status}")
        body = status.encode("latin-1") + b"\n"
        lines = [
            f"HTTP/1.1 {status}",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body)}",
            date_line(time.time()),
            "Connection: close\r\n\r\n",
        ]
        try:
            self.transport.send("\r\n".join(lines).encode("latin-1") + body)
            self._linger()
        except ClientError:
            pass

    def _linger(self) -> None:
        if not self.server.stopping:  # which is no time to wait for clients
            self.transport.linger()
