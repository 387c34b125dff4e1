"""`--http-auto-gzip` and `--http-gzip` for applications that are served here: what the front does for those of others.

A WSGI callable around the application's, made only when one of these options was given.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional, Union

from .gateway.gzip import GZIP, accepts_gzip, adapt, wanted

Application = Callable[..., Any]


class Gzipped:
    """Compresses the responses of an application.

    Args:
        application: the callable.
        auto: those with `uWSGI-Encoding: gzip`.
        everything: those whose type is worth it.
    """

    def __init__(self, application: Application, auto: bool, everything: bool) -> None:
        self.application = application
        self.auto = auto
        self.everything = everything

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        response = _Response(self, environ, start_response)
        result = self.application(environ, response.start)
        if result is None or (response.started and response.compressor is None):
            return result
        return response.pieces(result)


class _Response:
    """One response: whether it is compressed is known when the application calls `start_response`, maybe while it is iterated."""

    def __init__(self, owner: Gzipped, environ: dict[str, Any], start_response: Any) -> None:
        self._owner = owner
        self._environ = environ
        self._start_response = start_response
        self.started = False
        self.compressor: Any = None

    def start(self, status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        self.started = True
        self.compressor = None
        if isinstance(headers, list) and status[:3].isdigit() and self._wanted(int(status[:3]), headers):
            zipped = accepts_gzip(self._environ)
            headers = adapt(headers, zipped)
            if zipped:
                self.compressor = zlib.compressobj(wbits=GZIP)
        write: Callable[[bytes], None] = self._start_response(status, headers, exc_info)
        return write if self.compressor is None else lambda data: write(self._compress(data))

    def _wanted(self, code: int, headers: list[tuple[str, str]]) -> bool:
        return wanted(code, headers, _length(headers), False, self._owner.auto, self._owner.everything)

    def _compress(self, data: bytes) -> bytes:
        found: bytes = self.compressor.compress(data) + self.compressor.flush(zlib.Z_SYNC_FLUSH)
        return found

    def pieces(self, result: Union[bytes, Iterable[bytes]]) -> Iterator[bytes]:
        try:
            for data in (result,) if isinstance(result, bytes) else result:
                # An empty piece is no data, but an occasion for others.
                yield self._compress(data) if data and self.compressor is not None else data
            if self.compressor is not None:
                yield self.compressor.flush()
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()


def _length(headers: list[tuple[str, str]]) -> int:
    found: Optional[str] = next((value for name, value in headers if name.lower() == "content-length"), None)
    return int(found) if found is not None and found.isdigit() else -1
