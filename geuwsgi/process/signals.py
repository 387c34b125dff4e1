"""Unix signals -> callbacks in the hub.

Python's own handlers, not libev's: they also run while a greenlet computes without ever yielding, so that a second Ctrl-C ends even
that. A handler only notes what happened and wakes the hub through the wake-up descriptor, because a signal that arrives between gevent's
check and its wait in epoll would otherwise lie there until the next event.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any, Callable, Optional

from gevent.hub import get_hub

Handler = Callable[[int], None]


class Signals:
    """Installs handlers and takes them away again.

    `on(SIGTERM, f)` calls `f(SIGTERM)` in the hub's greenlet, where it must not block. `immediate` ones run inside the signal handler, in
    whatever code was running, and should do nothing but note it or end the process.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        for fd in (self._read, self._write):
            os.set_blocking(fd, False)
        self._before: dict[int, Any] = {}
        self._watcher: Any = get_hub().loop.io(self._read, 1)
        self._watcher.start(self._drain)
        self._old_wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def on(self, number: int, handler: Handler, immediate: Optional[Handler] = None) -> None:
        """Call `handler` in the hub whenever the signal arrives; `immediate` first, at once."""
        loop = get_hub().loop

        def arrived(received: int, frame: Optional[FrameType]) -> None:
            if immediate is not None:
                immediate(received)
            loop.run_callback_threadsafe(handler, received)

        previous = signal.signal(number, arrived)
        self._before.setdefault(number, previous)

    def close(self) -> None:
        """Put the earlier handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        signal.set_wakeup_fd(self._old_wakeup)
        self._watcher.stop()
        self._watcher.close()
        os.close(self._read)
        os.close(self._write)

    def _drain(self) -> None:
        try:
            os.read(self._read, 4096)
        except BlockingIOError:
            pass
