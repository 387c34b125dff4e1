"""HPACK that remembers: the same block in the same state of the table is not worked out twice. No I/O.

A block whose fields are all "indexed" (RFC 7541 section 6.1) leaves the table as it is, so as long as only such blocks come, each of them
means what it meant the last time. That is what polls, and a page's many requests for the same thing, look like; hpack takes a quarter of
the time of a request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError as H2ProtocolError
from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError, OversizedHeaderListError

#: Indexed fields of one byte each; 0x80 is none, and 0xff the beginning of a longer one.
_INDEXED = re.compile(rb"[\x81-\xfe]*")

#: Blocks remembered. They come from clients.
_MAX = 64


class CompressionError(H2ProtocolError):
    """A header block that cannot be decoded ends the connection (RFC 9113 section 4.3); h2 would call it a PROTOCOL_ERROR."""

    error_code = ErrorCodes.COMPRESSION_ERROR


class RememberingEncoder(Encoder):
    """As hpack's."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[Any, ...], bytes] = {}

    def encode(self, headers: Any, huffman: bool = True) -> bytes:
        """As hpack's, for an iterable of pairs."""
        key = tuple(headers)
        known = self._known
        if self.table_size_changes:
            # hpack forgets to say that the size has changed when it is set to the same one again.
            self.header_table.resized = True
        if not self.header_table.resized:
            block = known.get(key)
            if block is not None:
                return block
        block = super().encode(key, huffman)
        if not _INDEXED.fullmatch(block):
            known.clear()
        elif len(known) < _MAX:
            known[key] = block
        return block


class RememberingDecoder(Decoder):
    """As hpack's."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[bytes, Any] = {}

    def decode(self, data: bytes, raw: bool = False) -> Iterable[Any]:
        """As hpack's; what it returns is not to be changed.

        Raises:
            CompressionError: it cannot be decoded.
            hpack.OversizedHeaderListError: there is more in it than `max_header_list_size`.
        """
        known = self._known
        found = known.get(data)
        if found is not None:
            return found  # type: ignore[no-any-return]
        indexed = _INDEXED.fullmatch(data)
        if not indexed:
            known.clear()
        try:
            found = super().decode(data, raw)
        except OversizedHeaderListError:
            raise
        except (HPACKError, IndexError, TypeError) as error:
            raise CompressionError(f"a header block that cannot be decoded: {type(error).__name__}") from None
        if indexed and len(known) < _MAX:
            known[data] = found
        return found
