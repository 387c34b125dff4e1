"""What goes out on one connection: frames of all streams, written together by one greenlet, and who may add to them when."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Union

import gevent
from gevent import get_hub
from h2.exceptions import ProtocolError as H2ProtocolError
from hyperframe.frame import GoAwayFrame

from ...protocol.http2.guard import NO_ERROR, FrameGuard
from ..keepalive import unacknowledged
from ..transport import ClientError

if TYPE_CHECKING:
    from ..transport import Transport
    from .session import Session
    from .transport import Fields, StreamTransport

#: Bytes that wait to be written above which streams wait, and above which nothing is read.
BACKLOG = 256 * 1024
READ_STOP = 512 * 1024

#: Bytes that one stream may hand over before others that wait get their turn.
QUANTUM = 64 * 1024


class Output:
    """The writing half.

    Args:
        session: h2's side of the connection.
        transport: takes the bytes.
        guard: is told of frames sent, for which the client may send others.
        on_progress: called when bytes have been written.
        on_lost: called with the reason, once, when nothing can be written any more.

    Attributes:
        waiting: streams that wait for their turn to send.
        ending: what there is to write is all.
        greenlet: the one that writes.
    """

    def __init__(
        self,
        session: Session,
        transport: Transport,
        guard: FrameGuard,
        on_progress: Callable[[], None],
        on_lost: Callable[[ClientError], None],
    ) -> None:
        self.waiting: deque[StreamTransport] = deque()
        self.ending = False
        self._session = session
        self._transport = transport
        self._guard = guard
        self._on_progress = on_progress
        self._on_lost = on_lost
        self._hub: Any = get_hub()
        #: Bytes in h2's hands, and in the writer's.
        self._queued = 0
        self._sending = 0
        #: Frames besides h2's.
        self._frames = b""
        self._idle = False
        self.greenlet: Any = gevent.spawn(self._write)
        self.greenlet.spawn_tree_locals = None

    # -- writing

    def wake(self) -> None:
        """There is something to write: soon, together with what else comes in this turn of the loop."""
        if self._idle:
            self._idle = False
            self._hub.loop.run_callback(self.greenlet.switch)

    def _write(self) -> None:
        """Write until the end."""
        transport = self._transport
        session = self._session
        try:
            while True:
                data = session.data_to_send()
                if self._frames:
                    data, self._frames = data + self._frames, b""
                if data:
                    self._queued, self._sending = 0, len(data)
                    transport.send(data)
                    self._sending = 0
                    self._on_progress()
                    if self.waiting:
                        self.serve_waiting()
                elif self.ending:
                    return
                else:
                    self._idle = True
                    self._hub.switch()
        except ClientError as error:
            self._on_lost(error)

    def finish(self, timeout: float) -> None:
        """Wait until all is written."""
        self.ending = True
        self.wake()
        self.greenlet.join(timeout)

    @property
    def full(self) -> bool:
        """So much waits that nothing should be read that could be answered."""
        return self._queued + self._sending > READ_STOP

    def unsent(self) -> int:
        """Bytes that have not reached the client's kernel."""
        return self._queued + self._sending + unacknowledged(self._transport.sock.fileno())

    # -- who may send how much

    def room(self, number: int) -> int:
        """Bytes that a stream may send now in one frame."""
        session = self._session
        return min(session.local_flow_control_window(number), session.max_outbound_frame_size, BACKLOG - self._queued)

    def has_window(self, number: int) -> bool:
        """Whether the client lets this stream send, if others leave room for it."""
        stream = self._session.streams.get(number)
        return stream is not None and stream.outbound_flow_control_window > 0

    def serve_waiting(self) -> None:
        """Give their turn to as many streams as there is room for."""
        turns = max(1, (BACKLOG - self._queued) // QUANTUM)
        while self.waiting and turns:
            if self.waiting.popleft().turn():
                turns -= 1

    # -- frames

    def head(self, number: int, fields: Fields, end: bool) -> None:
        """Send a head.

        Raises:
            ClientError: the stream is closed.
        """
        try:
            self._session.send_headers(number, fields, end)
        except H2ProtocolError as error:
            raise ClientError(f"the stream is closed ({one_line(error)})") from None
        self._queued += 64
        self.wake()

    def data(self, number: int, data: Union[bytes, memoryview], end: bool) -> None:
        """Send one frame, for which there is room."""
        self._session.send_data(number, data, end)
        self._queued += len(data) + 9
        self._guard.sent(1)
        self.wake()

    def end(self, number: int) -> None:
        """Send the end of a stream."""
        self._quietly(self._session.end_stream, number)

    def reset(self, number: int, code: int) -> None:
        """Send a reset."""
        self._quietly(self._session.reset_stream, number, code)

    def open_window(self, number: int, size: int) -> None:
        """Let the client send more on a stream."""
        self._quietly(self._session.increment_flow_control_window, size, number)

    def answer(self, number: int, status: str, ended: bool) -> None:
        """Answer what is not a request that can be served; `ended`: it has no body."""
        fields = [(b":status", status[:3].encode("ascii")), (b"content-length", b"0")]
        self._quietly(self._session.send_headers, number, fields, True)
        if not ended:
            self.reset(number, NO_ERROR)

    def goaway(self, last: int, code: int, text: bytes = b"") -> None:
        """Say that no streams above `last` are served. Not by h2, which sends nothing more after it."""
        self._frames += GoAwayFrame(0, last_stream_id=last, error_code=code, additional_data=text).serialize()
        self.wake()

    def _quietly(self, send: Callable[..., None], *arguments: Any) -> None:
        """Where h2 is ahead: it has seen the stream's end, which comes with one of the next events."""
        try:
            send(*arguments)
        except (H2ProtocolError, KeyError):
            return
        self.wake()


#: Characters of what h2 says that are logged.
_LONGEST_LINE = 200


def one_line(error: Exception) -> str:
    """What h2 says of an error; it may quote all of what the client has sent."""
    return str(error).split("\n", 1)[0][:_LONGEST_LINE] or type(error).__name__
