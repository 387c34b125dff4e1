"""One TCP connection that speaks HTTP/2.

Its greenlet reads and hands the bytes to h2; what h2 makes of them is passed on to the streams. Another greenlet writes what h2 wants to
be written: everything that the streams of one turn of the loop have produced goes out together.
"""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Any, Callable

import gevent
import h2.events
from gevent import get_hub
from greenlet import GreenletExit
from h2.exceptions import DenialOfServiceError
from h2.exceptions import ProtocolError as H2ProtocolError
from h2.settings import SettingCodes

from ...errors import HTTPError
from ...log import log
from ...protocol.http2.guard import (
    CODE_NAMES,
    ENHANCE_YOUR_CALM,
    INTERNAL_ERROR,
    NO_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    FrameGuard,
    HTTP2Error,
)
from ...protocol.http2.head import MalformedRequest, read_head
from ..connection import IDLE_GRACE
from ..transport import ClientError, TimedOut
from .output import Output, one_line
from .session import Session
from .transport import StreamTransport

if TYPE_CHECKING:
    from ..server import Server
    from ..tls import HostGuard
    from ..transport import Transport
    from .stream import HTTP2Stream

#: Bytes that all streams together may send without waiting for one of them to be read. A stream has its own window besides.
CONNECTION_WINDOW = 1024 * 1024

#: Bytes read at once: what many small frames hold up the others for.
READ_SIZE = 16384

#: Seconds for the client to learn from the first GOAWAY that no further streams are wanted (RFC 9113 section 6.8).
GOAWAY_GRACE = 1.0

_FOREVER = float("inf")
_LAST_STREAM = 2**31 - 1


class _Over(Exception):
    """Nothing more is to be read."""


class HTTP2Connection:
    """Serves one connection.

    Args:
        transport: its bytes, behind the preface.
        server: whose application is served.
        template: what is in every environ of this connection.
        greenlet: the one that reads, which calls `serve`.
        stream_class: what serves the requests.
        hosts: as in `HTTPConnection`.

    Attributes:
        streams: those whose application runs, or whose websocket is open.
        guard: counts what the client sends.
        output: writes.
    """

    def __init__(
        self,
        transport: Transport,
        server: Server,
        template: dict[str, Any],
        greenlet: Any,
        stream_class: type[HTTP2Stream],
        hosts: HostGuard | None = None,
    ) -> None:
        settings = server.settings.http
        self.server = server
        self.sweeper = server.sweeper
        self.peer: str = template["REMOTE_ADDR"]
        self.greenlet = greenlet
        self.hosts = hosts
        self.streams: dict[int, HTTP2Stream] = {}
        # HPACK bombs end at the decoder; up to there a head that is too large gets an answer.
        largest_head = 2 * settings.buffer_size + 16384
        self.guard = FrameGuard(largest_head, server.sweeper.now)
        self._stream_class = stream_class
        self._transport = transport
        self._template = template
        self._hub: Any = get_hub()
        self._max_streams = settings.http2_streams
        #: All that are not closed, by number; `_open` of them count for the limit.
        self._transports: dict[int, StreamTransport] = {}
        self._open = 0
        self._uncredited = 0
        self._heard = False
        self._retiring = False
        self._acknowledged = False
        self._refusing = False
        self._reading = False
        self._ended = False
        self._reader_waits = False
        self._session = Session(self._max_streams, settings.buffer_size, largest_head)
        self.output = Output(self._session, transport, self.guard, self._written, self._lost)
        self._handlers: dict[type, Callable[[Any], None]] = {
            h2.events.RequestReceived: self._on_request,
            h2.events.DataReceived: self._on_data,
            h2.events.StreamEnded: self._on_end,
            h2.events.StreamReset: self._on_reset,
            h2.events.WindowUpdated: self._on_window,
            h2.events.RemoteSettingsChanged: self._on_settings,
            h2.events.PingAckReceived: self._on_ping_ack,
        }

    # -- the reader

    def serve(self, data: bytes, preface: bytes) -> None:
        """Serve streams until the connection ends. Raises nothing but what kills its greenlet.

        Args:
            data: what has come.
            preface: what of the preface it has to begin with.
        """
        try:
            self._session.initiate_connection()
            self._session.increment_flow_control_window(CONNECTION_WINDOW - 65535)
            self.output.wake()
            if self._read(data, preface):
                self._goodbye(NO_ERROR, "")
        except _Over:
            self._goodbye(NO_ERROR, "")
        except HTTP2Error as error:
            self._fail(error.code, str(error), error.reason)
        except DenialOfServiceError as error:
            self._fail(ENHANCE_YOUR_CALM, f"{error} (ENHANCE_YOUR_CALM)", "", told=True)
        except H2ProtocolError as error:
            code = int(error.error_code)
            self._fail(code, f"{one_line(error)} ({CODE_NAMES.get(code, code)})", "", told=True)
        except ClientError as error:
            if self.streams:
                log(f"{self._who()}: {error}")
        except (GreenletExit, KeyboardInterrupt):
            raise
        except Exception:
            log(f"{self._who()}: HTTP/2\n{traceback.format_exc()}".rstrip())
            self._fail(INTERNAL_ERROR, "", "")
        finally:
            self._close()

    def _read(self, data: bytes, preface: bytes) -> bool:
        """Read until the connection ends; False when it was the client who has ended it."""
        while len(data) < len(preface) and preface.startswith(data):
            more = self._more()
            if not more:
                return False
            data += more
        if not data.startswith(preface):
            raise HTTP2Error(PROTOCOL_ERROR, "the preface is wrong")
        self._session.receive_data(PREFACE)
        data = data[len(preface) :]
        while True:
            if data:
                self._receive(data)
            self._wait_for_writer()
            if self._ended or ((self._retiring or self.guard.goaway) and not self.streams):
                return True
            try:
                data = self._more()
            except TimedOut:
                if self.guard.head_began >= 0:
                    raise HTTP2Error(ENHANCE_YOUR_CALM, "a request head did not arrive in time") from None
                return True
            if not data:
                self._abort_all("the client has closed the connection")
                return False

    def _more(self) -> bytes:
        """What the client sends; b"" when it has closed.

        Raises:
            TimedOut: nothing has come.
        """
        transport = self._transport
        self._reading = True
        try:
            return transport.receive(self._deadline(), READ_SIZE)
        except TimedOut:
            data = transport.receive_now()  # it may have come in the same turn of the loop
            if not data:
                raise
            return data
        finally:
            self._reading = False

    def _receive(self, data: bytes) -> None:
        """Hand bytes to h2 and what it makes of them to the streams."""
        now = self.sweeper.now
        h2_connection = self._session
        handlers = self._handlers
        pieces = self.guard.feed(data, now)
        for index, piece in enumerate(pieces):
            if index:
                gevent.sleep(0)
                if self._ended:
                    return
            for event in h2_connection.receive_data(piece):
                handler = handlers.get(event.__class__)
                if handler is not None:
                    handler(event)
        if self._acknowledged:
            self._refuse_further()
        self.output.wake()  # h2 answers some frames itself

    def _deadline(self) -> float:
        """Until when something has to come, in the sweeper's time."""
        settings = self.server.settings.http
        now = self.sweeper.now
        if self.guard.head_began >= 0:
            return self.guard.head_began + settings.headers_timeout
        if self.streams:
            return _FOREVER
        if not self._heard:
            return now + settings.headers_timeout
        return now + (settings.keepalive if self.server.keep_connections else IDLE_GRACE)

    def _wait_for_writer(self) -> None:
        while self.output.full and not self._ended:
            self._reader_waits = True
            try:
                self._hub.switch()
            finally:
                self._reader_waits = False

    def _written(self) -> None:
        if self._reader_waits:
            self._hub.loop.run_callback(self._resume_reader)

    def _lost(self, error: ClientError) -> None:
        """Nothing can be written any more."""
        if self.streams and not self._ended:
            log(f"{self._who()}: {error}")
        self._ended = True
        self._abort_all(str(error))
        self._stop_reading()
        self._hub.loop.run_callback(self._resume_reader)

    def _resume_reader(self) -> None:
        if self._reader_waits:
            self.greenlet.switch()

    # -- events

    def _on_request(self, event: Any) -> None:
        number: int = event.stream_id
        self._heard = True
        transport = StreamTransport(self, number)
        if self._refusing or self._open >= self._max_streams or len(self.streams) >= 2 * self._max_streams:
            # Those that were reset count as long as their application runs. Whoever is refused may try again (section 8.7).
            self.output.reset(number, REFUSED_STREAM)
            self.guard.refused(self.sweeper.now)
            return
        if event.stream_ended is not None:
            transport.ended = True
        try:
            head = read_head(event.headers, transport.ended, self._template, self.server.settings.http.buffer_size)
        except MalformedRequest as error:
            log(f"{self._who()}: malformed request: {error}")
            self.output.reset(number, PROTOCOL_ERROR)
            self.guard.refused(self.sweeper.now)
            return
        except HTTPError as error:
            log(f"{self._who()}: {error}")
            self.output.answer(number, error.status, transport.ended)
            self.guard.refused(self.sweeper.now)
            return
        if not head.websocket:
            transport.expected = head.content_length
        self._open += 1
        self._transports[number] = transport
        stream = self.streams[number] = self._stream_class(self, transport, head)
        greenlet = stream.greenlet = self.server.greenlet_class(stream.serve)
        greenlet.start()

    def _on_data(self, event: Any) -> None:
        size: int = event.flow_controlled_length
        self._uncredited += size
        if self._uncredited >= CONNECTION_WINDOW // 4:
            # At once, whoever reads it and when: what one stream does not read holds up no other.
            credit, self._uncredited = self._uncredited, 0
            self._session.increment_flow_control_window(credit)
        transport = self._transports.get(event.stream_id)
        if transport is not None:
            transport.feed(event.data, size)

    def _on_end(self, event: Any) -> None:
        transport = self._transports.get(event.stream_id)
        if transport is None:
            return
        if 0 <= transport.expected != transport.received:
            # RFC 9113 section 8.1.1. h2 sees to it where the last piece is a DATA frame, not where trailers come behind it. A backend that
            # was told a length which is not kept would take the next request for the rest of this one.
            log(f"{self._who()}: malformed request: {transport.received} bytes where Content-Length says {transport.expected}")
            self.output.reset(transport.number, PROTOCOL_ERROR)
            transport.abort("the request is malformed")
            self.guard.refused(self.sweeper.now)
        else:
            transport.end()

    def _on_reset(self, event: Any) -> None:
        transport = self._transports.get(event.stream_id)
        if transport is not None:
            transport.abort("the client has reset the stream" if event.remote_reset else "the client has opened a window too far")
        if not event.remote_reset:
            self.guard.refused(self.sweeper.now)

    def _on_window(self, event: Any) -> None:
        if event.stream_id:
            transport = self._transports.get(event.stream_id)
            if transport is not None:
                transport.window_opened()
        else:
            self.output.serve_waiting()

    def _on_settings(self, event: Any) -> None:
        self._heard = True
        self._session.limit_encoder()
        if SettingCodes.INITIAL_WINDOW_SIZE in event.changed_settings:
            for transport in self._transports.values():
                transport.window_opened()

    def _on_ping_ack(self, event: Any) -> None:
        # Not at once: h2 knows of streams already whose requests are among the next events.
        self._acknowledged = self._retiring

    # -- what streams tell

    def stream_closed(self, transport: StreamTransport) -> None:
        """A stream does not count for the limit any more."""
        if self._transports.pop(transport.number, None) is not None:
            self._open -= 1

    def forget(self, stream: HTTP2Stream) -> None:
        """A stream is done with."""
        self.streams.pop(stream.number, None)
        if not self.streams and not self._ended:
            if self._retiring or self.guard.goaway:
                self._stop_reading()
            elif self._reading:
                self._transport.read_deadline = self._deadline()

    # -- the end

    @property
    def idle(self) -> bool:
        """No stream is open."""
        return not self.streams

    def retire(self) -> None:
        """No further streams are wanted: say so, and end with the last one.

        Twice, because streams may be on their way: those that come before the client has heard of it are served (RFC 9113 section 6.8).
        """
        if not self._retiring and not self._ended:
            self._retiring = True
            self.output.goaway(_LAST_STREAM, NO_ERROR)
            self._session.ping(b"geuwsgi\0")
            self.output.wake()
            gevent.spawn_later(GOAWAY_GRACE, self._refuse_further).spawn_tree_locals = None

    def stop(self) -> None:
        """As `retire`, but what is idle ends at once."""
        self.retire()
        if not self.streams:
            self._stop_reading()

    def _refuse_further(self) -> None:
        """The client has heard that no streams are wanted, or had its time to."""
        if self._refusing or self._ended:
            return
        self._refusing = True
        self.output.goaway(self._session.highest_inbound_stream_id, NO_ERROR)
        if not self.streams:
            self._stop_reading()

    def _stop_reading(self) -> None:
        """End the reader's loop, if it waits for bytes; otherwise it sees for itself."""
        if self._reading:
            self._hub.loop.run_callback(self._throw)

    def _throw(self) -> None:
        if self._reading:
            self._reading = False
            try:
                self.greenlet.throw(_Over())
            except BaseException:
                self._hub.handle_error(self.greenlet, *sys.exc_info())

    def _fail(self, code: int, text: str, reason: str, told: bool = False) -> None:
        """The client, or this side, has made a mistake: one line, and the end. `told`: h2 has said GOAWAY already."""
        if text:
            log(f"{self._who()}: HTTP/2 connection closed: {text}")
        self._abort_all("the HTTP/2 connection has ended")
        if told:
            self._end_writer()
        else:
            self._goodbye(code, reason)

    def _goodbye(self, code: int, reason: str) -> None:
        if not self._ended:
            if not self._refusing:
                self.output.goaway(self._session.highest_inbound_stream_id, code, reason.encode("ascii", "replace"))
            self._end_writer()

    def _end_writer(self) -> None:
        """Wait until all is written, and for the client to have it."""
        self._ended = True
        self.output.finish(self.server.settings.http.socket_timeout)
        if not self.server.stopping and not self._transport.broken:
            self._transport.linger()

    def _abort_all(self, reason: str) -> None:
        for transport in list(self._transports.values()):
            transport.abort(reason)

    def _close(self) -> None:
        """Let go of everything; applications that run learn of it when they next read or write."""
        self._ended = True
        self._abort_all("the client has closed the connection")
        self.output.greenlet.kill(block=False)

    def greenlets(self) -> list[Any]:
        """Those of all streams."""
        return [stream.greenlet for stream in self.streams.values()]

    def _who(self) -> str:
        return self.peer or "unix peer"
