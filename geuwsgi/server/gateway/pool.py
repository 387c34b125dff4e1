"""Several backends that do the same: they are asked in turn, and one that cannot be reached is left alone for a while.

Source: uWSGI's `uwsgi_cr_map_use_static_nodes`: a node that fails is skipped for `--http-gracetime` seconds. Where all of them have failed,
uWSGI closes the client's connection; here they are tried again, because one that was restarted is back within a second.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional

from gevent import get_hub

from ...log import log
from .backend import DEAD_SINCE, FAILURES
from .link import BackendError

if TYPE_CHECKING:
    from .backend import Backend
    from .link import Link, Unreachable
    from .settings import GatewaySettings

#: Seconds that a connection to an HTTP backend is kept for the next request. Shorter than any server's own limit, so that a request seldom
#: meets a connection that is being closed.
IDLE_SECONDS = 3.0
#: How many are kept.
MAX_IDLE = 64


class Pool:
    """The backends of one front, or of one action.

    Args:
        backends: at least one.
        settings: limits and habits.
        fallback: those to try when none of the others can be reached.

    Attributes:
        report: what `--http-stats` tells, as JSON; of all workers, where there are several.
    """

    def __init__(self, backends: Sequence[Backend], settings: GatewaySettings, fallback: Sequence[Backend] = ()) -> None:
        self.backends = list(backends)
        self.fallback = list(fallback)
        self.settings = settings
        self.report: Callable[[], bytes] = lambda: b"{}\n"
        self._next = 0
        self._timer: Any = None

    def candidates(self) -> Iterator[Backend]:
        """The backends in the order in which this request should try them, whole round: living ones in turn, then the dead."""
        backends = self.backends
        count = len(backends)
        first = self._next
        if first >= count:
            first = 0
        self._next = first + 1
        dead = []
        now = get_hub().loop.now()
        for index in range(first, first + count):
            backend = backends[index % count]
            if backend.dead_until > now:
                dead.append(backend)
            else:
                yield backend
        dead.sort(key=lambda backend: backend.dead_until)
        if self.fallback:
            yield from self.fallback
        yield from dead

    def failed(self, backend: Backend, error: Unreachable) -> None:
        """It could not be reached."""
        backend.counts[FAILURES] += 1
        now = get_hub().loop.now()
        if not self.settings.quiet and backend.dead_until <= now:
            log(f"backend {error}: left alone for {self.settings.grace:g} seconds, as far as there are others")
        if not backend.dead_until:
            backend.counts[DEAD_SINCE] = int(time.time())
        backend.dead_until = now + self.settings.grace

    def works(self, backend: Backend) -> None:
        """It has answered."""
        if backend.dead_until:
            backend.dead_until = 0.0
            backend.counts[DEAD_SINCE] = 0
            if not self.settings.quiet:
                log(f"backend {backend.name} is back")

    # -- connections that wait for the next request

    def take_idle(self, backend: Backend) -> Optional[Link]:
        """A connection of before that is still good, the latest first."""
        idle = backend.idle
        while idle:
            link: Link = idle.pop()
            try:
                alive = link.receive_now() is None
            except BackendError:
                alive = False
            if alive:
                link.reused = True
                return link
            link.close()
        return None

    def keep(self, link: Link) -> None:
        """Keep a connection on which everything was said."""
        idle = link.backend.idle
        if len(idle) >= MAX_IDLE:
            link.close()
            return
        loop = get_hub().loop
        link.idle_since = loop.now()
        idle.append(link)
        if self._timer is None:
            self._timer = loop.timer(IDLE_SECONDS / 3, IDLE_SECONDS / 3, ref=False)
        if not self._timer.active:
            self._timer.start(self._drop_idle)

    def _drop_idle(self) -> None:
        before = get_hub().loop.now() - IDLE_SECONDS
        left = False
        for backend in (*self.backends, *self.fallback):
            old = [link for link in backend.idle if link.idle_since <= before]
            if old:
                backend.idle = [link for link in backend.idle if link.idle_since > before]
                for link in old:
                    link.close()
            left = left or bool(backend.idle)
        if not left:
            self._timer.stop()

    def close(self) -> None:
        """Let go of all idle connections."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None
        for backend in (*self.backends, *self.fallback):
            idle, backend.idle = backend.idle, []
            for link in idle:
                link.close()
