"""The small files that a running server leaves for others: its pid, its bound addresses. And their removal."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Optional

from ..errors import ConfigError
from ..log import log


def write_atomically(path: str, text: str, option: str, source: Optional[str] = None) -> None:
    """Write a file that is seen whole or not at all: whoever waits for it may read it as soon as it is there.

    Raises:
        ConfigError: it cannot be written.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    forget(temporary)
    try:
        # "x": in a directory that everybody may write to, nobody's link of that name is followed.
        with open(temporary, "x", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        forget(temporary)
        raise ConfigError(f"the file cannot be written: {error.strerror}", option, path, source) from None


def remove(paths: Iterable[str]) -> None:
    """Remove files at the end (`--vacuum`); one that is gone already is no error."""
    for path in paths:
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
    try:
        os.unlink(path)
    except OSError:
        pass
