"""A websocket being served: bytes between the kernel and the decoder, messages between the decoder and the application.

One io watcher reads in the hub, whatever the application is doing; no greenlet belongs to the connection but the
application's own. `send_frame` is the only writer: it tries the kernel first, and what the kernel refuses waits in a
bounded outbox that a write watcher drains.

How a connection ends: `_end` is the moment after which the application gets errors; `_tcp_done` the moment after which
there is nothing more to read or write; `finish` the moment the application has returned. The socket is closed when the
last two have come, because until then the application may hold its number.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Callable, Optional

from gevent import get_hub
from greenlet import getcurrent, greenlet

from ..accel import use_compiled
from ..errors import ConnectionClosed
from ..protocol.deflate import DeflateParameters, Deflater, Inflater
from ..protocol.frames import (
    ABNORMAL_CLOSURE,
    CLOSE,
    INTERNAL_ERROR,
    NORMAL_CLOSURE,
    PING,
    PONG,
    encode_close,
    encode_frame,
)
from ..protocol.messages import MessageDecoder
from .rawio import LARGE_READ_SIZE, READ_SIZE, receive
from .stream import READABLE
from .writer import FrameWriter

if TYPE_CHECKING:
    from .descriptor import Readiness
    from .keepalive import Keepalive
    from .settings import WebSocketSettings
    from .stream import ByteStream

#: Bytes read at once from a peer that may compress. Deflate shrinks up to 1032 times, so that at most 4 MB come out of them,
#: and the inbox stays within its limits by no more than that.
_DEFLATED_READ_SIZE = 4096

#: Bytes of a frame for which more is read at once.
_LARGE_FRAME = 16384

_switch: Any = greenlet.switch


class WebSocketConnection:
    """One websocket, from the handshake to the end of TCP.

    Args:
        stream: what carries its bytes, which now belongs to this object.
        peer: the client's address, for the log.
        settings: sizes and times.
        deflate: what was agreed on for compression, None without.
        keepalive: the worker's keepalive, which watches this connection from now on.

    Attributes:
        opcode: of the message that `receive` returned last: TEXT (1) or BINARY (2); 0 before the first.
        messages_sent: data messages sent by the application.
        messages_received: data messages taken by the application.
        channels: names of the channels whose messages are forwarded to it; None before the first.
        writer: sends its frames.
        heard: the peer has shown a sign of life since the keepalive last looked.
        on_end: called with this connection, once, when the application can send nothing more.
    """

    __slots__ = (
        "__weakref__",
        "_close_sent",
        "_decoder",
        "_error",
        "_fd",
        "_finished",
        "_half_closed",
        "_hub",
        "_keepalive",
        "_messages",
        "_native",
        "_paused",
        "_ping_end",
        "_pong_owed",
        "_read_size",
        "_read_watcher",
        "_readiness",
        "_receiver",
        "_receivers",
        "_settings",
        "_shut_after_flush",
        "_stream",
        "_taken",
        "_tcp_done",
        "channels",
        "close_deadline",
        "heard",
        "messages_received",
        "messages_sent",
        "on_end",
        "opcode",
        "peer",
        "ping_due",
        "ping_sent",
        "writer",
    )

    def __init__(
        self,
        stream: ByteStream,
        peer: str,
        settings: WebSocketSettings,
        keepalive: Keepalive,
        deflate: Optional[DeflateParameters] = None,
    ) -> None:
        inflater = None
        if deflate is not None:
            inflater = Inflater(deflate.client_max_window_bits, not deflate.client_no_context_takeover)
        self._hub = get_hub()
        self._stream = stream
        # Copies, for the way of a message.
        self._fd = stream.number
        self._native = stream.native
        self._settings = settings
        self.writer = FrameWriter(stream, settings, None if deflate is None else _deflater(deflate), self)
        self.heard = False
        self._error: Optional[ConnectionClosed] = None
        self._tcp_done = False
        self.peer = peer
        self._decoder = MessageDecoder(settings.max_size, inflater)
        self._messages = self._decoder.messages
        #: Who waits in `receive`: nearly always one greenlet or none. Further ones stand in a line, made when needed.
        self._receiver: Any = None
        self._receivers: Optional[list[Any]] = None
        self._pong_owed: Optional[bytes] = None
        #: The count of bytes sent at which the last ping ends, if it had to queue, and how many the peer had taken by then.
        self._ping_end = 0
        self._taken = 0
        self._paused = False
        self._read_size = READ_SIZE if deflate is None else _DEFLATED_READ_SIZE
        self._readiness: Optional[Readiness] = None
        self._close_sent = False
        self._shut_after_flush = False
        self._finished = False
        self._half_closed = False
        self.opcode = 0
        self.messages_sent = 0
        self.messages_received = 0
        self.channels: Optional[list[str]] = None
        self.on_end: Optional[Callable[[WebSocketConnection], None]] = None
        self.ping_due = 0.0
        self.ping_sent = 0.0
        self.close_deadline = 0.0
        self._keepalive = keepalive
        self._read_watcher: Any = stream.watcher(READABLE)
        self._read_watcher.start(self._on_readable)
        keepalive.add(self)

    # -- what the application does

    def receive(self) -> bytes:
        """The next message; waits for it.

        Raises:
            ConnectionClosed: the websocket is over and everything received has been taken.
        """
        messages = self._messages
        if not messages:
            me = getcurrent()
            hub = self._hub
            if me is hub:
                raise AssertionError("a websocket cannot be waited for in a callback of the event loop")
            while not messages:
                self._raise_if_over()
                if self._receiver is None:
                    self._receiver = me
                elif self._receivers is None:
                    self._receivers = [me]
                else:
                    self._receivers.append(me)
                try:
                    # Not hub.switch(): its frames would be copied with the greenlet's stack at every message.
                    _switch(hub)
                finally:
                    if self._receiver is me:  # woken by a time-out, a kill or a stray switch
                        self._next_receiver()
                    elif self._receivers is not None and me in self._receivers:
                        self._receivers.remove(me)
        return self._take()

    def receive_nowait(self) -> bytes:
        """The next message, or b"" when none is there.

        Raises:
            ConnectionClosed: as `receive`.
        """
        if not self._messages:
            if self._error is None:
                # An application that polls without ever yielding would otherwise see nothing.
                self._pull()
                if self._receiver is not None:
                    # What came with this message, or the end, is for whoever waits in `receive`.
                    self._hub.loop.run_callback(self._wake_receivers)
            if not self._messages:
                self._raise_if_over()
                return b""
        return self._take()

    def send(self, opcode: int, payload: bytes) -> None:
        """Send one message; waits while the outbox is above its high mark.

        Raises:
            ConnectionClosed: the websocket is over.
        """
        if self._error is None:
            self.messages_sent += 1
            self.writer.send_message(opcode, payload)
        self.pause()

    def send_view(self, opcode: int, view: memoryview) -> None:
        """As `send`, out of memory that may change as soon as this returns. Does not wait; `pause` does, and raises."""
        if self._error is None:
            self.messages_sent += 1
            self.writer.send_view(opcode, view)

    def pause(self) -> None:
        """Wait while the outbox is above its high mark. Raises as `send`."""
        if self._error is None and self.writer.size > self._settings.outbox_high:
            self.writer.wait()
        if self._error is not None:
            raise ConnectionClosed(self._error.code, self._error.reason)

    def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        """Start the closing handshake; the rest of it happens in the background. Does nothing after the end.

        Args:
            code: must be one that may stand in a close frame.
            reason: cut to 123 bytes of UTF-8.
        """
        if self._error is None:
            self._messages.clear()
            self._decoder.size = 0
            self._send_close(code, reason)
            if self._error is None:
                self._end(code, reason)
            if self._unsettled():
                # The peer was ahead: there is nothing to wait for.
                self._settle()

    def finish(self, error: Optional[BaseException]) -> None:
        """The application has returned, or raised `error`: say goodbye and let go of the socket when TCP is done."""
        self._finished = True
        if error is None:
            self.close(NORMAL_CLOSURE)
        else:
            self.close(INTERNAL_ERROR, "internal error")
        if self.writer.dropped:
            self._keepalive.note(self, f"{self.writer.dropped} channel messages did not reach it, since it read too slowly")
        if self._tcp_done:
            self._close_socket()

    def connection_fd(self) -> int:
        """A number that is readable exactly when `receive_nowait` would return a message or raise; -1 after the end of the request."""
        if self._readiness is None:
            if self._native is None:
                return -1
            watching = self._read_watcher is not None and not self._paused
            if self._read_watcher is not None:
                self._read_watcher.stop()
                self._read_watcher.close()
            self.writer.leave()
            self._readiness = self._stream.move()
            self._fd, self._native = self._stream.number, self._stream.native
            self.writer.arrive()
            if not self._tcp_done:
                self._read_watcher = self._stream.watcher(READABLE)
                if watching:
                    self._read_watcher.start(self._on_readable)
            if self._messages or self._error is not None:
                self._readiness.set()
        return self._readiness.fd

    @property
    def open(self) -> bool:
        """True while messages can be sent."""
        return self._error is None

    def _take(self) -> bytes:
        messages = self._messages
        self.opcode, payload = messages.pop(0)
        self._decoder.size -= len(payload)
        self.messages_received += 1
        if self._readiness is not None and not messages and self._error is None and not self._unsettled():
            self._readiness.clear()
        if self._paused and not self._inbox_full():
            self._paused = False
            if self._read_watcher is not None:
                self._read_watcher.start(self._on_readable)
        return payload

    def _unsettled(self) -> bool:
        """The peer has closed or failed, and waits until the application has taken what came before."""
        return bool(self._decoder.control) or self._decoder.error is not None or self._half_closed

    def _raise_if_over(self) -> None:
        """Called with an empty inbox: what came before the peer's close has been taken, and answered if at all."""
        if self._error is None and self._unsettled():
            self._settle()
        if self._error is not None:
            raise ConnectionClosed(self._error.code, self._error.reason)

    # -- reading, in the hub

    def _on_readable(self) -> None:
        self._pull()
        if self._receiver is not None:
            if len(self._messages) > 1:
                # The answers to what came together go out together, when the application waits again or has caught up.
                self.writer.corked = True
                self._wake_receivers()
                self.writer.uncork()
            else:
                self._wake_receivers()
        if self._messages and not self._paused and self._inbox_full():
            # TCP pushes back on the peer until the application has caught up.
            self._paused = True
            if self._read_watcher is not None:
                self._read_watcher.stop()

    def _pull(self) -> None:
        """Read once from the kernel, decode, answer control frames."""
        if self._tcp_done:
            return
        data = receive(self._native, self._fd, self._read_size)
        if data is None:
            return
        if not data:
            self._peer_ended()
            return
        self.heard = True
        self.feed(data)
        if len(data) >= READ_SIZE:
            # Whoever sends large messages has them read whole, which saves joining their pieces. A flood of tiny frames is not read in such
            # amounts: all that were read are gone through at once, and meanwhile everybody else waits.
            self._read_size = LARGE_READ_SIZE if self._decoder.arriving >= _LARGE_FRAME else READ_SIZE

    def feed(self, data: bytes) -> None:
        """Decode bytes of the peer, wherever they were read."""
        decoder = self._decoder
        decoder.feed(data)
        if self._error is not None:
            # Closed from this side: only the peer's close frame still matters.
            self._messages.clear()
            decoder.size = 0
        if decoder.control or decoder.error is not None:
            self._answer_control()
        if self._readiness is not None and self._messages:
            self._readiness.set()

    def _answer_control(self) -> None:
        """Answer pings at once; a close frame or a failure once the application has taken what came before it."""
        control = self._decoder.control
        count = len(control)
        # Not one by one off the front of the list, which would take a time that grows with the square of their number.
        answered = 0
        pongs: list[bytes] = []
        room = self._settings.outbox_high - self.writer.size
        while answered < count and control[answered][0] != CLOSE:
            opcode, payload = control[answered]
            answered += 1
            if opcode == PING and not self._close_sent:
                if room < 0:
                    # RFC 6455 section 5.5.3: answering only the most recent ping is enough.
                    self._pong_owed = payload
                else:
                    pong = encode_frame(PONG, payload)
                    pongs.append(pong)
                    room -= len(pong)
        del control[:answered]
        if pongs:
            # In one piece: a flood of pings, read or not, is held in no more than its bytes.
            self.writer.send_frame(b"".join(pongs))
        if control or self._decoder.error is not None:
            if self._messages:
                self.close_deadline = self._keepalive.now() + self._settings.close_timeout
            else:
                self._settle()

    def _peer_ended(self) -> None:
        """The peer sends nothing more; it may still read the answers to what it has sent, to its close frame or its mistake too."""
        if self._error is None and (self._messages or self._unsettled()):
            self._half_closed = True
            self._read_watcher.stop()
            if self._messages:
                self.close_deadline = self._keepalive.now() + self._settings.close_timeout
            else:
                # The application has taken the last message, and not yet asked for the next one.
                self._settle()
        else:
            self._lost("")

    def _settle(self) -> None:
        """The peer has closed or failed, and everything before that has been taken: answer it."""
        decoder = self._decoder
        while decoder.control:
            # A close frame that is there was valid and came before any error.
            opcode, _ = decoder.control.pop(0)
            if opcode == CLOSE:
                self._send_close(decoder.close_code, decoder.close_reason)
                if self._error is None:
                    self._end(decoder.close_code, decoder.close_reason)
                self._finish_tcp()
                return
        if decoder.error is not None:
            if self._error is None:
                error = decoder.error
                self._keepalive.report(self, f"{error.code} {error.reason}")
                self._send_close(error.code, error.reason)
                if self._error is None:
                    self._end(error.code, error.reason)
            self._finish_tcp()
        elif self._half_closed:
            if self._error is None:
                self._end(ABNORMAL_CLOSURE, "")
            self._finish_tcp()

    def _inbox_full(self) -> bool:
        return len(self._messages) >= self._settings.inbox_messages or self._decoder.size >= self._settings.inbox_bytes

    def _next_receiver(self) -> None:
        self._receiver = self._receivers.pop(0) if self._receivers else None

    def _wake_receivers(self) -> None:
        """Switch straight into whoever waits in `receive`. Runs in the hub."""
        while self._receiver is not None and (self._messages or self._error is not None):
            receiver = self._receiver
            self._next_receiver()
            try:
                _switch(receiver)
            except BaseException:
                self._hub.handle_error(receiver, *sys.exc_info())

    # -- what the writing half asks

    def writer_broken(self) -> None:
        """TCP is gone."""
        self._lost("")

    def writer_low(self) -> None:
        """The outbox has fallen to its low mark or below."""
        if self._shut_after_flush and not self.writer.size:
            self._shutdown_writing()
        if self._pong_owed is not None:
            payload, self._pong_owed = self._pong_owed, None
            if not self._close_sent:
                self.writer.send_frame(encode_frame(PONG, payload))
        # Not a direct switch: a cork may be taken out in the application's own greenlet.
        self.writer.wake_soon()

    # -- keepalive

    def ping(self) -> None:
        """Send a ping. It may overtake queued frames, so that a slow reader is not taken for a dead one."""
        self._taken = self._acknowledged()
        queued = self._taken < self.writer.bytes_sent
        self.writer.send_urgent(encode_frame(PING, b""))
        self._ping_end = self.writer.bytes_sent if queued else 0

    def ping_delayed(self) -> bool:
        """Whether the last ping queued behind data that the peer takes slowly, but takes: its pong has its time from now on."""
        if not self._ping_end:
            return False
        before, self._taken = self._taken, self._acknowledged()
        if self._taken >= self._ping_end:
            self._ping_end = 0
            return True
        return self._taken > before

    def _acknowledged(self) -> int:
        """Bytes sent that the peer's kernel has confirmed."""
        if self._tcp_done:
            return 0
        return self.writer.bytes_sent - self.writer.size - self._stream.unacknowledged()

    def unread(self) -> bool:
        """Whether there are bytes of the peer that this side has not read yet."""
        return not self._tcp_done and self._stream.unread()

    def lost(self, reason: str) -> None:
        """The peer has been silent for too long."""
        self._keepalive.report(self, reason)
        self._send_close(INTERNAL_ERROR, reason)
        self._lost(reason)

    def expired(self) -> None:
        """`close_deadline` has passed: answer what waits for the application, or give up on the peer."""
        if self._error is None and self._unsettled():
            self.close_deadline = self._keepalive.now() + self._settings.close_timeout
            self._settle()
        else:
            self._tcp_is_done()

    # -- the end

    def _send_close(self, code: int, reason: str) -> None:
        if not self._close_sent:
            self._close_sent = True
            self.close_deadline = self._keepalive.now() + self._settings.close_timeout
            self.writer.send_frame(encode_close(code, reason))

    def _end(self, code: int, reason: str) -> None:
        """From now on the application gets errors."""
        self._error = ConnectionClosed(code, reason)
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end(self)
        if self._readiness is not None:
            self._readiness.set()
        self.writer.open = False
        self.writer.wake_soon()
        if self._receiver is not None:
            self._hub.loop.run_callback(self._wake_receivers)
        if self._paused and self._read_watcher is not None:
            # The peer's close frame may be behind what filled the inbox.
            self._paused = False
            self._read_watcher.start(self._on_readable)

    def _lost(self, reason: str) -> None:
        """TCP is gone without a closing handshake, or before this side's half of it."""
        if self._error is None:
            if self._decoder.close_code != ABNORMAL_CLOSURE:
                self._end(self._decoder.close_code, self._decoder.close_reason)
            else:
                self._end(ABNORMAL_CLOSURE, reason)
        self._tcp_is_done()

    def _finish_tcp(self) -> None:
        """Nothing more will be said: the server closes first (section 7.1.1), once the outbox is empty."""
        self._shut_after_flush = True
        if not self.writer.size:
            self._shutdown_writing()

    def _shutdown_writing(self) -> None:
        """Close this side's half, and read on until the peer closes its own or `close_deadline` comes.

        Closing with unread bytes would reset the connection, and destroy the close frame on its way.
        """
        if self._tcp_done:
            return
        self._stream.end()
        if self._half_closed:
            self._tcp_is_done()

    def _tcp_is_done(self) -> None:
        if self._tcp_done:
            return
        self._tcp_done = True
        self._keepalive.discard(self)
        if self._read_watcher is not None:
            self._read_watcher.stop()
            self._read_watcher.close()
            self._read_watcher = None
        self.writer.shut()
        if self._finished:
            self._close_socket()
        else:
            # The application may hold the number for long; the peer need not wait for that.
            self._stream.shutdown()

    def _close_socket(self) -> None:
        if self._native is None:
            return
        self._native = None
        self._stream.close()
        if self._readiness is not None:
            self._readiness.close()
            self._readiness = None


#: Compressors without context, by window: one of each serves all connections of this process.
_shared_deflaters: dict[int, Deflater] = {}


def _deflater(agreed: DeflateParameters) -> Deflater:
    bits = agreed.server_max_window_bits
    if not agreed.server_no_context_takeover:
        return Deflater(bits, True)
    if bits not in _shared_deflaters:
        _shared_deflaters[bits] = Deflater(bits, False)
    return _shared_deflaters[bits]


use_compiled(globals(), "WebSocketConnection")
