"""Sends a file: its type, its dates, its compressed form, the part that was asked for.

Nothing here decides how bytes travel: the file goes out through `environ["wsgi.file_wrapper"]`, which the server turns into sendfile.
Ranges are always honoured (uWSGI wants --honour-range), and files have an ETag.

Source: uWSGI's `uwsgi_real_file_serve`; RFC 9110, sections 8.8, 12.5.3, 13 and 14.
"""

from __future__ import annotations

import errno
import mimetypes
import os
import re
import stat
import time
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, NamedTuple, Optional

from ..log import log
from ..protocol.head import decimal
from .head import BAD_IN_VALUE, http_date
from .settings import StaticSettings
from .transport import EXHAUSTED

Headers = list[tuple[str, str]]

#: What /etc/mime.types of older systems misses or has wrong. Browsers refuse modules and WebAssembly of another type.
_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
#: Compressed files are sent as what they are: a Content-Encoding would make the browser unpack a download.
_ENCODED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz", "br": "application/x-brotli"}

#: Bytes handed over at a time where the server cannot use sendfile.
_BLOCK = 65536

_RANGE = re.compile(r"bytes[ \t]*=[ \t]*([0-9]*)-([0-9]*)[ \t]*\Z", re.ASCII | re.IGNORECASE)


#: What a file beside another one is, by the end of its name, in the order in which browsers gain from it.
_VARIANTS = ((".br", "br"), (".gz", "gzip"))


class Found(NamedTuple):
    """A file to serve.

    Attributes:
        path: its path without links.
        status: what stat says of it.
    """

    path: str
    status: os.stat_result


class FileServer:
    """Answers requests with files that somebody else has found."""

    def __init__(self, settings: StaticSettings) -> None:
        self._settings = settings
        self._negotiates = bool(settings.gzip_all or settings.gzip_prefixes or settings.gzip_suffixes or settings.gzip_patterns)
        self.types = mimetypes.MimeTypes()
        for known in mimetypes.knownfiles:
            if os.path.isfile(known):
                self.types.read(known)
        for extension, kind in _TYPES.items():
            self.types.add_type(kind, extension)
        for name in settings.mime_files:
            try:
                self.types.read(name)
            except (OSError, UnicodeDecodeError) as error:
                log(f"--mimefile {name} cannot be read, types are guessed without it: {error}")

    def serve(self, found: Found, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request with a file. A WSGI application but for its first argument."""
        kind = self.content_type(found.path)
        about: Headers = []
        encoding = ""
        original = found.path
        if self._negotiates and self._may_be_compressed(original):
            about.append(("Vary", "Accept-Encoding"))
            found, encoding = _variant(found, environ.get("HTTP_ACCEPT_ENCODING", ""))
        path, status = found
        modified = http_date(status.st_mtime)
        etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'
        about += [("Last-Modified", modified), ("ETag", etag)]
        expires = self._expires(original, kind, status, environ)
        if expires is not None:
            about.append(("Expires", expires))
        if _another(environ, int(status.st_mtime), etag):
            start_response("412 Precondition Failed", [*about, ("Content-Length", "0")])
            return []
        if environ["REQUEST_METHOD"] in ("GET", "HEAD") and _unchanged(environ, int(status.st_mtime), etag):
            start_response("304 Not Modified", about)
            return []
        headers = [("Content-Type", kind), *about, ("Accept-Ranges", "bytes")]
        if encoding:
            headers.append(("Content-Encoding", encoding))
        if self._settings.redirect_header:
            # The front server takes this head and sends the file.
            name = os.fsencode(path).decode("latin-1")
            if not BAD_IN_VALUE.search(name):
                start_response("200 OK", [*headers, (self._settings.redirect_header, name)])
                return []
            log(f"static file {path!a} is not served: a control character cannot stand in {self._settings.redirect_header}")
            return _plain("404 Not Found", start_response)
        size = status.st_size
        start, length, code = 0, size, "200 OK"
        wanted = _range(environ, size, etag, modified)
        if wanted is not None:
            start, length = wanted
            if not length:
                start_response("416 Range Not Satisfiable", [("Content-Range", f"bytes */{size}"), ("Content-Length", "0")])
                return []
            code = "206 Partial Content"
            headers.append(("Content-Range", f"bytes {start}-{start + length - 1}/{size}"))
        headers.append(("Content-Length", str(length)))
        if environ["REQUEST_METHOD"] == "HEAD":
            start_response(code, headers)
            return []
        try:
            file = open(path, "rb", buffering=0)  # noqa: SIM115 - the response closes it
        except OSError as error:
            return _refuse(path, error, start_response)
        file.seek(start)
        start_response(code, headers)
        # The wrapper sends from the file's position; what is longer than Content-Length it leaves out.
        wrapper = environ.get("wsgi.file_wrapper")
        if wrapper is None:
            return _Blocks(file, length)
        return wrapper(file, _BLOCK)  # type: ignore[no-any-return]

    def content_type(self, path: str) -> str:
        """The media type for a file's name; bytes of unknown meaning if the name tells nothing."""
        return self.known_type(path) or "application/octet-stream"

    def known_type(self, path: str) -> Optional[str]:
        """The media type for a file's name; None if the name tells nothing."""
        kind, encoding = self.types.guess_type("x" + os.path.basename(path))  # the x keeps ".html" alone from having no extension
        if encoding is not None:
            return _ENCODED.get(encoding)
        return kind

    def _may_be_compressed(self, path: str) -> bool:
        settings = self._settings
        return (
            settings.gzip_all
            or path.startswith(settings.gzip_prefixes)
            or path.endswith(settings.gzip_suffixes)
            or any(pattern.search(os.fsencode(path).decode("latin-1")) for pattern in settings.gzip_patterns)
        )

    def _expires(self, path: str, kind: str, status: os.stat_result, environ: dict[str, Any]) -> Optional[str]:
        for rule in self._settings.expires:
            if rule.subject == "type":
                fits = rule.pattern.fullmatch(kind)
            elif rule.subject == "file":
                fits = rule.pattern.search(os.fsencode(path).decode("latin-1"))
            else:
                fits = rule.pattern.search(environ.get("PATH_INFO" if rule.subject == "path-info" else "REQUEST_URI", ""))
            if fits:
                since = int(status.st_mtime) if rule.mtime else time.time()
                return http_date(since + rule.seconds)
        return None


def _variant(found: Found, accepted: str) -> tuple[Found, str]:
    """The compressed form that lies beside a file and that the client takes, with its coding; the file itself and "" without one."""
    if not accepted:
        return found, ""
    takes = _codings(accepted)
    for ending, coding in _VARIANTS:
        if takes.get(coding, takes.get("*", False)):
            path = found.path + ending
            try:
                status = os.lstat(path)  # a link might lead anywhere
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                return Found(path, status), coding
    return found, ""


def _codings(accepted: str) -> dict[str, bool]:
    """What an Accept-Encoding header says of each coding. uWSGI looks for the bare word, and finds it in "gzip;q=0"."""
    takes = {}
    for item in accepted.lower().split(","):
        coding, _, weight = item.partition(";")
        try:
            takes[coding.strip()] = not weight or float(weight.partition("=")[2] or 1) > 0
        except ValueError:
            takes[coding.strip()] = False
    return takes


def _refuse(path: str, error: OSError, start_response: Any) -> Iterable[bytes]:
    log(f"static file {path} cannot be opened: {error.strerror}")
    if error.errno in (errno.EACCES, errno.EPERM):
        status = "403 Forbidden"
    else:
        status = "503 Service Unavailable" if error.errno in EXHAUSTED else "404 Not Found"
    return _plain(status, start_response)


def _plain(status: str, start_response: Any) -> Iterable[bytes]:
    body = status[4:].encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _another(environ: dict[str, Any], modified: int, etag: str) -> bool:
    """Whether the client insists on a version that this is not. Source: RFC 9110, sections 13.1.1, 13.1.4 and 13.2.2."""
    tags = environ.get("HTTP_IF_MATCH")
    if tags is not None:
        return tags.strip() != "*" and etag not in (tag.strip() for tag in tags.split(","))  # weak tags never match
    since = _time_in(environ.get("HTTP_IF_UNMODIFIED_SINCE"))
    return since is not None and modified > since


def _unchanged(environ: dict[str, Any], modified: int, etag: str) -> bool:
    """Whether the client's copy is still good. Source: RFC 9110, sections 13.1.2, 13.1.3 and 13.2.2."""
    tags = environ.get("HTTP_IF_NONE_MATCH")
    if tags is not None:
        return tags.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in tags.split(","))
    since = _time_in(environ.get("HTTP_IF_MODIFIED_SINCE"))
    return since is not None and modified <= since


def _time_in(date: Optional[str]) -> Optional[float]:
    """The seconds since the epoch that a header says; None without one. One that cannot be read is none."""
    if date is None:
        return None
    try:
        return parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _range(environ: dict[str, Any], size: int, etag: str, modified: str) -> Optional[tuple[int, int]]:
    """The bytes asked for as (start, length); length 0 if they lie outside the file; None for the whole file.

    Several ranges in one request, other units and malformed ones get the whole file, which RFC 9110 allows.
    Source: RFC 9110, sections 13.1.5 and 14.1.2 to 14.2 (only GET knows ranges).
    """
    header = environ.get("HTTP_RANGE")
    if header is None or environ["REQUEST_METHOD"] != "GET":
        return None
    match = _RANGE.match(header.strip())
    if match is None:
        return None
    condition = environ.get("HTTP_IF_RANGE")
    if condition is not None and condition.strip() not in (etag, modified):
        return None  # the client's part is of another version; weak tags never match
    first, last = match.groups()
    if not first:
        if not last:
            return None
        length = min(decimal(last), size)
        return size - length, length
    start = decimal(first)
    end = decimal(last) if last else size - 1
    if last and end < start:
        return None  # malformed, not unsatisfiable
    return start, max(0, min(end, size - 1) - start + 1)


class _Blocks:
    """The fallback where the environ has no file wrapper."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self.file = file
        self.left = length

    def __iter__(self) -> _Blocks:
        return self

    def __next__(self) -> bytes:
        data = self.file.read(min(_BLOCK, self.left))
        if not data:
            raise StopIteration
        self.left -= len(data)
        return data

    def close(self) -> None:
        self.file.close()
