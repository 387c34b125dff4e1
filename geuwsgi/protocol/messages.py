"""Bytes of one peer in, websocket messages and control frames out.

The decoder is strict (RFC 6455 sections 5 to 8) and fails as soon as the offending byte is there: a bad first byte
without waiting for the second, a length over the limit without waiting for the payload, bad UTF-8 in the middle of a frame.
"""

from __future__ import annotations

import codecs
from typing import Any, Optional

from ..accel import use_compiled
from ..errors import WebSocketError
from .deflate import Inflater
from .frames import (
    ABNORMAL_CLOSURE,
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    INVALID_PAYLOAD,
    MASKED,
    MAX_CONTROL_PAYLOAD,
    MESSAGE_TOO_BIG,
    NO_STATUS_RECEIVED,
    PONG,
    PROTOCOL_ERROR,
    RSV,
    RSV1,
    TEXT,
    close_code_allowed,
)
from .masking import apply_mask, is_ascii

#: (opcode, payload): a whole message (TEXT, BINARY) or a control frame (CLOSE, PING, PONG).
Item = tuple[int, bytes]

_new_utf8 = codecs.getincrementaldecoder("utf-8")


class MessageDecoder:
    """Decodes what a client sends.

    Args:
        max_size: the largest joined message in bytes, inflated; a longer one fails with 1009.
        inflater: inflates messages whose first frame has RSV1 set (RFC 7692); None where that was not negotiated.

    Attributes:
        messages: whole messages not yet taken, oldest first, as (TEXT or BINARY, payload). Text payloads are valid UTF-8.
        control: control frames not yet taken, oldest first, as (CLOSE, PING or PONG, payload). They stand apart because
            they are answered at once, whether or not the application takes its messages.
        size: payload bytes in `messages`; whoever takes a message subtracts its length.
        error: why the stream is unusable, once it is; messages decoded before it remain to be taken.
        close_code: the code of the peer's close frame (1005 when it carried none), 1006 before.
        close_reason: its reason.
    """

    __slots__ = (
        "_compressed",
        "_control_payload",
        "_frame_fin",
        "_frame_offset",
        "_frame_opcode",
        "_frame_size",
        "_head",
        "_inflater",
        "_key",
        "_message",
        "_message_opcode",
        "_utf8",
        "close_code",
        "close_reason",
        "control",
        "error",
        "max_size",
        "messages",
        "size",
    )

    def __init__(self, max_size: int, inflater: Optional[Inflater] = None) -> None:
        self.max_size = max_size
        self._inflater = inflater
        # A list: it is nearly always empty or short, and a deque would take 600 bytes of every connection.
        self.messages: list[Item] = []
        self.control: list[Item] = []
        self.size = 0
        self.error: Optional[WebSocketError] = None
        self.close_code = ABNORMAL_CLOSURE
        self.close_reason = ""
        #: A frame header that has not arrived whole: fewer than 14 bytes.
        self._head = b""
        #: The frame whose payload is arriving; _frame_opcode is -1 between frames.
        self._frame_opcode = -1
        self._frame_fin = False
        self._frame_size = 0
        self._frame_offset = 0
        self._key = b""
        #: The message that is being joined; _message_opcode is 0 between messages.
        self._message_opcode = 0
        self._message = bytearray()
        self._compressed = False
        self._control_payload = b""
        self._utf8: Any = None

    @property
    def idle(self) -> bool:
        """True when the next byte starts a frame of a new message."""
        return self._frame_opcode < 0 and not self._message_opcode and not self._head

    @property
    def arriving(self) -> int:
        """Bytes of the frame whose payload is arriving; 0 between frames."""
        return self._frame_size if self._frame_opcode >= 0 else 0

    def feed(self, data: bytes) -> None:
        """Decode what arrived; results are in `messages` and `control`, a failure in `error`.

        Bytes behind a close frame or a failure are ignored (section 5.5.1).
        """
        if self.error is not None or self.close_code != ABNORMAL_CLOSURE:
            return
        try:
            if self._frame_opcode >= 0:
                position = self._payload(data, 0)
            else:
                if self._head:
                    data = self._head + data
                    self._head = b""
                position = 0
            end = len(data)
            while position < end and self.close_code == ABNORMAL_CLOSURE:
                position = self._frame(data, position, end)
        except WebSocketError as error:
            self.error = error
            self._message = bytearray()

    def _frame(self, data: bytes, start: int, end: int) -> int:
        """Decode the frame at `start`, or as much of it as is there; returns where it ends."""
        first = data[start]
        opcode = first & 0x0F
        if first & RSV and (first & RSV != RSV1 or self._inflater is None or not TEXT <= opcode <= BINARY):
            raise WebSocketError(PROTOCOL_ERROR, "reserved bit set")
        if opcode > PONG or BINARY < opcode < CLOSE:
            raise WebSocketError(PROTOCOL_ERROR, "reserved opcode")
        control = opcode >= CLOSE
        if control:
            if not first & FIN:
                raise WebSocketError(PROTOCOL_ERROR, "fragmented control frame")
        elif opcode == CONTINUATION:
            if not self._message_opcode:
                raise WebSocketError(PROTOCOL_ERROR, "continuation without a message")
        elif self._message_opcode:
            raise WebSocketError(PROTOCOL_ERROR, "new message inside a fragmented one")
        if end - start < 2:
            self._head = data[start:]
            return end
        second = data[start + 1]
        if not second & MASKED:
            raise WebSocketError(PROTOCOL_ERROR, "unmasked frame")
        size = second & 0x7F
        position = start + 2
        if size > MAX_CONTROL_PAYLOAD:
            if control:
                raise WebSocketError(PROTOCOL_ERROR, "control frame too long")
            if size == 126:
                if end - position < 2:
                    self._head = data[start:]
                    return end
                size = data[position] << 8 | data[position + 1]
                position += 2
                if size < 126:
                    raise WebSocketError(PROTOCOL_ERROR, "length not in its shortest form")
            else:
                if position < end and data[position] & 0x80:
                    raise WebSocketError(PROTOCOL_ERROR, "length with its top bit set")
                if end - position < 8:
                    self._head = data[start:]
                    return end
                size = 0
                for octet in data[position : position + 8]:
                    size = size << 8 | octet
                position += 8
                if size < 65536:
                    raise WebSocketError(PROTOCOL_ERROR, "length not in its shortest form")
        if not control and size > self.max_size - len(self._message) and not (self._compressed or first & RSV1):
            # What a compressed frame comes to is seen when it is inflated, which stops at the limit.
            raise WebSocketError(MESSAGE_TOO_BIG, "message too big")
        if end - position < 4:
            self._head = data[start:]
            return end
        key = data[position : position + 4]
        position += 4

        if first & (FIN | RSV1) == FIN and end - position >= size and opcode != CONTINUATION:
            # The common case, a whole frame that is a whole message: nothing is kept.
            payload = apply_mask(data, key, 0, position, position + size)
            if control:
                self._deliver_control(opcode, payload)
            else:
                if opcode == TEXT and not is_ascii(payload):
                    try:
                        payload.decode("utf-8")
                    except UnicodeDecodeError:
                        raise WebSocketError(INVALID_PAYLOAD, "invalid UTF-8") from None
                self.messages.append((opcode, payload))
                self.size += size
            return position + size

        self._frame_opcode = opcode
        self._frame_fin = bool(first & FIN)
        self._frame_size = size
        self._frame_offset = 0
        self._key = key
        if not control and opcode != CONTINUATION:
            self._message_opcode = opcode
            self._compressed = bool(first & RSV1)
            self._utf8 = _new_utf8() if opcode == TEXT else None
        return self._payload(data, position)

    def _payload(self, data: bytes, start: int) -> int:
        """Take the part of the current frame's payload that is there; returns where it ends."""
        stop = min(len(data), start + self._frame_size - self._frame_offset)
        part = apply_mask(data, self._key, self._frame_offset, start, stop)
        self._frame_offset += stop - start
        complete = self._frame_offset == self._frame_size
        if self._frame_opcode >= CLOSE:
            self._control_payload += part
            if complete:
                opcode, payload = self._frame_opcode, self._control_payload
                self._frame_opcode = -1
                self._control_payload = b""
                self._deliver_control(opcode, payload)
            return stop

        final = complete and self._frame_fin
        if self._compressed and self._inflater is not None:
            part = self._inflater.inflate(part, final, self.max_size - len(self._message))
        self._message += part
        if self._utf8 is not None:
            try:
                self._utf8.decode(part, final)
            except UnicodeDecodeError:
                raise WebSocketError(INVALID_PAYLOAD, "invalid UTF-8") from None
            # CPython's decoder waits for the third byte of a surrogate, which is wrong at its second.
            pending = self._utf8.getstate()[0]
            if len(pending) == 2 and pending[0] == 0xED and pending[1] > 0x9F:
                raise WebSocketError(INVALID_PAYLOAD, "invalid UTF-8")
        if complete:
            self._frame_opcode = -1
        if final:
            self.messages.append((self._message_opcode, bytes(self._message)))
            self.size += len(self._message)
            self._message_opcode = 0
            self._message = bytearray()
            self._compressed = False
            self._utf8 = None
        return stop

    def _deliver_control(self, opcode: int, payload: bytes) -> None:
        """Queue a control frame; a close frame is validated and taken apart (sections 5.5.1, 7.1.5, 7.1.6)."""
        if opcode == CLOSE:
            code, reason = NO_STATUS_RECEIVED, ""
            if payload:
                if len(payload) == 1:
                    raise WebSocketError(PROTOCOL_ERROR, "close frame with one byte")
                code = int.from_bytes(payload[:2], "big")
                if not close_code_allowed(code):
                    raise WebSocketError(PROTOCOL_ERROR, "close code not allowed")
                try:
                    reason = payload[2:].decode("utf-8")
                except UnicodeDecodeError:
                    raise WebSocketError(INVALID_PAYLOAD, "invalid UTF-8 in the close reason") from None
            self.close_code, self.close_reason = code, reason
            self._message = bytearray()
        self.control.append((opcode, payload))


use_compiled(globals(), "MessageDecoder")
