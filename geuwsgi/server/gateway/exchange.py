"""One request, answered by a backend: `forward`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Optional

import gevent
from greenlet import GreenletExit

from ...errors import HTTPError
from ...log import log
from ...protocol import http_client, uwsgi_client
from ...protocol.chunked import ChunkDecoder
from ...protocol.http_client import MAX_HEAD, BadResponse, ResponseHead, options
from ..stream import SocketStream
from ..transport import ClientError, TimedOut
from . import gzip
from .backend import ACTIVE, HITS
from .link import UNAVAILABLE, BackendError, Link, Unreachable, connect
from .tunnel import Tunnel

if TYPE_CHECKING:
    from ..request import Request
    from .backend import Backend
    from .pool import Pool

BAD_GATEWAY = "502 Bad Gateway"
NO_ROOM = "507 Insufficient Storage"
GATEWAY_TIMEOUT = "504 Gateway Timeout"

#: Methods that may be sent a second time when a kept connection turns out to be closed (RFC 9110 section 9.2.2).
_IDEMPOTENT = frozenset(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PROPFIND", "REPORT", "SEARCH", "QUERY"])

#: Bytes of a collected body that stay in memory; more goes to a temporary file.
_SPOOL = 1024 * 1024

#: Seconds between two looks whether the client still waits for a backend that takes its time.
_LOOK = 2.0

#: Seconds that one side of a tunnel has for its last words when the other one has ended.
_AFTERLIFE = 3.0

_LAST_CHUNK = b"0\r\n\r\n"


def forward(request: Request, pool: Pool) -> Iterable[bytes]:
    """Have one of some backends answer a request. Runs in the request's greenlet.

    Args:
        request: whose `environ` is sent as it is now, with the body that the application has not read, and to whose response
            (`request.connection.response`) the answer goes. Nothing may have been sent to the client yet.
        pool: the backends; they are tried in turn until one can be reached.

    Returns:
        What a WSGI application would return: the rest of the body. Everything may have been sent already.

    Raises:
        HTTPError: 503 when no backend can be reached, 504 when one is silent for too long, 502 when it closes or sends something else than
            a response; 431 when the head does not fit into a uwsgi packet, 501 for what cannot be forwarded, 507 when there is no room
            to collect the body. Also in the middle of the response, which the connection then breaks off.
        ClientError: the client has left, or its body is wrong.
    """
    return _Exchange(request, pool).run()


class _Exchange:
    """The state of one forwarded request."""

    __slots__ = (
        "backend",
        "body",
        "connection",
        "ended",
        "environ",
        "failure",
        "link",
        "pool",
        "request",
        "response",
        "settings",
        "spooled",
        "sweeper",
        "uploader",
        "whole",
    )

    def __init__(self, request: Request, pool: Pool) -> None:
        self.request = request
        self.environ = request.environ
        self.connection = connection = request.connection
        self.response: Any = connection.response
        self.body = connection.body
        self.sweeper = connection.server.sweeper
        self.pool = pool
        self.settings = pool.settings
        self.backend: Optional[Backend] = None
        self.link: Optional[Link] = None
        self.uploader: Any = None
        #: The body, collected.
        self.spooled: Any = None
        #: What ended the upload before its end.
        self.failure: Optional[BaseException] = None
        #: The request has been sent to its end.
        self.whole = False
        #: The piece of the response that comes next is the last one.
        self.ended = False

    def run(self) -> Iterable[bytes]:
        try:
            return self._run()
        except Unreachable as error:
            raise HTTPError(UNAVAILABLE, str(error)) from None
        except BackendError as error:
            raise HTTPError(GATEWAY_TIMEOUT if error.late else BAD_GATEWAY, str(error)) from None
        except BadResponse as error:
            raise HTTPError(BAD_GATEWAY, f"{self._name}: {error}") from None
        finally:
            self._leave()

    @property
    def _name(self) -> str:
        return self.backend.name if self.backend is not None else "the backend"

    def _leave(self) -> None:
        """Whatever happened: nothing of this exchange goes on."""
        uploader, self.uploader = self.uploader, None
        if uploader is not None:
            uploader.kill()
        if self.spooled is not None:
            with suppress(OSError):  # what it could not write it tries to write again
                self.spooled.close()
        if self.backend is not None:
            self.backend.counts[ACTIVE] -= 1
        if self.link is not None:
            self.link.close()
            self.link = None

    # -- to the backend

    def _run(self) -> Iterable[bytes]:
        upgrade = self._upgrade()
        link = self._ask(upgrade)
        if self.settings.raw_body:
            self.response.switched("", 0)
            return self._tunnel(link, b"", b"")
        try:
            head, rest = self._read_head(link)
        except BackendError as error:
            if not link.reused or error.late:
                raise
            # The backend has closed a connection that was kept, in the moment in which the request was on its way.
            self._drop_link()
            link = self._ask(upgrade, fresh=True)
            head, rest = self._read_head(link)
        assert self.backend is not None
        self.pool.works(self.backend)
        if head.code == 101:
            if not upgrade:
                raise BackendError(f"{self._name} changes the protocol unasked")
            self.response.switched(head.status, len(head.headers) + 2)
            return self._tunnel(link, self._switching(head, upgrade), rest)
        return self._answer(link, head, rest)

    def _drop_link(self) -> None:
        assert self.link is not None
        assert self.backend is not None
        self.link.close()
        self.link = None
        self.backend.counts[ACTIVE] -= 1
        self.backend = None

    def _upgrade(self) -> str:
        """The protocol that the client wants to change to, "" for none.

        HTTP/2 in clear text is none: behind a front it would be a tunnel past everything that the front decides.
        """
        environ = self.environ
        if "HTTP_SEC_WEBSOCKET_KEY" in environ:
            return "websocket"
        wanted = environ.get("HTTP_UPGRADE", "")
        if not wanted or "h2c" in wanted.lower() or "upgrade" not in options(environ.get("HTTP_CONNECTION", "")):
            return ""
        return str(wanted)

    def _ask(self, upgrade: str, fresh: bool = False) -> Link:
        """Send the request to the first backend that can be reached."""
        settings = self.settings
        if self.body.chunked and not self.body.ended and not (settings.chunked_input or settings.raw_body):
            self._spool()
        last: Optional[Unreachable] = None
        for backend in self.pool.candidates():
            head, payload = self._head(backend, upgrade)
            link = None
            try:
                if backend.http and not fresh and self.body.ended and self.environ["REQUEST_METHOD"] in _IDEMPOTENT:
                    link = self.pool.take_idle(backend)
                if link is None:
                    link = connect(backend, self.sweeper, settings.timeout, settings.connect_timeout)
                link.send(head)
            except Unreachable as error:
                self.pool.failed(backend, error)
                backend.forget_targets()
                last = error
                if link is not None:
                    link.close()
                continue
            except BackendError:
                assert link is not None
                if not link.reused:
                    link.close()
                    raise
                # Not alive after all. Reading will tell so, and have it asked again.
            except BaseException:
                if link is not None:
                    link.close()
                raise
            self.link = link
            self.backend = backend
            backend.counts[ACTIVE] += 1
            backend.counts[HITS] += 1
            self.whole = payload is None
            if payload is not None:
                link.hurry()
                self._upload(link, payload)
            return link
        assert last is not None
        raise Unreachable(f"no backend can be reached: {last}", last.late)

    def _head(self, backend: Backend, upgrade: str) -> tuple[bytes, Optional[Iterator[bytes]]]:
        """The head for a backend, with the body if it is there already, and what is to follow."""
        body = self.body
        environ = self.environ
        spooled = self.spooled
        payload: Optional[Iterator[bytes]] = None
        if self.settings.raw_body:
            length = -1 if body.chunked else int(environ.get("CONTENT_LENGTH") or 0)
        elif spooled is not None:
            spooled.seek(0, 2)
            length = spooled.tell()
            spooled.seek(0)
            payload = iter(lambda: spooled.read(65536), b"") if length else None
        elif body.ended:
            length = 0
        elif body.chunked:
            length = -1
            payload = self._chunks()
        else:
            length = int(environ["CONTENT_LENGTH"])
            payload = self._pieces()
        if backend.http:
            try:
                head = http_client.encode_request(environ, length, upgrade, keep_alive=not self.settings.raw_body)
            except ValueError as error:
                raise HTTPError("400 Bad Request", str(error)) from None
        else:
            try:
                head = uwsgi_client.encode_request(environ, backend.modifier1, backend.modifier2, length, self.settings.variables)
            except ValueError as error:
                raise HTTPError("431 Request Header Fields Too Large", str(error)) from None
        return head, payload

    def _pieces(self) -> Iterator[bytes]:
        while not self.body.ended:
            yield self.body.some()

    def _chunks(self) -> Iterator[bytes]:
        for data in self._pieces():
            if data:
                yield b"%x\r\n%b\r\n" % (len(data), data)
        yield _LAST_CHUNK

    def _spool(self) -> None:
        """Collect a chunked body: its length has to be known before a uwsgi backend is asked."""
        if not all(backend.http for backend in self.pool.backends):
            self.spooled = tempfile.SpooledTemporaryFile(_SPOOL)  # noqa: SIM115 - closed by `_leave`
            for data in self._pieces():
                try:
                    self.spooled.write(data)
                    self.spooled.flush()
                except OSError as error:
                    where = tempfile.tempdir or "a temporary file"
                    raise HTTPError(NO_ROOM, f"the body cannot be collected in {where}: {error.strerror or error}") from None

    def _upload(self, link: Link, payload: Iterator[bytes]) -> None:
        """Send the body: what is there at once, the rest in a greenlet of its own, because the backend may answer meanwhile."""
        body = self.body
        try:
            if body.ended or body.ready:
                link.send(next(payload))
                if body.ended:
                    data = next(payload, None)
                    if data is None:
                        self.whole = True
                        return
                    link.send(data)
        except BackendError:
            return  # as in `_send_body`
        self.uploader = gevent.spawn(self._send_body, link, payload)

    def _send_body(self, link: Link, payload: Iterator[bytes]) -> None:
        try:
            for data in payload:
                link.send(data)
            self.whole = True
        except BackendError:
            pass  # it takes no more: its response, or its end, says why
        except GreenletExit:
            return
        except BaseException as error:
            self.failure = error
            link.interrupt()
        self.uploader = None

    # -- from the backend

    def _receive(self, link: Link) -> bytes:
        """Bytes of the backend; b"" at its end. While it takes its time, look now and then whether the client still waits.

        Raises:
            BackendError: it takes too long.
            ClientError: the client has left.
        """
        data = None if self.failure is None else b""
        silent = 0.0
        while data is None:
            seconds = min(_LOOK, self.settings.timeout - silent)
            before = time.monotonic()
            try:
                data = link.receive(seconds)
            except TimedOut:
                self._check_client()
                if self.uploader is not None:
                    continue  # it may well be waiting for the rest of the request, whose sender has a limit of its own
                silent += time.monotonic() - before
                if silent >= self.settings.timeout:
                    raise BackendError(f"{self._name} is silent for {self.settings.timeout:g} seconds", late=True) from None
        if not data and self.failure is not None:
            raise self.failure
        return data

    def _check_client(self) -> None:
        if self.connection.transport.left():
            raise ClientError(f"the client has left before {self._name} has answered")

    def _read_head(self, link: Link) -> tuple[ResponseHead, bytes]:
        """The head of the final response (or of a 101), and the bytes behind it."""
        data = b""
        while True:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                head = ResponseHead(data[: end + 4])
                data = data[end + 4 :]
                if head.code >= 200 or head.code == 101:
                    return head, data
                if head.code != 100:  # which was said to the client already, if it wanted to hear it
                    self.response.inform(head.status, head.headers)
                continue
            if len(data) > MAX_HEAD:
                raise BadResponse(f"a response head of more than {MAX_HEAD} bytes")
            if data[:5] != b"HTTP/"[: len(data)]:
                raise BadResponse("not an HTTP response")
            more = self._receive(link)
            if not more:
                raise BackendError(
                    f"{self._name} has closed the connection " + ("in the middle of a response head" if data else "unanswered")
                )
            data += more

    def _answer(self, link: Link, head: ResponseHead, data: bytes) -> Iterable[bytes]:
        """Hand the response on.

        What is there as a whole is sent here, not by the caller: the backend's connection is closed behind it, which takes its time.
        """
        response = self.response
        settings = self.settings
        headers = head.headers
        zipped = False
        if (settings.auto_gzip or settings.gzip) and gzip.wanted(
            head.code, headers, head.length, head.chunked, settings.auto_gzip, settings.gzip
        ):
            zipped = gzip.accepts_gzip(self.environ)
            headers = gzip.adapt(headers, zipped)
        response.start_response(head.status, headers)
        if self.environ["REQUEST_METHOD"] == "HEAD" or head.code in (204, 304):
            # There are backends that send the body all the same, a moment later: it would be read as the answer to somebody else's request.
            self._done(link, head, not data and head.length <= 0 and not head.chunked)
            return ()
        length = head.length
        if 0 <= length <= len(data) and not zipped:
            response.whole(data[:length])
            self._done(link, head, len(data) == length)
            return ()
        if head.chunked:
            pieces = self._decoded(link, head, data)
        elif length >= 0:
            pieces = self._counted(link, head, data)
        else:
            pieces = self._until_end(link, data)
        if zipped:
            pieces = gzip.compressed(pieces)
        for piece in pieces:
            if self.ended and not response.head_sent and not zipped:
                response.whole(piece)
            elif piece:
                response.write(piece)
        return ()

    def _counted(self, link: Link, head: ResponseHead, data: bytes) -> Iterator[bytes]:
        """A body of Content-Length bytes."""
        left = head.length
        while True:
            clean = len(data) <= left
            data = data[:left]
            left -= len(data)
            self.ended = not left
            yield data
            if not left:
                self._done(link, head, clean)
                return
            data = self._receive(link)
            if not data:
                raise BackendError(f"{self._name} has closed the connection {left} bytes before the end of its response")

    def _until_end(self, link: Link, data: bytes) -> Iterator[bytes]:
        """A body that ends with the connection."""
        more = link.receive_now()
        self.ended = more == b""
        if more:
            data += more
        while not self.ended:
            yield data
            data = self._receive(link)
            self.ended = not data
        yield data

    def _decoded(self, link: Link, head: ResponseHead, data: bytes) -> Iterator[bytes]:
        """A body of chunks, which the client gets as chunks of its own."""
        decoder = ChunkDecoder(MAX_HEAD)
        while True:
            try:
                pieces, rest = decoder.feed(data) if data else ([], b"")
            except HTTPError as error:
                raise BackendError(f"{self._name}: {error.detail}") from None
            self.ended = decoder.done
            yield b"".join(pieces)
            if decoder.done:
                self._done(link, head, not rest)
                return
            data = self._receive(link)
            if not data:
                raise BackendError(f"{self._name} has closed the connection in the middle of a chunked response")

    def _done(self, link: Link, head: ResponseHead, clean: bool) -> None:
        """The response is there as a whole: the connection may serve another request, unless it would be read as the rest of this one."""
        if clean and link.backend.http and head.keep_alive and self.whole and self.failure is None:
            self.link = None
            self.pool.keep(link)

    # -- after a 101

    def _switching(self, head: ResponseHead, upgrade: str) -> bytes:
        lines = [f"HTTP/1.1 {head.status}", f"Upgrade: {head.upgrade or upgrade}", "Connection: Upgrade"]
        lines += [f"{name}: {value}" for name, value in head.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _tunnel(self, link: Link, head: bytes, to_client: bytes) -> Iterable[bytes]:
        if self.settings.raw_body:
            self.body.waive()
        client, head, early = self.connection.upgrade(head)
        link.hurry()
        link.release()
        native = link.native
        self.link = None
        timeout = self.settings.timeout
        # Nobody half closes a websocket, but whoever has sent all of a raw body may well wait for the answer.
        afterlife = timeout if self.settings.raw_body else min(timeout, _AFTERLIFE)
        tunnel = Tunnel(client, SocketStream(native.detach(), native.family), timeout, afterlife)
        tunnels = self.connection.server.tunnels
        tunnels.add(tunnel)
        try:
            _, self.request.body_bytes = tunnel.run(early, head + to_client)
        finally:
            tunnels.discard(tunnel)
        who = self.environ.get("REMOTE_ADDR") or "unix peer"
        if tunnel.problem:
            log(f"{who}: tunnel to {self._name}: {tunnel.problem}")
        elif tunnel.backend_left_first and "HTTP_SEC_WEBSOCKET_KEY" in self.environ and not _says_goodbye(tunnel.farewell):
            log(f"{who}: {self._name} has ended a websocket without a close frame")
        return ()


def _says_goodbye(last: bytes) -> bool:
    """Whether bytes end with a close frame of a websocket server (RFC 6455 section 5.5.1)."""
    size = len(last)
    return any(last[start] == 0x88 and last[start + 1] == size - start - 2 for start in range(size - 1))
