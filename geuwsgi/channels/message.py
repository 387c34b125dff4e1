"""What applications may publish, and how it goes to websockets."""

from __future__ import annotations

from typing import Any

from ..protocol.frames import BINARY, TEXT


def opcode_of(message: Any) -> tuple[int, bytes]:
    """The kind of a message and its bytes: str is text; bytes are text when they are UTF-8 and binary otherwise.

    Raises:
        TypeError: neither.
    """
    if isinstance(message, str):
        return TEXT, message.encode("utf-8")
    if not isinstance(message, bytes):
        raise TypeError(f"a channel message is str or bytes, not {type(message).__name__}")
    if not message.isascii():
        try:
            message.decode("utf-8")
        except UnicodeDecodeError:
            return BINARY, message
    return TEXT, message
