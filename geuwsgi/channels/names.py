"""What a channel may be called."""

from __future__ import annotations

from ..errors import ChannelError

#: Bytes of UTF-8. Longer ones do not go between workers.
MAX_NAME = 1024


def encode_name(name: str) -> bytes:
    """A name's bytes. Those of an application that were no UTF-8 stand in it as surrogates and come out as they went in.

    Raises:
        ChannelError: it has no bytes, or more than MAX_NAME.
    """
    try:
        encoded = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ChannelError(f"{name!r} cannot be the name of a channel: it is no valid Unicode") from None
    if len(encoded) > MAX_NAME:
        raise ChannelError(f"the name of a channel may have {MAX_NAME} bytes, this one has {len(encoded)}")
    return encoded


def decode_name(encoded: bytes) -> str:
    """The other way round."""
    return encoded.decode("utf-8", "surrogateescape")


def check_name(name: str) -> str:
    """The name, if it can be one.

    Raises:
        ChannelError: as `encode_name`.
    """
    if len(name) > MAX_NAME // 4 or not name.isascii():
        encode_name(name)
    return name
