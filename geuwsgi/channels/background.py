"""Greenlets that belong to the server, not to the request in which they happened to be started."""

from __future__ import annotations

from typing import Any, Callable

import gevent


def spawn(function: Callable[..., Any], *arguments: Any) -> gevent.Greenlet[..., Any]:
    """As `gevent.spawn`, without handing the caller's request on, which would then never go away."""
    greenlet: gevent.Greenlet[..., Any] = gevent.Greenlet(function, *arguments)
    greenlet.spawn_tree_locals = None
    greenlet.start()
    return greenlet
