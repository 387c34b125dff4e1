"""The bytes of one stream, both ways.

What the client sends waits here, at most as much as the stream's window, until somebody takes it; taking it opens the window again. What
is sent goes to h2 in pieces, as far as the client's windows and the connection's backlog have room; whoever sends waits for the rest.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

import gevent
from gevent import get_hub
from greenlet import getcurrent
from h2.exceptions import ProtocolError as H2ProtocolError

from ...protocol.http2.guard import CANCEL, INTERNAL_ERROR, NO_ERROR
from ..transport import ClientError, TimedOut
from .output import QUANTUM

if TYPE_CHECKING:
    from .connection import HTTP2Connection

#: What is added to the window of a stream once its reader has taken so much that there may be more to come. Until then it is the protocol's
#: default, so that a connection's streams together hold a few megabytes.
WINDOW_RAISE = 192 * 1024
#: Bytes read by the application after which the window is opened by as many.
CREDIT = 32 * 1024

#: A client that takes less than this in `socket_timeout` seconds takes nothing: windows can be opened byte by byte for ever.
PROGRESS = 1024

#: Seconds and bytes for which the rest of a body is read that nobody wants.
DRAIN_SECONDS = 1.0
DRAIN_BYTES = 1024 * 1024

Fields = list[tuple[bytes, bytes]]


class StreamTransport:
    """One stream, as `Transport` is one socket.

    Args:
        connection: what it is a part of.
        number: its identifier.

    Attributes:
        ended: the client sends nothing more.
        expected: bytes that it has to send in all; -1 when it has not said how many. `received`: those that have come.
        over: this side sends nothing more.
        broken: the stream was reset, by either side, or the connection is gone.
        reader: the greenlet that waits for bytes, or None; `writer` the one that waits for room.
        read_deadline: in the sweeper's time; meaningful while `reader` waits. `write_deadline` alike.
        on_readable: called in the hub when there is something to read; for websockets. `on_room` alike.
        on_broken: called when the stream has become of no use.
    """

    __slots__ = (
        "__weakref__",
        "_connection",
        "_counted",
        "_drained",
        "_hub",
        "_output",
        "_pieces",
        "_raised",
        "_reason",
        "_uncredited",
        "_waits_for_turn",
        "broken",
        "ended",
        "expected",
        "number",
        "on_broken",
        "on_readable",
        "on_room",
        "over",
        "read_deadline",
        "reader",
        "received",
        "write_deadline",
        "writer",
    )

    def __init__(self, connection: HTTP2Connection, number: int) -> None:
        self._connection = connection
        self._output = connection.output
        self.number = number
        self._hub: Any = get_hub()
        self._pieces: deque[bytes] = deque()
        self._reason = ""
        self._raised = False
        self._uncredited = 0
        self._drained = 0
        self._waits_for_turn = False
        self._counted = True
        self.ended = False
        self.expected = -1
        self.received = 0
        self.over = False
        self.broken = False
        self.reader: Any = None
        self.writer: Any = None
        self.read_deadline = 0.0
        self.write_deadline = 0.0
        self.on_readable: Optional[Callable[[], None]] = None
        self.on_room: Optional[Callable[[], None]] = None
        self.on_broken: Optional[Callable[[], None]] = None

    # -- what the connection tells

    def feed(self, data: bytes, size: int) -> None:
        """Bytes have come: `data`, which took `size` bytes of the window."""
        if data:
            self.received += len(data)
            self._pieces.append(data)
            self._tell_reader()
        if size > len(data):
            self._credit(size - len(data))

    def end(self) -> None:
        """The client has ended its side."""
        self.ended = True
        self._tell_reader()
        self._maybe_closed()

    def abort(self, reason: str) -> None:
        """The stream was reset, or the connection is gone."""
        if self.broken:
            return
        self.broken = True
        self._reason = reason
        self._tell_reader()
        self._room_soon()
        self._maybe_closed()
        if self.on_broken is not None:
            self.on_broken()

    def window_opened(self) -> None:
        """The client has made room for this stream."""
        if self.writer is not None or self.on_room is not None:
            self._room_soon()

    def turn(self) -> bool:
        """It is this stream's turn to send; False when it has nothing to send any more."""
        self._waits_for_turn = False
        if self.writer is None and self.on_room is None:
            return False
        self._room_soon()
        return True

    def _maybe_closed(self) -> None:
        if self._counted and (self.broken or (self.ended and self.over)):
            self._counted = False
            self._connection.stream_closed(self)

    # -- reading

    @property
    def has_unread(self) -> bool:
        return bool(self._pieces)

    def take(self) -> bytes:
        """All that has come; b"" when nothing has."""
        pieces = self._pieces
        if not pieces:
            return b""
        data = pieces.popleft() if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._credit(len(data))
        return data

    def take_piece(self) -> Optional[bytes]:
        """One DATA frame's bytes, None when there is none."""
        if not self._pieces:
            return None
        data = self._pieces.popleft()
        self._credit(len(data))
        return data

    def put_back(self, data: bytes) -> None:
        """Give back what was taken and not needed; it has been credited."""
        if data:
            self._uncredited -= len(data)
            self._pieces.appendleft(data)

    def receive_now(self) -> Optional[bytes]:
        """As `Transport.receive_now`."""
        return self.take() or (b"" if self.ended or self.broken else None)

    def left(self) -> bool:
        """As `Transport.left`."""
        return self.broken

    def wait_readable(self, deadline: float) -> None:
        """Wait until something has come, the client has ended, or the stream is broken.

        Raises:
            TimedOut: the deadline (in the sweeper's time) has passed.
        """
        if self._pieces or self.ended or self.broken:
            return
        if self.reader is not None:
            raise RuntimeError("another greenlet already waits for bytes of this client")
        self.reader = getcurrent()
        self.read_deadline = deadline
        transports: set[Any] = self._connection.sweeper.transports
        transports.add(self)
        try:
            while not (self._pieces or self.ended or self.broken):
                self._hub.switch()
        finally:
            self.reader = None
            if self.writer is None:
                transports.discard(self)

    def _credit(self, size: int) -> None:
        self._uncredited += size
        if self._uncredited >= CREDIT and not self.ended and not self.broken:
            size, self._uncredited = self._uncredited, 0
            if not self._raised:
                self._raised = True
                size += WINDOW_RAISE
            self._output.open_window(self.number, size)

    def _tell_reader(self) -> None:
        if self.reader is not None or self.on_readable is not None:
            self._hub.loop.run_callback(self._readable)

    def _readable(self) -> None:
        if self.reader is not None:
            self._switch(self.reader.switch)
        elif self.on_readable is not None:
            self.on_readable()

    # -- writing

    def send_head(self, fields: Fields, end: bool) -> None:
        """Send the response's head; `end` says that nothing follows.

        Raises:
            ClientError: the stream is broken.
        """
        if self.broken or self.over:
            raise self._lost()
        self._output.head(self.number, fields, end)
        if end:
            self._ended_here()

    def send(self, data: bytes, end: bool = False) -> None:
        """Send all of it; `end` says that nothing follows.

        Raises:
            ClientError: the stream is broken, or the client takes nothing for the socket time-out.
        """
        sent = self.push(data, end)
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:], end)

    def _send_rest(self, rest: memoryview, end: bool) -> None:
        taken = PROGRESS
        while rest:
            self._wait_for_room(taken >= PROGRESS)
            if taken >= PROGRESS:
                taken = 0
            sent = self.push(rest, end)
            taken += sent
            rest = rest[sent:]

    def finish(self) -> None:
        """Nothing more comes from this side. Does nothing on a stream that has ended."""
        if not self.over and not self.broken:
            self._output.end(self.number)
            self._ended_here()

    def reset(self, code: int = INTERNAL_ERROR) -> None:
        """Break the stream off. Does nothing on a stream that has ended both ways."""
        if self.broken or (self.over and self.ended):
            return
        self._output.reset(self.number, code)
        self.abort("the stream was reset")

    def drain(self) -> None:
        """The response is out, and what the client still sends is not wanted: it may stop (RFC 9113 section 8.1).

        It is told so a little later: there are clients that forget the response when the reset comes together with it.
        """
        if not self.broken and not self.ended:
            self.on_readable = self._discard
            self._discard()
            gevent.spawn_later(DRAIN_SECONDS, self.reset, NO_ERROR).spawn_tree_locals = None

    def _discard(self) -> None:
        self._drained += len(self.take())
        if self._drained > DRAIN_BYTES:
            self.reset(NO_ERROR)

    def push(self, data: Union[bytes, memoryview], end: bool) -> int:
        """Hand to h2 what there is room for now; the bytes taken.

        Raises:
            ClientError: the stream is broken.
        """
        if self.broken or self.over:
            raise self._lost()
        size = len(data)
        if not size:
            if end:
                self.finish()
            return 0
        output = self._output
        taken = 0
        try:
            while taken < size and taken < QUANTUM:
                room = min(output.room(self.number), size - taken)
                if room <= 0:
                    break
                piece = data if room == size else data[taken : taken + room]
                taken += room
                output.data(self.number, piece, end and taken == size)
        except H2ProtocolError as error:
            raise self._lost() from error
        if end and taken == size:
            self._ended_here()
        return taken

    def wait_turn(self) -> None:
        """Ask for `on_room` to be called when there may be room again."""
        output = self._output
        if not output.has_window(self.number):
            output.serve_waiting()  # it was this one's turn, maybe, which is over
        elif not self._waits_for_turn:
            self._waits_for_turn = True
            output.waiting.append(self)

    def _wait_for_room(self, fresh: bool) -> None:
        """Wait until there may be room. `fresh`: the time for it begins now."""
        connection = self._connection
        if self.writer is not None:
            raise RuntimeError("another greenlet already waits to send to this client")
        timeout = connection.server.settings.http.socket_timeout
        if fresh:
            self.write_deadline = connection.sweeper.now + timeout
        self.writer = getcurrent()
        self.wait_turn()
        transports: set[Any] = connection.sweeper.transports
        transports.add(self)
        try:
            self._hub.switch()
        except TimedOut:
            self.reset(CANCEL)
            raise ClientError(f"the client has taken nothing for {timeout:g} seconds") from None
        finally:
            self.writer = None
            if self.reader is None:
                transports.discard(self)

    def _room_soon(self) -> None:
        self._hub.loop.run_callback(self._room)

    def _room(self) -> None:
        if self.writer is not None:
            self._switch(self.writer.switch)
        elif self.on_room is not None:
            self.on_room()
        else:
            self._output.serve_waiting()  # whoever waited does so no more

    def _ended_here(self) -> None:
        self.over = True
        self._maybe_closed()

    def _lost(self) -> ClientError:
        return ClientError(self._reason or "the response is over")

    # -- for the sweeper

    def expire(self, now: float) -> None:
        """As `Transport.expire`. Runs in the hub."""
        if self.reader is not None and self.read_deadline < now:
            self.reader.throw(TimedOut())
        if self.writer is not None and self.write_deadline < now:
            self.writer.throw(TimedOut())

    def _switch(self, switch: Callable[[], Any]) -> None:
        try:
            switch()
        except BaseException:
            self._hub.handle_error(getattr(switch, "__self__", None), *sys.exc_info())
