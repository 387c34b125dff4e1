"""A second decoder, written for clarity alone: one octet at a time, with the rules of RFC 6455 in their own words.

It says what a decoder must deliver and at which octet it must fail. It shares no code with geuwsgi.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Optional

ALLOWED_CLOSE_CODES = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, *range(3000, 5000)}

#: The Unicode Standard, table 3-7: lead octets, then the ranges of the octets that may follow.
_TAIL = (0x80, 0xBF)
_WELL_FORMED = (
    ((0x00, 0x7F), ()),
    ((0xC2, 0xDF), (_TAIL,)),
    ((0xE0, 0xE0), ((0xA0, 0xBF), _TAIL)),
    ((0xE1, 0xEC), (_TAIL, _TAIL)),
    ((0xED, 0xED), ((0x80, 0x9F), _TAIL)),
    ((0xEE, 0xEF), (_TAIL, _TAIL)),
    ((0xF0, 0xF0), ((0x90, 0xBF), _TAIL, _TAIL)),
    ((0xF1, 0xF3), (_TAIL, _TAIL, _TAIL)),
    ((0xF4, 0xF4), ((0x80, 0x8F), _TAIL, _TAIL)),
)
_FOLLOWERS = {octet: followers for (first, last), followers in _WELL_FORMED for octet in range(first, last + 1)}


class Failure(Exception):
    """The stream is unusable from this octet on; the close code to fail with."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Utf8:
    """Takes octets until one cannot belong to UTF-8."""

    def __init__(self) -> None:
        self._expected: tuple[tuple[int, int], ...] = ()

    def take(self, octet: int) -> None:
        if self._expected:
            low, high = self._expected[0]
            if not low <= octet <= high:
                raise Failure(1007)
            self._expected = self._expected[1:]
        elif octet in _FOLLOWERS:
            self._expected = _FOLLOWERS[octet]
        else:
            raise Failure(1007)

    def end(self) -> None:
        if self._expected:
            raise Failure(1007)


class ReferenceDecoder:
    """The same results as `MessageDecoder`, in the same attributes.

    Attributes:
        failed_at: how many octets had been taken when the error appeared, the bad one included; 0 while there is none.
    """

    def __init__(self, max_size: int) -> None:
        self.max_size = max_size
        self.messages: list[tuple[int, bytes]] = []
        self.control: list[tuple[int, bytes]] = []
        self.error_code: Optional[int] = None
        self.close_code = 1006
        self.close_reason = ""
        self.failed_at = 0
        self._taken = 0
        self._rules = self._connection()
        next(self._rules)

    def feed(self, data: bytes) -> None:
        for octet in data:
            if self.error_code is not None or self.close_code != 1006:
                return
            self._taken += 1
            try:
                self._rules.send(octet)
            except Failure as failure:
                self.error_code = failure.code
                self.failed_at = self._taken

    def _connection(self) -> Generator[None, int, None]:
        joined = bytearray()  # the message that is being joined
        kind = 0  # its opcode, 0 between messages
        utf8 = Utf8()
        while True:
            first = yield
            fin, rsv, opcode = first >> 7, first >> 4 & 7, first & 15
            if rsv or opcode not in (0, 1, 2, 8, 9, 10):
                raise Failure(1002)
            if (opcode >= 8 and not fin) or (opcode == 0 and not kind) or (opcode in (1, 2) and kind):
                raise Failure(1002)

            second = yield
            if not second & 0x80:
                raise Failure(1002)
            size = second & 0x7F
            if size > 125:
                if opcode >= 8:
                    raise Failure(1002)
                octets = 2 if size == 126 else 8
                smallest = 126 if size == 126 else 65536
                size = 0
                for i in range(octets):
                    octet = yield
                    if octets == 8 and i == 0 and octet & 0x80:
                        raise Failure(1002)
                    size = size << 8 | octet
                if size < smallest:
                    raise Failure(1002)
            if opcode < 8 and len(joined) + size > self.max_size:
                raise Failure(1009)

            key = []
            for _ in range(4):
                key.append((yield))
                if len(key) == 4 and not size:
                    # The frame ends with this octet, and so does whatever it completes.
                    if opcode in (1, 2):
                        kind, utf8 = opcode, Utf8()
                    if opcode >= 8:
                        self._control(opcode, b"")
                    elif fin:
                        kind, joined = self._message(kind, joined, utf8)
            if not size:
                continue

            if opcode >= 8:
                payload = bytearray()
                for i in range(size):
                    payload.append((yield) ^ key[i % 4])
                    if i == size - 1:
                        self._control(opcode, bytes(payload))
                continue
            if opcode:
                kind, utf8 = opcode, Utf8()
            for i in range(size):
                octet = (yield) ^ key[i % 4]
                joined.append(octet)
                if kind == 1:
                    utf8.take(octet)
                if fin and i == size - 1:
                    kind, joined = self._message(kind, joined, utf8)

    def _message(self, kind: int, joined: bytearray, utf8: Utf8) -> tuple[int, bytearray]:
        if kind == 1:
            utf8.end()
        self.messages.append((kind, bytes(joined)))
        return 0, bytearray()

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == 8:
            code, reason = 1005, ""
            if len(payload) == 1:
                raise Failure(1002)
            if payload:
                code = payload[0] << 8 | payload[1]
                if code not in ALLOWED_CLOSE_CODES:
                    raise Failure(1002)
                utf8 = Utf8()
                for octet in payload[2:]:
                    utf8.take(octet)
                utf8.end()
                reason = payload[2:].decode("utf-8")
            self.close_code, self.close_reason = code, reason
        self.control.append((opcode, payload))
