"""The chunked transfer coding of request bodies. No I/O.

Source: RFC 9112 section 7.1. Chunk extensions and trailers are read and ignored, as section 7.1.1 and RFC 9110 section 6.5.1 allow.
"""

from __future__ import annotations

import httptools

from ..errors import HTTPError

#: A request whose body is what is to be decoded: llhttp decodes bodies only behind a head.
_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


class ChunkDecoder:
    """Decodes one chunked body.

    Args:
        limit: bytes of chunk sizes, extensions and trailers accepted between two pieces of data.

    Attributes:
        done: the last chunk and the trailers have been read.
    """

    __slots__ = ("_found", "_limit", "_llhttp", "_overhead", "_pieces", "_tail", "done")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._overhead = 0
        self._found = False
        self._pieces: list[bytes] = []
        self._tail = b""
        self.done = False
        self._llhttp = httptools.HttpRequestParser(self)
        self._llhttp.feed_data(_HEAD)

    def feed(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Decode bytes of the connection.

        llhttp runs on into the next message, but a body can only end with an empty line, so it is given slices that end with one.

        Returns:
            The data found, with b"" wherever a chunk ends, and the bytes behind the end of the body.

        Raises:
            HTTPError: a chunk that is none.
        """
        view = memoryview(data)
        # The empty line may lie across two reads.
        joined = self._tail + data
        shift = len(self._tail)
        self._tail = joined[-3:]
        size = len(data)
        start = 0
        try:
            while start < size and not self.done:
                end = joined.find(b"\r\n\r\n", start + shift if start else 0)
                end = size if end < 0 else end + 4 - shift
                self._found = False
                self._llhttp.feed_data(view[start:end])
                self._overhead = 0 if self._found else self._overhead + end - start
                if self._overhead > self._limit:
                    raise HTTPError("400 Bad Request", f"chunk extensions or trailers of more than {self._limit} bytes")
                start = end
        except httptools.HttpParserError as error:
            raise HTTPError("400 Bad Request", f"chunked body: {error}") from None
        pieces, self._pieces = self._pieces, []
        return pieces, data[start:]

    def on_body(self, data: bytes) -> None:
        self._found = True
        self._pieces.append(data)

    def on_chunk_complete(self) -> None:
        self._pieces.append(b"")

    def on_message_complete(self) -> None:
        self.done = True
