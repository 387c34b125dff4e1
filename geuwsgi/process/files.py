"""The small files that a running server leaves for others: its pid, its bound addresses. And their removal."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from typing import Optional

from ..errors import ConfigError
from ..log import log


def write_atomically(path: str, text: str, option: str, source: Optional[str] = None) -> None:
    """Write a file that is seen whole or not at all: whoever waits for it may read it as soon as it is there.

    A device or a pipe (`/dev/stdout`, `/dev/null`) is written to and stays.

    Raises:
        ConfigError: it cannot be written.
    """
    if not _is_ours(path):
        try:
            with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(text)
        except OSError as error:
            raise _unwritable(error, option, path, source) from None
        return
    temporary = f"{path}.{os.getpid()}.tmp"
    forget(temporary)
    try:
        # "x": in a directory that everybody may write to, nobody's link of that name is followed.
        with open(temporary, "x", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        forget(temporary)
        raise _unwritable(error, option, path, source) from None


def write_pid(path: str, option: str, source: Optional[str] = None) -> None:
    """Write the id of this process, unless it stands there already: after a reload, which may not be allowed to write it again (`--uid`).

    Raises:
        ConfigError: as `write_atomically`.
    """
    text = f"{os.getpid()}\n"
    if not (_is_ours(path) and _holds(path, text)):
        write_atomically(path, text, option, source)


def remove(paths: Iterable[str]) -> None:
    """Remove files at the end (`--vacuum`); one that is gone already is no error."""
    for path in paths:
        if not _is_ours(path):
            continue
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            log(f"VACUUM: {path} cannot be removed: {error.strerror}")
            continue
        log(f"VACUUM: {path} removed.")


def forget(path: str) -> None:
    """Remove a file if it is there and can be removed."""
    if not _is_ours(path):
        return
    try:
        os.unlink(path)
    except OSError:
        pass


def _holds(path: str, text: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(len(text) + 1) == text
    except OSError:
        return False


def _is_ours(path: str) -> bool:
    """Whether it may be replaced and removed: root could take `/dev/null` away from the whole machine."""
    folder = os.path.realpath(os.path.dirname(path))
    if folder.startswith("/proc/") or (folder == "/dev" and os.path.islink(path)):
        return False  # `/dev/fd/3`, `/dev/stdout`, which may stand for a plain file that is somebody's log
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return True
    return not (stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISFIFO(mode))


def _unwritable(error: OSError, option: str, path: str, source: Optional[str]) -> ConfigError:
    return ConfigError(f"the file cannot be written: {error.strerror}", option, path, source)
