"""One TCP connection that speaks HTTP/2.

Its greenlet reads and hands the bytes to h2; what h2 makes of them is passed on to the streams. Another greenlet writes what h2 wants to
be written: everything that the streams of one turn of the loop have produced goes out together.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Union

import gevent
import h2.events
from gevent import get_hub
from greenlet import GreenletExit
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import DenialOfServiceError
from h2.exceptions import ProtocolError as H2ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

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
from ...protocol.http2.memory import RememberingDecoder, RememberingEncoder
from ..connection import IDLE_GRACE
from ..keepalive import unacknowledged
from ..transport import ClientError, TimedOut
from .transport import QUANTUM, StreamTransport

if TYPE_CHECKING:
    from ..server import Server
    from ..transport import Transport
    from .stream import HTTP2Stream
    from .transport import Fields

#: Bytes that all streams together may send without waiting for one of them to be read. A stream has its own window besides.
CONNECTION_WINDOW = 1024 * 1024

#: Bytes that wait to be written above which streams wait, and above which nothing is read.
BACKLOG = 256 * 1024
READ_STOP = 512 * 1024

#: Bytes read at once: what many small frames hold up the others for.
READ_SIZE = 16384

#: The compressor's memory: a larger one, as Chromium asks for, would be searched from end to end for every header.
ENCODER_TABLE = 4096

#: Seconds for the client to learn from the first GOAWAY that no further streams are wanted (RFC 9113 section 6.8).
GOAWAY_GRACE = 1.0

_FOREVER = float("inf")
_LAST_STREAM = 2**31 - 1

# It says what it does in great detail, to whatever the application has set up.
logging.getLogger("hpack").setLevel(logging.WARNING)


class _Over(Exception):
    """Nothing more is to be read."""


class _H2(H2Connection):
    """As h2's, but for what it does at each new stream: it goes through all that are open."""

    sweep_at = 0

    @property
    def open_inbound_streams(self) -> int:
        """0: the streams are counted elsewhere, since h2 would end the connection for one too many.

        What has ended is thrown away now and then.
        """
        if len(self.streams) > self.sweep_at:
            super().open_inbound_streams  # noqa: B018 - it throws away
        return 0


class HTTP2Connection:
    """Serves one connection.

    Args:
        transport: its bytes, behind the preface.
        server: whose application is served.
        template: what is in every environ of this connection.
        greenlet: the one that reads, which calls `serve`.
        stream_class: what serves the requests.

    Attributes:
        streams: those whose application runs, or whose websocket is open.
        waiting: streams that wait for their turn to send.
    """

    def __init__(
        self, transport: Transport, server: Server, template: dict[str, Any], greenlet: Any, stream_class: type[HTTP2Stream]
    ) -> None:
        settings = server.settings.http
        self.server = server
        self.sweeper = server.sweeper
        self.peer: str = template["REMOTE_ADDR"]
        self.greenlet = greenlet
        self.streams: dict[int, HTTP2Stream] = {}
        self.waiting: deque[StreamTransport] = deque()
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
        self._queued = 0
        self._sending = 0
        self._uncredited = 0
        self._frames = b""
        self._heard = False
        self._retiring = False
        self._acknowledged = False
        self._refusing = False
        self._reading = False
        self._ended = False
        self._writer: Any = None
        self._writer_waits = False
        self._reader_waits = False
        self._h2 = _H2(
            H2Configuration(
                client_side=False,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self._h2.encoder = RememberingEncoder()
        self._h2.decoder = RememberingDecoder()
        self._h2.sweep_at = 2 * self._max_streams
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: self._max_streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: settings.buffer_size,
                SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
            },
        )
        self._h2.decoder.max_header_list_size = largest_head
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
        self._writer = gevent.spawn(self._write)
        self._writer.spawn_tree_locals = None
        try:
            self._h2.initiate_connection()
            self._h2.increment_flow_control_window(CONNECTION_WINDOW - 65535)
            self.wake_writer()
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
            self._fail(code, f"{_one_line(error)} ({CODE_NAMES.get(code, code)})", "", told=True)
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
        self._h2.receive_data(PREFACE)
        data = data[len(preface) :]
        while True:
            if data:
                self._receive(data)
            if self._queued + self._sending > READ_STOP:
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
        h2_connection = self._h2
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
        self.wake_writer()  # h2 answers some frames itself

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
        while self._queued + self._sending > READ_STOP and not self._ended:
            self._reader_waits = True
            try:
                self._hub.switch()
            finally:
                self._reader_waits = False

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
            self._reset(number, REFUSED_STREAM)
            self.guard.refused(self.sweeper.now)
            return
        if event.stream_ended is not None:
            transport.ended = True
        try:
            head = read_head(event.headers, transport.ended, self._template, self.server.settings.http.buffer_size)
        except MalformedRequest as error:
            log(f"{self._who()}: malformed request: {error}")
            self._reset(number, PROTOCOL_ERROR)
            self.guard.refused(self.sweeper.now)
            return
        except HTTPError as error:
            log(f"{self._who()}: {error}")
            self._refuse(number, error.status, transport.ended)
            self.guard.refused(self.sweeper.now)
            return
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
            self._h2.increment_flow_control_window(credit)
        transport = self._transports.get(event.stream_id)
        if transport is not None:
            transport.feed(event.data, size)

    def _on_end(self, event: Any) -> None:
        transport = self._transports.get(event.stream_id)
        if transport is not None:
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
            self.serve_waiting()

    def _on_settings(self, event: Any) -> None:
        self._heard = True
        if SettingCodes.HEADER_TABLE_SIZE in event.changed_settings and self._h2.encoder.header_table_size > ENCODER_TABLE:
            self._h2.encoder.header_table_size = ENCODER_TABLE
        if SettingCodes.INITIAL_WINDOW_SIZE in event.changed_settings:
            for transport in self._transports.values():
                transport.window_opened()

    def _on_ping_ack(self, event: Any) -> None:
        # Not at once: h2 knows of streams already whose requests are among the next events.
        self._acknowledged = self._retiring

    # -- what streams ask for

    def room(self, number: int) -> int:
        """Bytes that a stream may send now in one frame."""
        connection = self._h2
        return min(connection.local_flow_control_window(number), connection.max_outbound_frame_size, BACKLOG - self._queued)

    def has_window(self, number: int) -> bool:
        """Whether the client lets this stream send, if others leave room for it."""
        stream = self._h2.streams.get(number)
        return stream is not None and stream.outbound_flow_control_window > 0

    def send_fields(self, number: int, fields: Fields, end: bool) -> None:
        """Send a head."""
        try:
            self._h2.send_headers(number, fields, end)
        except H2ProtocolError as error:
            raise ClientError(f"the stream is closed ({_one_line(error)})") from None
        self._queued += 64
        self.wake_writer()

    def send_data(self, number: int, data: Union[bytes, memoryview], end: bool) -> None:
        """Send one frame, for which there is room."""
        self._h2.send_data(number, data, end)
        self._queued += len(data) + 9
        self.guard.sent(1)
        self.wake_writer()

    def end_stream(self, number: int) -> None:
        """Send the end of a stream."""
        try:
            self._h2.end_stream(number)
        except H2ProtocolError:
            return
        self.wake_writer()

    def reset_stream(self, number: int, code: int) -> None:
        """Send a reset."""
        self._reset(number, code)

    def open_window(self, number: int, size: int) -> None:
        """Let the client send more on a stream."""
        try:
            self._h2.increment_flow_control_window(size, number)
        except (H2ProtocolError, KeyError):
            return  # h2 is ahead: it has seen the stream's end, which comes with one of the next events
        self.wake_writer()

    def unsent(self) -> int:
        """Bytes that have not reached the client's kernel."""
        return self._queued + self._sending + unacknowledged(self._transport.sock.fileno())

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

    def _reset(self, number: int, code: int) -> None:
        try:
            self._h2.reset_stream(number, code)
        except H2ProtocolError:
            return
        self.wake_writer()

    def _refuse(self, number: int, status: str, ended: bool) -> None:
        """Answer what is not a request that can be served."""
        fields = [(b":status", status[:3].encode("ascii")), (b"content-length", b"0")]
        try:
            self._h2.send_headers(number, fields, True)
            if not ended:
                self._h2.reset_stream(number, NO_ERROR)
        except H2ProtocolError:
            return
        self.wake_writer()

    # -- the writer

    def wake_writer(self) -> None:
        """There is something to write: soon, together with what else comes in this turn of the loop."""
        if self._writer_waits:
            self._writer_waits = False
            self._hub.loop.run_callback(self._writer.switch)

    def _write(self) -> None:
        """Write until the end. The writer's greenlet."""
        transport = self._transport
        connection = self._h2
        try:
            while True:
                data = connection.data_to_send()
                if self._frames:
                    data, self._frames = data + self._frames, b""
                if data:
                    self._queued, self._sending = 0, len(data)
                    transport.send(data)
                    self._sending = 0
                    if self._reader_waits:
                        self._hub.loop.run_callback(self._resume_reader)
                    if self.waiting:
                        self.serve_waiting()
                elif self._ended:
                    return
                else:
                    self._writer_waits = True
                    self._hub.switch()
        except ClientError as error:
            if self.streams and not self._ended:
                log(f"{self._who()}: {error}")
            self._ended = True
            self._abort_all(str(error))
            self._stop_reading()
            self._hub.loop.run_callback(self._resume_reader)

    def serve_waiting(self) -> None:
        """Give their turn to as many streams as there is room for."""
        turns = max(1, (BACKLOG - self._queued) // QUANTUM)
        while self.waiting and turns:
            if self.waiting.popleft().turn():
                turns -= 1

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
            self._say_goaway(_LAST_STREAM, NO_ERROR, b"")
            self._h2.ping(b"geuwsgi\0")
            self.wake_writer()
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
        self._say_goaway(self._h2.highest_inbound_stream_id, NO_ERROR, b"")
        if not self.streams:
            self._stop_reading()

    def _say_goaway(self, last: int, code: int, text: bytes) -> None:
        # Not by h2, which sends nothing more after it.
        frame = GoAwayFrame(0, last_stream_id=last, error_code=code, additional_data=text)
        self._frames += frame.serialize()
        self.wake_writer()

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
                self._say_goaway(self._h2.highest_inbound_stream_id, code, reason.encode("ascii", "replace"))
            self._end_writer()

    def _end_writer(self) -> None:
        """Wait until all is written, and for the client to have it."""
        self._ended = True
        self.wake_writer()
        self._writer.join(self.server.settings.http.socket_timeout)
        if not self.server.stopping and not self._transport.broken:
            self._transport.linger()

    def _abort_all(self, reason: str) -> None:
        for transport in list(self._transports.values()):
            transport.abort(reason)

    def _close(self) -> None:
        """Let go of everything; applications that run learn of it when they next read or write."""
        self._ended = True
        self._abort_all("the client has closed the connection")
        if self._writer is not None:
            self._writer.kill(block=False)

    def greenlets(self) -> list[Any]:
        """Those of all streams."""
        return [stream.greenlet for stream in self.streams.values()]

    def _who(self) -> str:
        return self.peer or "unix peer"


def _one_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0] or type(error).__name__
