"""Files served without asking the application: --check-static, --static-map, --static-index.

Own code, because what is wanted is uWSGI's lookup and this server's sendfile: whitenoise keeps its own idea of a file's URL and
reads ahead at the start, werkzeug's SharedDataMiddleware knows no ranges. Nothing here decides how bytes travel: the file goes out through
`environ["wsgi.file_wrapper"]`, which the server turns into sendfile.

As in uWSGI, whatever is not a file to serve (missing, a directory without an index, a link that leads outside, another method than
GET and HEAD) is no error but the application's business. A directory is answered with its index file without a redirect.
Stricter than uWSGI: a prefix ends at a slash (`--static-map /s=dir` does not answer /sa.txt), a directory whose name merely begins with
the root's name is outside, ".." is never followed, and ranges are always honoured (uWSGI wants --honour-range).
"""

from __future__ import annotations

import errno
import mimetypes
import os
import re
import stat
from collections.abc import Iterable
from email.utils import formatdate, parsedate_to_datetime
from typing import Any, BinaryIO, Optional

from ..log import log
from .settings import StaticSettings

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


class StaticFiles:
    """Looks a request up in the configured places.

    Calling it is like calling a WSGI application, except that it returns None, without having called `start_response`, when there is no
    such file.
    """

    def __init__(self, settings: StaticSettings) -> None:
        self.index = settings.index
        # (prefix, prefix with its slash, root with all links resolved), in uWSGI's order: the directories to check come first.
        self.places: list[tuple[str, str, str]] = [("", "/", os.path.realpath(root)) for root in settings.check]
        for prefix, root in settings.maps:
            self.places.append((prefix.rstrip("/"), prefix if prefix.endswith("/") else prefix + "/", os.path.realpath(root)))
        for _, below, root in self.places:
            if not os.path.exists(root):
                log(f"static files for {below}: {root} is not there, so nothing is served from it until it is")
        self.types = mimetypes.MimeTypes()
        for known in mimetypes.knownfiles:
            if os.path.isfile(known):
                self.types.read(known)
        for extension, kind in _TYPES.items():
            self.types.add_type(kind, extension)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Optional[Iterable[bytes]]:
        path: str = environ["PATH_INFO"]
        # A file's name has no NUL and needs no ".."; browsers resolve those themselves.
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD") or "\0" in path or "/../" in path + "/":
            return None
        name = os.fsdecode(path.encode("latin-1"))
        for prefix, below, root in self.places:
            if name == prefix or name.startswith(below):
                found = self._find(root, name[len(prefix) :])
                if found is not None:
                    return self._open(found[0], found[1], environ, start_response)
        return None

    def _find(self, root: str, rest: str) -> Optional[tuple[str, os.stat_result]]:
        """The real path and status of the file for what stands behind the prefix."""
        # stat first: for the many requests that are the application's, one system call is all this costs.
        try:
            status = os.stat(root + rest)
        except (OSError, ValueError):
            # A map to one file answers everything below its prefix: "/=index.html" serves the page of a single-page application.
            try:
                status = os.stat(root)
            except OSError:
                return None
            if not stat.S_ISREG(status.st_mode):
                return None
            return root, status
        return self._inside(root, root + rest, status)

    def _inside(self, root: str, path: str, status: os.stat_result) -> Optional[tuple[str, os.stat_result]]:
        if stat.S_ISDIR(status.st_mode):
            for name in self.index:
                candidate = os.path.join(path, name)
                try:
                    found = os.stat(candidate)
                except OSError:
                    continue
                if stat.S_ISREG(found.st_mode):
                    return self._inside(root, candidate, found)
            return None
        if not stat.S_ISREG(status.st_mode):
            return None  # a pipe or a device would hold the whole server up
        real = os.path.realpath(path)
        if real != root and not real.startswith(root.rstrip("/") + "/"):
            log(f"static file {path} is not served: it leads to {real}, outside of {root}")
            return None
        return real, status

    def _open(self, path: str, status: os.stat_result, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        headers: Headers = [
            ("Content-Type", self.content_type(path)),
            ("Last-Modified", formatdate(status.st_mtime, usegmt=True)),
            ("ETag", f'"{status.st_mtime_ns:x}-{status.st_size:x}"'),
            ("Accept-Ranges", "bytes"),
        ]
        modified, etag = headers[1][1], headers[2][1]
        if _unchanged(environ, int(status.st_mtime), etag):
            start_response("304 Not Modified", headers[1:3])
            return []
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
            log(f"static file {path} cannot be opened: {error.strerror}")
            body, kind = (b"Forbidden", "403 Forbidden") if error.errno in (errno.EACCES, errno.EPERM) else (b"Not Found", "404 Not Found")
            start_response(kind, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
            return [body]
        file.seek(start)
        start_response(code, headers)
        # The wrapper sends from the file's position; what is longer than Content-Length it leaves out.
        wrapper = environ.get("wsgi.file_wrapper")
        if wrapper is None:
            return _Blocks(file, length)
        return wrapper(file, _BLOCK)  # type: ignore[no-any-return]

    def content_type(self, path: str) -> str:
        """The media type for a file's name; bytes of unknown meaning if the name tells nothing."""
        kind, encoding = self.types.guess_type("x" + os.path.basename(path))  # the x keeps ".html" alone from having no extension
        if encoding is not None:
            return _ENCODED.get(encoding, "application/octet-stream")
        return kind or "application/octet-stream"


def _unchanged(environ: dict[str, Any], modified: int, etag: str) -> bool:
    """Whether the client's copy is still good. Source: RFC 9110, sections 13.1.2, 13.1.3 and 13.2.2."""
    tags = environ.get("HTTP_IF_NONE_MATCH")
    if tags is not None:
        return tags.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in tags.split(","))
    since = environ.get("HTTP_IF_MODIFIED_SINCE")
    if since is None:
        return False
    try:
        return modified <= parsedate_to_datetime(since).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return False  # a date that cannot be read is ignored


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
        length = min(int(last), size)
        return size - length, length
    start = int(first)
    end = int(last) if last else size - 1
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
