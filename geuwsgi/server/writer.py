"""The writing half of a websocket: the kernel first, then a bounded outbox.

Whoever sends never waits in here. What the kernel refuses, and all that comes behind it, stays in the outbox, which a write
watcher drains; a sender that can wait does so in `wait`.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Optional, Protocol, Union

from gevent import get_hub
from greenlet import getcurrent

from ..accel import use_compiled
from ..protocol.deflate import Deflater
from ..protocol.frames import TRY_AGAIN_LATER, encode_frame, encode_header
from .rawio import transmit, transmit_two
from .stream import WRITABLE

if TYPE_CHECKING:
    from .settings import WebSocketSettings
    from .stream import ByteStream

#: What may wait: frames of the application and control frames (bytes), what the kernel has left of one (memoryview), and
#: frames of channels (bytearray), which may be dropped again.
Item = Union[bytes, bytearray, memoryview]

#: Small frames are joined up to this many bytes for one system call.
JOIN_LIMIT = 65536

#: Below this many bytes what waits is put together: an object for each of many tiny frames would be thirty times as large as they are, and
#: the bounds count bytes.
SMALL = 1024

#: Messages from this size on are sent without joining header and payload.
SPLIT_SIZE = 8192

#: What `deliver` does with a message that does not fit.
DROP_NEWEST, DROP_OLDEST, CLOSE = 0, 1, 2


class Owner(Protocol):
    """The connection whose frames are sent.

    Attributes:
        heard: the peer has shown a sign of life since the keepalive last looked.
    """

    heard: bool

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake: the peer reads too slowly."""

    def writer_broken(self) -> None:
        """TCP is gone."""

    def writer_low(self) -> None:
        """The outbox has fallen to its low mark or below."""


class FrameWriter:
    """Sends frames on one connection.

    Args:
        stream: what carries them.
        settings: sizes.
        deflater: compresses messages, None where that was not agreed on.
        owner: the connection.

    Attributes:
        open: messages can be sent. The owner clears it when the application is done; control frames may follow.
        size: bytes accepted and not yet taken by the kernel.
        corked: frames collect in the outbox until `uncork`.
        kind: connections of one kind take the same frame of a message for many: the compressor's window, 0 for an uncompressed one.
        bytes_sent: bytes handed to the kernel or the outbox.
        dropped: channel messages that were lost because the peer reads too slowly.
    """

    __slots__ = (
        "_deflater",
        "_fd",
        "_hub",
        "_native",
        "_outbox",
        "_owner",
        "_settings",
        "_stream",
        "_waiting",
        "_watcher",
        "bytes_sent",
        "corked",
        "dropped",
        "kind",
        "open",
        "size",
    )

    def __init__(self, stream: ByteStream, settings: WebSocketSettings, deflater: Optional[Deflater], owner: Owner) -> None:
        self._hub = get_hub()
        self._stream: Any = stream
        self._fd = stream.number
        #: None once nothing can be written any more.
        self._native: Any = stream.native
        self._settings = settings
        self._deflater = deflater
        self.kind = 0 if deflater is None or deflater.takeover else deflater.bits
        self._owner: Any = owner
        self._outbox: Optional[deque[Item]] = None
        #: Greenlets in `wait`.
        self._waiting: Optional[list[Any]] = None
        self._watcher: Any = None
        self.open = True
        self.size = 0
        self.corked = False
        self.bytes_sent = 0
        self.dropped = 0

    # -- sending

    def send_frame(self, frame: Union[bytes, bytearray]) -> None:
        """Send one whole frame without ever waiting; the only way to the wire.

        Order is kept: once the outbox holds something, everything goes behind it.
        """
        if self._native is None:
            return
        size = len(frame)
        self.bytes_sent += size
        if self.size or self.corked:
            self.size += size
            outbox = self._outbox
            if outbox is None:
                outbox = self._outbox = deque()
            elif outbox and size < SMALL and type(frame) is bytes:
                last = outbox[len(outbox) - 1]
                if type(last) is bytes and len(last) < SMALL:
                    outbox[len(outbox) - 1] = last + frame
                    return
            outbox.append(frame)
            return
        sent = transmit(self._native, self._fd, frame)
        if sent == size:
            return
        if sent < 0:
            self._owner.writer_broken()
            return
        self._outbox = deque((memoryview(frame)[sent:] if sent else frame,))
        self.size = size - sent
        self._watch()

    def send_message(self, opcode: int, payload: bytes) -> None:
        """Encode and send a message."""
        if len(payload) < SPLIT_SIZE or self._deflater is not None or self.size or self.corked or self._native is None:
            self.send_frame(self.encode(opcode, payload))
            return
        # Large and nothing before it: the kernel takes header and payload from where they are.
        header = encode_header(opcode, len(payload))
        size = len(header) + len(payload)
        self.bytes_sent += size
        sent = transmit_two(self._native, self._fd, header, payload)
        if sent == size:
            return
        if sent < 0:
            self._owner.writer_broken()
            return
        rest: Item = memoryview(payload)[sent - len(header) :] if sent >= len(header) else (header + payload)[sent:]
        self._outbox = deque((rest,))
        self.size = size - sent
        self._watch()

    def send_view(self, opcode: int, view: memoryview) -> None:
        """As `send_message`, out of memory that may change as soon as this returns: what has to wait is copied."""
        if len(view) < SPLIT_SIZE or self._deflater is not None or self.size or self.corked or self._native is None:
            self.send_message(opcode, bytes(view))
            return
        header = encode_header(opcode, len(view))
        size = len(header) + len(view)
        self.bytes_sent += size
        sent = transmit_two(self._native, self._fd, header, view)
        if sent == size:
            return
        if sent < 0:
            self._owner.writer_broken()
            return
        rest = bytes(view[sent - len(header) :]) if sent >= len(header) else header[sent:] + bytes(view)
        self._outbox = deque((rest,))
        self.size = size - sent
        self._watch()

    def send_urgent(self, frame: bytes) -> None:
        """Send a control frame ahead of what waits, but not into the middle of a frame."""
        if self.size and self._outbox is not None:
            self.bytes_sent += len(frame)
            self._outbox.insert(1, frame)
            self.size += len(frame)
        else:
            self.send_frame(frame)

    def encode(self, opcode: int, payload: bytes) -> bytes:
        """The frame of a message, compressed if that was agreed on and is worth it."""
        if self._deflater is not None and len(payload) >= self._settings.deflate_threshold:
            return encode_frame(opcode, self._deflater.deflate(payload), True)
        return encode_frame(opcode, payload)

    def encode_for_many(self, opcode: int, payload: bytes) -> bytes:
        """The frame of a message for every connection of the same kind.

        It is not compressed where there is a context: the frame may yet be dropped, and the peer could make nothing of what
        refers to it.
        """
        return self.encode(opcode, payload) if self.kind else encode_frame(opcode, payload)

    def deliver(self, frame: bytearray, queue: int, queue_bytes: int, overflow: int) -> bool:
        """Send a channel's frame, within bounds.

        Args:
            frame: from `encode_for_many`.
            queue: frames that may wait.
            queue_bytes: bytes that may wait.
            overflow: DROP_NEWEST, DROP_OLDEST or CLOSE, beyond either.

        Returns:
            whether it was taken. What is lost, this one or older ones, is counted in `dropped`.
        """
        if self.size and not self._make_room(len(frame), queue, queue_bytes, overflow):
            return False
        self.send_frame(frame)
        return True

    def deliver_several(self, joined: bytes, frames: list[bytearray], queue: int, queue_bytes: int, overflow: int) -> int:
        """As `deliver`, for several frames at once; how many were taken.

        Args:
            joined: all of them, for one system call.
        """
        taken = 0
        if not self.size and not self.corked and self._native is not None:
            sent = transmit(self._native, self._fd, joined)
            if sent == len(joined):
                self.bytes_sent += sent
                return len(frames)
            if sent < 0:
                self._owner.writer_broken()
                return 0
            # What the kernel has not taken waits frame by frame, so that whole ones can be dropped.
            rest = []
            for frame in frames:
                if sent >= len(frame):
                    sent -= len(frame)
                    self.bytes_sent += len(frame)
                    taken += 1
                elif sent:
                    self.bytes_sent += len(frame)
                    self._outbox = deque((memoryview(frame)[sent:],))
                    self.size = len(frame) - sent
                    sent = 0
                    self._watch()
                    taken += 1
                else:
                    rest.append(frame)
            frames = rest
        for frame in frames:
            if not self.open:
                break
            taken += self.deliver(frame, queue, queue_bytes, overflow)
        return taken

    def _make_room(self, size: int, queue: int, queue_bytes: int, overflow: int) -> bool:
        """Whether a frame of `size` bytes may be queued, after older ones were dropped for it if that is wanted."""
        if self.corked and (self._too_much(size, queue, queue_bytes)):
            self._flush()  # what collects behind a cork is no sign of a slow peer
        while self.size and self._too_much(size, queue, queue_bytes):
            if overflow == DROP_OLDEST and self._drop_oldest():
                self.dropped += 1
                continue
            self.dropped += 1
            if overflow == CLOSE:
                while self._drop_oldest():  # the close frame is to be seen before the deadline of the closing handshake
                    self.dropped += 1
                self._owner.close(TRY_AGAIN_LATER, "reading too slowly")
            return False
        return self.open

    def _too_much(self, size: int, queue: int, queue_bytes: int) -> bool:
        return len(self._outbox or ()) >= queue or self.size + size > queue_bytes

    def _drop_oldest(self) -> bool:
        """Take the oldest whole channel frame out of the outbox; False when there is none."""
        outbox = self._outbox
        if outbox is not None:
            for index, item in enumerate(outbox):
                if type(item) is bytearray:
                    del outbox[index]
                    self.size -= len(item)
                    self.bytes_sent -= len(item)
                    return True
        return False

    def wait(self) -> None:
        """Wait until the outbox is down to its low mark, or the connection is over."""
        me = getcurrent()
        while self.size > self._settings.outbox_low and self.open:
            if self._waiting is None:
                self._waiting = []
            self._waiting.append(me)
            try:
                self._hub.switch()
            finally:
                if self._waiting is not None and me in self._waiting:
                    self._waiting.remove(me)

    # -- the outbox, in the hub

    def uncork(self) -> None:
        """Send what has collected since `corked` was set."""
        self.corked = False
        if self.size:
            self._flush()
            if self.size:
                self._watch()

    def _watch(self) -> None:
        if self._watcher is None:
            self._watcher = self._stream.watcher(WRITABLE)
        self._watcher.start(self._on_writable)

    def _on_writable(self) -> None:
        self._flush()
        if not self.size and self._watcher is not None:
            self._watcher.stop()

    def _flush(self) -> None:
        """Give the kernel what it takes."""
        outbox = self._outbox
        while outbox:
            item = outbox[0]
            if len(outbox) > 1 and len(item) < JOIN_LIMIT:
                item = _join(outbox)
            sent = transmit(self._native, self._fd, item)
            if sent < 0:
                self._owner.writer_broken()
                return
            if not sent:
                break
            # The peer's kernel makes room, so the peer is reading, so it is alive.
            self._owner.heard = True
            self.size -= sent
            complete = sent == len(item)
            while sent:
                first = outbox[0]
                if sent < len(first):
                    outbox[0] = memoryview(first)[sent:]
                    break
                sent -= len(first)
                outbox.popleft()
            if not complete:
                break
        if not outbox:
            self._outbox = None
        if self.size <= self._settings.outbox_low:
            self._owner.writer_low()

    def wake(self) -> None:
        """End the waits in `wait`. Runs in the hub."""
        waiting, self._waiting = self._waiting, None
        for greenlet in waiting or ():
            try:
                greenlet.switch()
            except BaseException:
                self._hub.handle_error(greenlet, *sys.exc_info())

    def wake_soon(self) -> None:
        """The same from anywhere: a switch straight away could take the caller's turn."""
        if self._waiting:
            self._hub.loop.run_callback(self.wake)

    def leave(self) -> None:
        """The stream is about to move; nothing may be sent until `arrive`."""
        self._stop_watching()

    def arrive(self) -> None:
        """The stream has moved."""
        if self._native is not None:
            self._fd, self._native = self._stream.number, self._stream.native
            if self.size and not self.corked:
                self._watch()

    def shut(self) -> None:
        """Nothing can be written any more; forget what waits."""
        self.open = False
        self._native = None
        self._stop_watching()
        self._stream = None
        self._owner = None  # no cycle for the collector
        self._outbox = None
        self.size = 0
        self.wake_soon()

    def _stop_watching(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            self._watcher = None


def spread(
    writers: tuple[FrameWriter, ...], start: int, stop: int, messages: tuple[Any, ...], queue: int, queue_bytes: int, overflow: int
) -> tuple[int, int]:
    """Send messages to many connections.

    Args:
        writers: the connections.
        start: the first of them that is served.
        stop: the first that is not.
        messages: in order; each with `opcode`, `payload`, `exclude` (writers that are left out) and `frames`, a dict in which the
            encoded frame of each kind of connection is kept.
        queue: see `FrameWriter.deliver`.
        queue_bytes: see there.
        overflow: see there.

    Returns:
        deliveries that were taken, and channel messages that were dropped, these and older ones.
    """
    taken = dropped = 0
    single = len(messages) == 1
    only = messages[0]
    exclude = only.exclude
    for message in messages[1:]:
        exclude += message.exclude
    together: dict[int, Any] = {}
    for index in range(start, stop):
        writer = writers[index]
        if not writer.open:
            continue
        before = writer.dropped
        if exclude and writer in exclude:
            for message in messages:
                if writer not in message.exclude:
                    taken += writer.deliver(_frame(writer, message), queue, queue_bytes, overflow)
        elif single:
            frame = only.frames.get(writer.kind)
            taken += writer.deliver(frame if frame is not None else _frame(writer, only), queue, queue_bytes, overflow)
        else:
            frames = together.get(writer.kind)
            if frames is None:
                several = []
                for message in messages:
                    several.append(_frame(writer, message))
                frames = together[writer.kind] = (b"".join(several), several)
            taken += writer.deliver_several(frames[0], frames[1], queue, queue_bytes, overflow)
        dropped += writer.dropped - before
    return taken, dropped


def _frame(writer: FrameWriter, message: Any) -> bytearray:
    """The frame of a message for connections like this one; a bytearray, which tells it from frames that may not be dropped."""
    frame: Optional[bytearray] = message.frames.get(writer.kind)
    if frame is None:
        frame = message.frames[writer.kind] = bytearray(writer.encode_for_many(message.opcode, message.payload))
    return frame


def _join(outbox: deque[Item]) -> bytes:
    parts: list[Item] = []
    size = 0
    for item in outbox:
        size += len(item)
        if parts and size > JOIN_LIMIT:
            break
        parts.append(item)
    return b"".join(parts)


use_compiled(globals(), "FrameWriter", "spread")
