"""When a worker has served enough: after so many requests, so long, or with so much memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..api.process import mem

if TYPE_CHECKING:
    from ..server.request import Request
    from .settings import ProcessSettings
    from .worker import Worker

_MEGABYTE = 1024 * 1024


def reason_to_go(asked: ProcessSettings, age: float) -> str:
    """Why a worker of this age, in seconds, should be replaced; "" when it should not."""
    if asked.max_lifetime and age >= asked.max_lifetime:
        return f"has lived for {age:.0f} seconds (--max-worker-lifetime)"
    if (asked.reload_on_rss or asked.reload_on_as) and age >= asked.min_lifetime:
        resident, virtual = mem()
        if asked.reload_on_rss and resident > asked.reload_on_rss * _MEGABYTE:
            return f"has {resident // _MEGABYTE} MB of memory (--reload-on-rss)"
        if asked.reload_on_as and virtual > asked.reload_on_as * _MEGABYTE:
            return f"has {virtual // _MEGABYTE} MB of address space (--reload-on-as)"
    return ""


def count_requests(worker: Worker) -> None:
    """Have the worker replaced after `--max-requests`; with `--max-requests-delta` not all go at once.

    Source: uWSGI compares after each request, and not before the worker is `--min-worker-lifetime` old.
    """
    asked = worker.instance.settings
    limit = asked.max_requests + worker.id * asked.max_requests_delta
    server, before = worker.server, worker.server.after_request

    def after(request: Request) -> None:
        if before is not None:
            before(request)
        if server.total_requests >= limit and worker.age >= asked.min_lifetime:
            worker.ask_for_replacement(f"has served {server.total_requests} requests (--max-requests)")

    server.after_request = after
