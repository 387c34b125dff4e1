"""RFC 6455 frames: the numbers, the limits, and how this side writes one.

Reading is in `messages`; this module holds what both directions share.
"""

from __future__ import annotations

import struct

from ..accel import use_compiled

#: Opcodes (RFC 6455 section 5.2).
CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

#: First-byte bits.
FIN = 0x80
RSV1 = 0x40
RSV = 0x70
#: Second-byte bit.
MASKED = 0x80

#: A control frame carries at most this many payload bytes (section 5.5).
MAX_CONTROL_PAYLOAD = 125

#: Close codes (section 7.4.1 and the IANA registry).
NORMAL_CLOSURE = 1000
GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
NO_STATUS_RECEIVED = 1005
ABNORMAL_CLOSURE = 1006
INVALID_PAYLOAD = 1007
POLICY_VIOLATION = 1008
MESSAGE_TOO_BIG = 1009
INTERNAL_ERROR = 1011
SERVICE_RESTART = 1012
TRY_AGAIN_LATER = 1013

#: What may stand in a close frame: the registered codes that are not reserved for local use, and the ranges
#: for libraries (3000-3999) and applications (4000-4999).
_REGISTERED = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))

_SHORT_HEADERS = {opcode: [bytes((FIN | opcode, n)) for n in range(126)] for opcode in (TEXT, BINARY, CLOSE, PING, PONG)}
_pack_16 = struct.Struct("!BBH").pack
_pack_64 = struct.Struct("!BBQ").pack


def close_code_allowed(code: int) -> bool:
    """Whether a close frame may carry this code.

    Source: RFC 6455 section 7.4.2; 1004, 1005, 1006 and 1015 are never sent, 1016-2999 are unassigned.
    """
    return code in _REGISTERED or 3000 <= code <= 4999


def encode_frame(opcode: int, payload: bytes, rsv1: bool = False) -> bytes:
    """One whole, final, unmasked frame, as a server sends it.

    Args:
        opcode: TEXT, BINARY, CLOSE, PING or PONG.
        payload: the bytes behind the header; at most 125 for a control frame.
        rsv1: set the first reserved bit (a compressed message, RFC 7692).
    """
    size = len(payload)
    if size < 126 and not rsv1:
        return _SHORT_HEADERS[opcode][size] + payload
    return encode_header(opcode, size, rsv1) + payload


def encode_header(opcode: int, size: int, rsv1: bool = False) -> bytes:
    """What stands before the payload in the frame that `encode_frame` makes.

    Source: RFC 6455 section 5.2: the length takes its shortest form.
    """
    first = FIN | opcode | (RSV1 if rsv1 else 0)
    if size < 126:
        return bytes((first, size))
    if size < 65536:
        return _pack_16(first, 126, size)
    return _pack_64(first, 127, size)


def encode_close(code: int, reason: str = "") -> bytes:
    """A close frame; NO_STATUS_RECEIVED gives an empty one.

    A reason that is too long is cut at a character boundary, so that the frame stays valid.
    """
    if code == NO_STATUS_RECEIVED:
        return encode_frame(CLOSE, b"")
    text = reason.encode("utf-8", "replace")[: MAX_CONTROL_PAYLOAD - 2]
    text = text.decode("utf-8", "ignore").encode("utf-8")
    return encode_frame(CLOSE, code.to_bytes(2, "big") + text)


use_compiled(globals(), "encode_frame")
