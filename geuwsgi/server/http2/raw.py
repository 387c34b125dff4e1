"""What `uwsgi.send(data)` says in the place of a response: bytes of HTTP/1.1, of which HTTP/2 needs the parts."""

from __future__ import annotations

from typing import Any

import httptools


class RawResponse:
    """Takes a response of HTTP/1.1 apart.

    Attributes:
        complete: the head has come.
        status: the status line without the version.
        headers: names and values.
    """

    def __init__(self) -> None:
        self.complete = False
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self._reason = b""
        self._body: list[bytes] = []
        self._parser: Any = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> bytes:
        """Take bytes; those of the body among them, without their framing.

        Raises:
            OSError: it is no response.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError as error:
            raise OSError(f"not a response of HTTP/1.1: {error}") from None
        body = b"".join(self._body)
        self._body.clear()
        return body

    # -- httptools' callbacks

    def on_status(self, status: bytes) -> None:
        self._reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.complete = True
        self.status = f"{self._parser.get_status_code()} {self._reason.decode('latin-1')}"

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
