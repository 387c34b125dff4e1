"""A second inflater, written for clarity alone: one bit at a time, after RFC 1951, with the rules of RFC 7692 on top.

It says what a compressed message must come to and when it must be refused. It shares no code with geuwsgi, nor with zlib.
"""

from __future__ import annotations

_TAIL = b"\x00\x00\xff\xff"
_WINDOW = 32768

#: RFC 1951 section 3.2.5: (smallest value, extra bits) by symbol.
_LENGTHS: list[tuple[int, int]] = []
_DISTANCES: list[tuple[int, int]] = []
_value = 3
for _symbol in range(28):
    _extra = max(0, _symbol // 4 - 1)
    _LENGTHS.append((_value, _extra))
    _value += 1 << _extra
_LENGTHS.append((258, 0))
_value = 1
for _symbol in range(30):
    _extra = max(0, _symbol // 2 - 1)
    _DISTANCES.append((_value, _extra))
    _value += 1 << _extra

#: Section 3.2.7: the order in which the lengths of the code length codes come.
_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)

_FIXED_LENGTHS = [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8

Codes = dict[tuple[int, int], int]


class Refused(Exception):
    """The message must fail with this close code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Ended(Exception):
    """The bits are used up in the middle of something."""


def _codes(lengths: list[int], incomplete: bool) -> Codes:
    """Section 3.2.2: canonical codes, by (length, bits).

    Args:
        incomplete: a single code of one bit, or none at all, will do (section 3.2.7).
    """
    used = [length for length in lengths if length]
    kraft = sum(1 << 15 - length for length in used)
    if kraft > 1 << 15 or (kraft < 1 << 15 and not (incomplete and (not used or used == [1]))):
        raise Refused(1007)
    codes: Codes = {}
    code = 0
    for length in range(1, 16):
        for symbol, its_length in enumerate(lengths):
            if its_length == length:
                codes[length, code] = symbol
                code += 1
        code <<= 1
    return codes


_FIXED_CODES = _codes(_FIXED_LENGTHS, False)
_FIXED_DISTANCES: Codes = {(5, code): code for code in range(32)}


class ReferenceInflater:
    """Inflates whole messages of one peer.

    Args:
        takeover: messages may refer to earlier ones.

    Attributes:
        farthest: the greatest distance that any message has referred back to.
    """

    def __init__(self, takeover: bool) -> None:
        self._takeover = takeover
        self._past = b""
        self.farthest = 0

    def message(self, data: bytes, limit: int) -> bytes:
        """One message.

        Raises:
            Refused: 1009 when it is longer than `limit`; 1007 when it is not a sequence of blocks behind which the compressor
                flushed, so that the tail that was left off completes an empty one.
        """
        self._bits = int.from_bytes(data + _TAIL, "little")
        self._position = 0
        self._data_end = 8 * len(data)
        self._out = bytearray(self._past)
        self._start = len(self._out)
        #: Where the present stream begins: nothing before it can be referred to.
        self._horizon = 0
        self._limit = limit
        try:
            while self._position < self._data_end + 32:
                self._block()
        except _Ended:
            raise Refused(1007) from None
        if self._takeover:
            self._past = bytes(self._out[self._horizon :][-_WINDOW:])
        return bytes(self._out[self._start :])

    def _number(self, bits: int) -> int:
        if self._position + bits > self._data_end + 32:
            raise _Ended
        number = self._bits >> self._position & (1 << bits) - 1
        self._position += bits
        return number

    def _align(self) -> None:
        self._position = (self._position + 7) // 8 * 8

    def _put(self, octet: int) -> None:
        if self._position > self._data_end:
            raise Refused(1007)  # the tail is no part of the message
        if len(self._out) - self._start >= self._limit:
            raise Refused(1009)
        self._out.append(octet)

    def _block(self) -> None:
        last, kind = self._number(1), self._number(2)
        if kind == 0:
            self._stored()
        elif kind == 1:
            self._coded(_FIXED_CODES, _FIXED_DISTANCES)
        elif kind == 2:
            self._coded(*self._dynamic())
        else:
            raise Refused(1007)
        if last:
            # What follows is another stream; something has to.
            self._align()
            if self._position >= self._data_end:
                raise Refused(1007)
            self._horizon = len(self._out)

    def _stored(self) -> None:
        self._align()
        size, complement = self._number(16), self._number(16)
        if size != complement ^ 0xFFFF:
            raise Refused(1007)
        for _ in range(size):
            self._put(self._number(8))

    def _dynamic(self) -> tuple[Codes, Codes]:
        literals, distances, lengths = self._number(5) + 257, self._number(5) + 1, self._number(4) + 4
        if literals > 286 or distances > 30:
            raise Refused(1007)
        code_lengths = [0] * 19
        for symbol in _ORDER[:lengths]:
            code_lengths[symbol] = self._number(3)
        codes = _codes(code_lengths, False)
        found: list[int] = []
        while len(found) < literals + distances:
            symbol = self._symbol(codes)
            if symbol < 16:
                found.append(symbol)
                continue
            if symbol == 16:
                if not found:
                    raise Refused(1007)
                value, times = found[-1], 3 + self._number(2)
            elif symbol == 17:
                value, times = 0, 3 + self._number(3)
            else:
                value, times = 0, 11 + self._number(7)
            if len(found) + times > literals + distances:
                raise Refused(1007)
            found += [value] * times
        if not found[256]:
            raise Refused(1007)
        return _codes(found[:literals], True), _codes(found[literals:], True)

    def _symbol(self, codes: Codes) -> int:
        code = 0
        for length in range(1, 16):
            code = code << 1 | self._number(1)
            if (length, code) in codes:
                return codes[length, code]
        raise Refused(1007)

    def _coded(self, literals: Codes, distances: Codes) -> None:
        while True:
            symbol = self._symbol(literals)
            if symbol < 256:
                self._put(symbol)
            elif symbol == 256:
                return
            elif symbol > 285:
                raise Refused(1007)
            else:
                smallest, extra = _LENGTHS[symbol - 257]
                length = smallest + self._number(extra)
                symbol = self._symbol(distances)
                if symbol > 29:
                    raise Refused(1007)
                smallest, extra = _DISTANCES[symbol]
                distance = smallest + self._number(extra)
                if distance > len(self._out) - self._horizon:
                    raise Refused(1007)
                self.farthest = max(self.farthest, distance)
                for _ in range(length):
                    self._put(self._out[-distance])
