"""`--asyncio N`: an asyncio loop beside the requests, in the way in which applications for uWSGI's loop engine use one.

They hand their own greenlet to callbacks, which switch to it, and wait by switching to its parent:

    me = greenlet.getcurrent()
    asyncio.get_event_loop().add_reader(uwsgi.connection_fd(), me.switch)
    me.parent.switch()

There the loop is the parent. Here it is a greenlet among others, gevent's hub is the parent of all, and a switch from the loop to a
request is put off until the loop waits; otherwise the loop would stand still whenever a request waits for something of gevent's.
"""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import gevent
from gevent import get_hub
from greenlet import getcurrent

from ..log import log
from . import forked
from .acceptor import ConnectionGreenlet

#: The greenlet in which the loop runs.
_runner: Any = None


class RequestGreenlet(ConnectionGreenlet):
    """A connection's greenlet that callbacks of the loop may switch to."""

    def switch(self, *arguments: Any) -> Any:
        """Switch to it; from the loop not at once, and only if it still serves the same request by then."""
        if _runner is None or getcurrent() is not _runner:
            return super().switch(*arguments)
        tree: Any = getattr(self, "spawn_tree_locals", None)
        get_hub().loop.run_callback(self._continue, tree, *arguments)
        return None

    def _continue(self, tree: Any, *arguments: Any) -> None:
        if tree is not None and not self.dead and getattr(self, "spawn_tree_locals", None) is tree:
            super().switch(*arguments)


class EventLoop(asyncio.SelectorEventLoop):
    """A selector loop whose methods also work from the greenlets beside it: they wake it, as threads do elsewhere."""

    def call_soon(self, *arguments: Any, **named: Any) -> Any:  # type: ignore[override]
        """As BaseEventLoop."""
        handle = super().call_soon(*arguments, **named)
        self._wake()
        return handle

    def call_at(self, *arguments: Any, **named: Any) -> Any:  # type: ignore[override]
        """As BaseEventLoop."""
        handle = super().call_at(*arguments, **named)
        self._wake()
        return handle

    def _add_reader(self, *arguments: Any) -> Any:
        result = super()._add_reader(*arguments)  # type: ignore[misc]
        self._wake()
        return result

    def _add_writer(self, *arguments: Any) -> Any:
        result = super()._add_writer(*arguments)  # type: ignore[misc]
        self._wake()
        return result

    def _wake(self) -> None:
        if _runner is not None and getcurrent() is not _runner:
            self._write_to_self()  # type: ignore[attr-defined]


def start() -> None:
    """Run the loop; `asyncio.get_event_loop()` finds it in every greenlet of this thread."""
    global _runner
    loop = EventLoop()
    _runner = gevent.spawn(_run, loop)


def _run(loop: EventLoop) -> None:
    asyncio.set_event_loop(loop)
    while not loop.is_closed():
        # It ends by `loop.stop()` too, and the other requests need it.
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            if forked.child:
                forked.end(error)
            log("a callback of the asyncio loop tried to end the process, still serving\n" + traceback.format_exc().rstrip("\n"))


__all__ = ["EventLoop", "RequestGreenlet", "start"]
