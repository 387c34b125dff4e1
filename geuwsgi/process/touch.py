"""Files that an operator touches to make something happen (`--touch-reload` and its like), and paths whose change does (`--fs-reload`)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Optional

#: What tells one state of a path from another.
Signature = Optional[tuple[object, ...]]


class Touched:
    """Looks at paths and tells which of them have changed.

    Args:
        paths: (what to do, path) pairs. A path that is not there yet counts as touched when it comes.
    """

    def __init__(self, paths: Iterable[tuple[str, str]]) -> None:
        self._paths = [(action, os.path.abspath(path)) for action, path in paths]
        self._seen = {path: signature(path) for _, path in self._paths}

    def changes(self) -> list[tuple[str, str]]:
        """The pairs whose path has changed since the last call."""
        now = {path: signature(path) for path in self._seen}
        before, self._seen = self._seen, now
        return [(action, path) for action, path in self._paths if now[path] is not None and now[path] != before[path]]


def signature(path: str) -> Signature:
    """The state of a file, or of a directory with what is directly in it; None when there is no such path."""
    try:
        found = os.stat(path)
        if not os.path.isdir(path):
            return found.st_mtime_ns, found.st_size, found.st_ino
        with os.scandir(path) as entries:
            return (found.st_mtime_ns, *sorted((entry.name, _changed(entry)) for entry in entries))
    except OSError:
        return None


def _changed(entry: os.DirEntry[str]) -> int:
    """When what a link leads to has changed; the link itself where that is nothing, as editors make them for a lock."""
    try:
        return entry.stat().st_mtime_ns
    except OSError:
        return entry.stat(follow_symlinks=False).st_mtime_ns
