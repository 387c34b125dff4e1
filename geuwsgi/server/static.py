"""Files served without asking the application: which file a request means. How it is sent is `fileserver.py`'s business.

Own code, because what is wanted is uWSGI's lookup and this server's sendfile: whitenoise keeps its own idea of a file's URL and
reads ahead at the start, werkzeug's SharedDataMiddleware knows no ranges.

As in uWSGI, whatever is not a file to serve (missing, a directory without an index, a link that leads outside, another method than
GET and HEAD) is no error but the application's business. A directory is answered with its index file without a redirect.
Stricter than uWSGI: a prefix ends at a slash (`--static-map /s=dir` does not answer /sa.txt), a directory whose name merely begins with
the root's name is outside, and ".." is never followed.

Source: uWSGI's `uwsgi_parse_vars` and `uwsgi_file_serve`.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from typing import Any, NamedTuple, Optional

from ..log import log
from .fileserver import FileServer, Found
from .settings import StaticSettings

#: Paths whose real names are remembered (`--static-cache-paths`).
_MAX_CACHED = 10000


class Place(NamedTuple):
    """Where files for a part of the URLs are.

    Attributes:
        prefix: of the URLs, without a slash at its end.
        below: the same with one.
        root: the directory or file, with all links resolved.
        skip: characters at the beginning of the path that are no part of the file's name.
    """

    prefix: str
    below: str
    root: str
    skip: int


class StaticFiles(FileServer):
    """Looks a request up in the configured places.

    Calling it is like calling a WSGI application, except that it returns None, without having called `start_response`, when there is no
    such file.
    """

    def __init__(self, settings: StaticSettings) -> None:
        super().__init__(settings)
        self.index = settings.index
        self.skip = settings.skip
        self.docroot = settings.check_docroot
        self.safe = tuple(os.path.realpath(path).rstrip("/") + "/" for path in settings.safe)
        # In uWSGI's order: the directories to check come first.
        self.places = [Place("", "/", os.path.realpath(root), 0) for root in settings.check]
        for maps, whole in ((settings.maps, False), (settings.maps2, True)):
            for prefix, root in maps:
                bare = prefix.rstrip("/")
                self.places.append(Place(bare, bare + "/", os.path.realpath(root), 0 if whole else len(bare)))
        for place in self.places:
            if not os.path.exists(place.root):
                log(f"static files for {place.below}: {place.root} is not there, so nothing is served from it until it is")
        self._cache_seconds = settings.cache_seconds
        self._cache: dict[str, tuple[str, float]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Optional[Iterable[bytes]]:
        found = self.find(environ)
        return None if found is None else self.serve(found, environ, start_response)

    def find(self, environ: dict[str, Any]) -> Optional[Found]:
        """The file that a request means, or None."""
        path: str = environ["PATH_INFO"]
        # A file's name has no NUL and needs no ".."; browsers resolve those themselves.
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD") or "\0" in path or "/../" in path + "/":
            return None
        name = os.fsdecode(path.encode("latin-1"))
        if self.skip and name.endswith(self.skip):
            return None
        for prefix, below, root, skip in self.places:
            if name == prefix or name.startswith(below):
                found = self._find(root, name[skip:])
                if found is not None:
                    return found
        if self.docroot:
            root = environ.get("DOCUMENT_ROOT", "")
            if root.startswith("/"):
                return self._find(self._real(os.fsdecode(root.encode("latin-1"))).rstrip("/"), name)
        return None

    def find_path(self, path: str) -> Optional[Found]:
        """A file by its path, wherever it is: for rules, whose author has said so. A directory stands for its index."""
        try:
            status = os.stat(path)
            if stat.S_ISDIR(status.st_mode):
                return self._inside("/", path, status)
            return Found(os.path.realpath(path), status) if stat.S_ISREG(status.st_mode) else None
        except (OSError, ValueError):
            return None

    def _find(self, root: str, rest: str) -> Optional[Found]:
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
            return Found(root, status)
        return self._inside(root, root + rest, status)

    def _inside(self, root: str, path: str, status: os.stat_result) -> Optional[Found]:
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
        real = self._real(path)
        if real != root and not real.startswith(root.rstrip("/") + "/") and not real.startswith(self.safe):
            log(f"static file {path} is not served: it leads to {real}, outside of {root}")
            return None
        if self.skip and real.endswith(self.skip):
            return None
        if self._cache_seconds:
            try:
                status = os.lstat(real)  # a link that was remembered may lead elsewhere by now
                if stat.S_ISLNK(status.st_mode):  # and the file may have become one, which has not been looked at
                    del self._cache[path]
                    return self._inside(root, path, os.stat(path))
            except OSError:
                return None
            if not stat.S_ISREG(status.st_mode):
                return None
        return Found(real, status)

    def _real(self, path: str) -> str:
        """The path without links, as it was within the last `--static-cache-paths` seconds."""
        if not self._cache_seconds:
            return os.path.realpath(path)
        now = time.monotonic()
        known = self._cache.get(path)
        if known is not None and known[1] > now:
            return known[0]
        real = os.path.realpath(path)
        if len(self._cache) >= _MAX_CACHED:
            self._cache.clear()
        self._cache[path] = (real, now + self._cache_seconds)
        return real
