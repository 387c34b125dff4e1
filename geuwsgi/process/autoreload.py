"""`--py-autoreload`: which source file of an imported module has changed.

For development: looked at a few times within the interval that was asked for, so that a change is live soon after it was saved.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from typing import Optional

from .touch import Signature, signature

_STANDARD = tuple(os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib"))
_SITE = ("site-packages", "dist-packages")
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Modules:
    """Remembers the files behind `sys.modules`.

    Args:
        ignored: names of modules that may change (`--py-autoreload-ignore`).
        more: further files, such as those in the traceback of an import that failed.
    """

    def __init__(self, ignored: Iterable[str] = (), more: Iterable[str] = ()) -> None:
        self._ignored = frozenset(ignored)
        self._more = {os.path.abspath(path) for path in more if os.path.exists(path)}
        self._seen: dict[str, Signature] = {}
        self.changed()

    def changed(self) -> Optional[str]:
        """A file that has changed since it was first seen here; None when none has."""
        found = None
        for path in self._paths():
            state = signature(path)
            # One that is gone may be about to be replaced.
            if state is not None and self._seen.setdefault(path, state) != state:
                self._seen[path] = state
                found = path
        return found

    def _paths(self) -> set[str]:
        paths = set(self._more)
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None)
            if not isinstance(path, str) or name in self._ignored:
                continue
            path = os.path.abspath(path[:-1] if path.endswith(".pyc") else path)
            if path.startswith(_OURS) or (path.startswith(_STANDARD) and not any(part in path for part in _SITE)):
                continue
            paths.add(path)
        return paths
