"""What the signal framework knows: who gets a signal, and the timers, crons and paths that raise one; in memory that all processes see.

Whoever registers writes, one at a time; the master reads, and frees the places of timers that are over. The memory is an anonymous file, so
that a reload that fails goes on with the table of before.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from gevent import monkey

from .lock import LockFile
from .memory import WORD

#: Signals are numbered 0 to 255.
SIGNALS = 256
#: The most events of one kind. Source: uWSGI's `MAX_TIMERS` and its like.
MOST = 64
#: The longest path, in bytes, and the longest name of a target. Source: uWSGI.
LONGEST_PATH = 255
LONGEST_TARGET = 63

#: Kinds of events.
TIMER = 0
RB_TIMER = 1
CRON = 2
FILE = 3
_KINDS = 4

#: Targets; a single worker is `WORKER` plus its number.
NOBODY = 0
ANY = 1
WORKERS = 2
ACTIVE = 3
WORKER = 1000

#: States of a place: free; an event; one that is over, and is not to begin again when another worker loads the application.
_FREE = 0
_READY = 1
_OVER = 2

# Words: targets, owners, three numbers, the places; behind them the paths.
_OWNERS = SIGNALS
_VERSION = 2 * SIGNALS
_MINUTE = _VERSION + 1
_PLACES = _VERSION + 3
_WIDTH = 8
_WORDS = _PLACES + _KINDS * MOST * _WIDTH
_PATHS = _WORDS * WORD
_PATH = LONGEST_PATH + 1
_SIZE = _PATHS + MOST * _PATH

_sleep = monkey.get_original("time", "sleep")
_close = monkey.get_original("os", "close")


class Event(NamedTuple):
    """Something that raises a signal.

    Attributes:
        kind: TIMER, RB_TIMER, CRON or FILE.
        place: where it stands among those of its kind.
        signal: the signal that it raises.
        values: of a timer (seconds, times or 0 for ever); of a cron its five fields.
        path: of a FILE.
    """

    kind: int
    place: int
    signal: int
    values: tuple[int, ...]
    path: str


class SignalTable:
    """The table.

    Args:
        fd: the file of one that an earlier image of this process has made; -1 makes one.
    Attributes:
        fd: its file, for the next image.
    """

    def __init__(self, fd: int = -1) -> None:
        self.fd = _file() if fd < 0 else fd
        self._memory = mmap.mmap(self.fd, _SIZE)
        whole = memoryview(self._memory)
        part = whole[:_PATHS]
        self._words = part.cast("q")
        part.release()
        whole.release()
        self._lock = LockFile()

    def close(self) -> None:
        """Give up this process's part of the memory."""
        self._words.release()
        self._memory.close()
        _close(self.fd)

    # -- targets

    def set_target(self, signal: int, target: int, owner: int) -> None:
        """Say who gets a signal.

        Args:
            signal: which.
            target: one of the constants above.
            owner: the only worker that has the handler; 0 when all have it.
        """
        self._words[_OWNERS + signal] = owner
        self._words[signal] = target

    def target(self, signal: int) -> tuple[int, int]:
        """(target, owner) of a signal."""
        return self._words[signal], self._words[_OWNERS + signal]

    # -- events

    def add(self, kind: int, signal: int, values: Sequence[int] = (), path: bytes = b"", once: bool = False) -> bool:
        """Take a place for an event; False when all are taken.

        Args:
            kind: TIMER, RB_TIMER, CRON or FILE.
            signal: the signal that it raises.
            values: at most five numbers.
            path: at most `LONGEST_PATH` bytes.
            once: an equal one that was added with `once`, too, is the same: each worker that loads the application adds it.
        """
        wanted = [signal, int(once), *values, *([0] * (5 - len(values)))]
        with self._locked():
            free = -1
            for place in range(MOST):
                start = self._start(kind, place)
                if self._words[start] == _FREE:
                    free = place if free < 0 else free
                elif once and self._words[start + 1 : start + _WIDTH].tolist() == wanted and self._path(kind, place) == path:
                    return True
            if free < 0:
                return False
            if kind == FILE:
                offset = _PATHS + free * _PATH
                self._memory[offset : offset + _PATH] = path.ljust(_PATH, b"\0")
            start = self._start(kind, free)
            for index, value in enumerate(wanted, start + 1):
                self._words[index] = value
            self._words[start] = _READY
            self._words[_VERSION] += 1
            return True

    def end(self, event: Event) -> None:
        """The event will not come any more."""
        start = self._start(event.kind, event.place)
        self._words[start] = _OVER if self._words[start + 2] else _FREE

    @property
    def version(self) -> int:
        """Another number whenever an event was added."""
        return self._words[_VERSION]

    def events(self) -> list[Event]:
        """All events that are not over."""
        found = []
        for kind in range(_KINDS):
            for place in range(MOST):
                start = self._start(kind, place)
                if self._words[start] == _READY:
                    signal, _, *values = self._words[start + 1 : start + _WIDTH].tolist()
                    found.append(Event(kind, place, signal, tuple(values), os.fsdecode(self._path(kind, place))))
        return found

    # -- the minute whose crons have been looked at; 0 for none

    @property
    def minute(self) -> int:
        """Minutes since 1970."""
        return self._words[_MINUTE]

    @minute.setter
    def minute(self, minute: int) -> None:
        self._words[_MINUTE] = minute

    def _start(self, kind: int, place: int) -> int:
        return _PLACES + (kind * MOST + place) * _WIDTH

    def _path(self, kind: int, place: int) -> bytes:
        if kind != FILE:
            return b""
        offset = _PATHS + place * _PATH
        return self._memory[offset : offset + _PATH].rstrip(b"\0")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Whoever has it writes a few words and never waits.
        while not self._lock.take(0):
            _sleep(0.0002)
        try:
            yield
        finally:
            self._lock.free(0)


def minute_of(fd: int) -> int:
    """`SignalTable.minute` of a table that is not opened."""
    return int.from_bytes(os.pread(fd, WORD, _MINUTE * WORD), sys.byteorder)


def _file() -> int:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("geuwsgi-signals", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.truncate(fd, _SIZE)
    return fd
