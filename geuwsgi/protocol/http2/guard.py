"""Looks at the frames of a client before h2 does: what is cheap to send and dear to receive is counted here. No I/O.

h2 keeps the rules of the protocol; what follows them and does harm all the same is for its user to bound. Doing that before h2 sees the
bytes is what makes it cheap: a look at a frame's header takes a microsecond, its way through h2 thirty to a hundred.

Three allowances, which fill up again with time and with useful work:
  frames that carry nothing (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, unknown ones);
  streams that the client resets, or makes this side reset or refuse (CVE-2023-44487, "rapid reset");
  and one that does not fill up: the bytes and frames of one header block (CVE-2024-27316, "CONTINUATION flood").

It also takes GOAWAY out: h2 ends the connection at once when it gets one, but a client that opens no further streams waits for the
answers to those that it has (RFC 9113 section 6.8).

Source: RFC 9113 sections 4.1, 4.2 and 10.5; CERT VU#605641 and VU#421644 for the attacks.
"""

from __future__ import annotations

from ...errors import ProtocolError

#: Error codes (RFC 9113 section 7).
NO_ERROR = 0
PROTOCOL_ERROR = 1
INTERNAL_ERROR = 2
FRAME_SIZE_ERROR = 6
REFUSED_STREAM = 7
CANCEL = 8
ENHANCE_YOUR_CALM = 11

CODE_NAMES = {
    NO_ERROR: "NO_ERROR",
    PROTOCOL_ERROR: "PROTOCOL_ERROR",
    INTERNAL_ERROR: "INTERNAL_ERROR",
    3: "FLOW_CONTROL_ERROR",
    4: "SETTINGS_TIMEOUT",
    5: "STREAM_CLOSED",
    FRAME_SIZE_ERROR: "FRAME_SIZE_ERROR",
    REFUSED_STREAM: "REFUSED_STREAM",
    CANCEL: "CANCEL",
    9: "COMPRESSION_ERROR",
    10: "CONNECT_ERROR",
    ENHANCE_YOUR_CALM: "ENHANCE_YOUR_CALM",
}

#: What a client says first (RFC 9113 section 3.4); a server of HTTP/1.1 reads the first part of it as a request.
PREFACE_HEAD = b"PRI * HTTP/2.0\r\n\r\n"
PREFACE = PREFACE_HEAD + b"SM\r\n\r\n"

#: The largest frame that this side accepts: the protocol's default, since larger ones save nothing here.
MAX_FRAME = 16384

#: Frames without content that may come at once, and each second. A client may answer a DATA frame with two WINDOW_UPDATEs, which is why
#: frames sent earn some.
CONTROL_BURST = 2000.0
CONTROL_RATE = 100.0
EARNED_BY_FRAME = 2.0
EARNED_BY_REQUEST = 4.0

#: Resets that may come at once, and each second. Who scrolls through a page of pictures resets all that are on their way.
RESET_BURST = 500.0
RESET_RATE = 50.0

#: CONTINUATION frames of one header block. A block of 64 KiB needs four.
MAX_CONTINUATIONS = 32

#: h2 is given this many frames at a time, after which other connections get their turn.
FRAMES_AT_ONCE = 64

_DATA, _HEADERS, _PRIORITY, _RST_STREAM, _SETTINGS, _PUSH_PROMISE, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = range(10)
_END_STREAM, _END_HEADERS, _PADDED = 0x1, 0x4, 0x8


class HTTP2Error(ProtocolError):
    """The connection has to end.

    Attributes:
        code: for the GOAWAY frame.
        reason: for the log, and for whoever looks into that frame.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} ({CODE_NAMES.get(code, code)})")
        self.code = code
        self.reason = reason


class Allowance:
    """So many at once, and so many each second.

    Args:
        burst: at once.
        rate: each second.
    """

    __slots__ = ("_burst", "_last", "_left", "_rate")

    def __init__(self, burst: float, rate: float) -> None:
        self._burst = burst
        self._rate = rate
        self._left = burst
        self._last = 0.0

    def spend(self, now: float) -> bool:
        """Whether there is one left; it is used up.

        Args:
            now: seconds, of a clock that does not go back.
        """
        if now > self._last:
            self._left = min(self._burst, self._left + (now - self._last) * self._rate)
            self._last = now
        self._left -= 1.0
        return self._left >= 0.0

    def earn(self, count: float) -> None:
        """Add to what is left; never beyond what may come at once."""
        self._left = min(self._burst, self._left + count)


class FrameGuard:
    """The frames of one client, behind its preface.

    Args:
        max_head: bytes of a compressed header block.
        now: the time, in seconds of a clock that does not go back.

    Attributes:
        goaway: the client has said that it will open no further streams.
        head_began: when the header block began that is not complete yet; negative without one.
    """

    __slots__ = ("_block", "_continuations", "_control", "_dropping", "_left", "_max_head", "_partial", "_resets", "goaway", "head_began")

    def __init__(self, max_head: int, now: float) -> None:
        self._max_head = max_head
        self._control = Allowance(CONTROL_BURST, CONTROL_RATE)
        self._resets = Allowance(RESET_BURST, RESET_RATE)
        #: Bytes of the header block that is being received; -1 outside of one.
        self._block = -1
        self._continuations = 0
        #: Bytes of the current frame that are still to come, and whether they are not for h2.
        self._left = 0
        self._dropping = False
        #: The first bytes of a frame's header.
        self._partial = b""
        self.goaway = False
        self.head_began = -1.0
        self._control.spend(now)

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """Take bytes; what of them is for h2, in pieces of a few frames.

        Raises:
            HTTP2Error: they are more than an honest client sends.
        """
        if self._partial:
            data, self._partial = self._partial + data, b""
        pieces: list[bytes] = []
        size = len(data)
        start = position = frames = 0
        if self._left:
            position = min(self._left, size)
            self._left -= position
            if self._dropping:
                start = position
        while position < size:
            if not self._left and self._block < 0:
                self.head_began = -1.0
            if size - position < 9:
                self._partial = data[position:]
                size = position
                break
            length = int.from_bytes(data[position : position + 3], "big")
            kind = data[position + 3]
            self._dropping = kind == _GOAWAY
            if self._dropping and start < position:
                pieces.append(data[start:position])
            self._look(kind, data[position + 4], length, data, position + 9, now)
            position += 9 + length
            if position > size:
                self._left = position - size
                position = size
            frames += 1
            if self._dropping:
                start = position
            elif frames % FRAMES_AT_ONCE == 0:
                pieces.append(data[start:position])
                start = position
        if not self._left and self._block < 0:
            self.head_began = -1.0
        if start < size:
            pieces.append(data[start:size] if start or size < len(data) else data)
        return pieces

    def refused(self, now: float) -> None:
        """A stream was refused or reset by this side: too many were open, or the client has broken a rule (CVE-2025-8671).

        Raises:
            HTTP2Error: it was not the first.
        """
        if not self._resets.spend(now):
            raise HTTP2Error(ENHANCE_YOUR_CALM, "too many streams had to be refused or reset")

    def sent(self, frames: int) -> None:
        """So many DATA frames were sent, for which the client may open its windows again."""
        self._control.earn(EARNED_BY_FRAME * frames)

    def served(self) -> None:
        """A request was answered."""
        self._control.earn(EARNED_BY_REQUEST)
        self._resets.earn(1.0)

    def _look(self, kind: int, flags: int, length: int, data: bytes, payload: int, now: float) -> None:
        """Judge a frame by its header; `payload` is where the rest of it begins in `data`, as far as it has come."""
        if length > MAX_FRAME:
            # h2 would say so too, but only once it has stored all of it.
            raise HTTP2Error(FRAME_SIZE_ERROR, f"a frame of {length} bytes, {MAX_FRAME} are allowed")
        if kind == _DATA:
            if flags & _END_STREAM or not _is_empty(flags, length, data, payload):
                return
        elif kind == _HEADERS:
            self._block = length
            self._continuations = 0
            self.head_began = now
            self._in_block(flags)
            return
        elif kind == _CONTINUATION and self._block >= 0:
            self._block += length
            self._continuations += 1
            if self._continuations > MAX_CONTINUATIONS:
                raise HTTP2Error(ENHANCE_YOUR_CALM, f"a header block in more than {MAX_CONTINUATIONS} pieces")
            self._in_block(flags)
            return
        elif kind == _RST_STREAM:
            if not self._resets.spend(now):
                raise HTTP2Error(ENHANCE_YOUR_CALM, "too many streams were reset")
            return
        elif kind == _GOAWAY:
            self.goaway = True
        if not self._control.spend(now):
            raise HTTP2Error(ENHANCE_YOUR_CALM, "too many frames without content")

    def _in_block(self, flags: int) -> None:
        if self._block > self._max_head:
            raise HTTP2Error(ENHANCE_YOUR_CALM, f"a header block of more than {self._max_head} bytes")
        if flags & _END_HEADERS:
            self._block = -1


def _is_empty(flags: int, length: int, data: bytes, payload: int) -> bool:
    """Whether a DATA frame holds nothing but padding."""
    if not length:
        return True
    return bool(flags & _PADDED) and payload < len(data) and data[payload] >= length - 1
