"""The files of the page, for when the server was not told to send them itself (check-static does it better)."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).parent / "static"

#: path -> (type, content, ETag). Only what is in the directory at the start can be asked for.
_FILES: dict[str, tuple[str, bytes, str]] = {}


def _load() -> None:
    for path in sorted(ROOT.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            if kind.startswith("text/"):
                kind += "; charset=utf-8"
            name = "/" + path.relative_to(ROOT).as_posix()
            _FILES[name] = (kind, content, f'"{hashlib.sha256(content).hexdigest()[:16]}"')
            if path.name == "index.html":
                _FILES[name[: -len("index.html")]] = _FILES[name]


def send_page(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A file, 304 for one that the browser has, or 404."""
    if not _FILES:
        _load()
    path = environ.get("PATH_INFO", "") or "/"
    if path not in _FILES and path + "/" in _FILES:
        start_response("301 Moved Permanently", [("Location", path.rpartition("/")[2] + "/"), ("Content-Length", "0")])
        return []
    if path not in _FILES:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Not here. The game is at /\n"]
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Length", "0")])
        return []
    kind, content, tag = _FILES[path]
    headers = [("Content-Type", kind), ("ETag", tag), ("Cache-Control", "no-cache")]
    if environ.get("HTTP_IF_NONE_MATCH") == tag:
        start_response("304 Not Modified", headers)
        return []
    start_response("200 OK", [*headers, ("Content-Length", str(len(content)))])
    return [content]
