"""The functions in `${function[argument]}`.

Each takes its argument once, at the start, and returns what gives the text for a request. Raises ValueError for an argument that
it does not take.

Source: `uwsgi_register_embedded_routers` and the functions registered there.
"""

from __future__ import annotations

import base64
import os
import time
import uuid
from typing import TYPE_CHECKING, Callable

from ..head import http_date
from ..listener import waiting

if TYPE_CHECKING:
    from .context import Context

Variable = Callable[["Context"], str]


def cookie(name: str) -> Variable:
    """A cookie's value as it was sent."""

    def value(context: Context) -> str:
        for pair in context.variable("HTTP_COOKIE").split(";"):
            key, equals, text = pair.strip().partition("=")
            if equals and key == name:
                return text
        return ""

    return value


def query(name: str) -> Variable:
    """An item of the query string as it was sent: not decoded."""

    def value(context: Context) -> str:
        for pair in context.variable("QUERY_STRING").split("&"):
            key, equals, text = pair.partition("=")
            if equals and key == name:
                return text
        return ""

    return value


def mime(name: str) -> Variable:
    """The media type for the file name in a variable; empty when it tells nothing."""
    return lambda context: context.routes.files.known_type(context.variable(name)) or ""


def base64_of(name: str) -> Variable:
    """A variable in base64."""
    return lambda context: base64.b64encode(context.variable(name).encode("latin-1")).decode("ascii")


def hex_of(name: str) -> Variable:
    """A variable in hexadecimal."""
    return lambda context: context.variable(name).encode("latin-1").hex().upper()


def now(unit: str) -> Variable:
    """The time since 1970, in seconds (`unix`) or microseconds (`micros`)."""
    if unit == "unix":
        return lambda context: str(int(time.time()))
    if unit == "micros":
        return lambda context: str(time.time_ns() // 1000)
    raise ValueError(f"time[{unit}]: there are time[unix] and time[micros]")


def http_time(seconds: str) -> Variable:
    """The date in so many seconds, as HTTP writes it."""
    try:
        later = int(seconds or "0")
    except ValueError:
        raise ValueError(f"httptime[{seconds[:40]}]: a number of seconds belongs there") from None
    return lambda context: http_date(time.time() + later)


def server(what: str) -> Variable:
    """What the server knows of itself and of the request."""
    found = _SERVER.get(what)
    if found is None:
        raise ValueError(f"uwsgi[{what}]: there are {', '.join(f'uwsgi[{name}]' for name in _SERVER)}")
    return found


_SERVER: dict[str, Variable] = {
    "wid": lambda context: str(context.routes.services.worker_id),
    "pid": lambda context: str(os.getpid()),
    "uuid": lambda context: str(uuid.uuid4()),
    "status": lambda context: str(context.code),
    "rtime": lambda context: str(int((time.time() - context.request.started) * 1e6)),
    "rsize": lambda context: str(context.request.body_bytes),
    "sor": lambda context: str(int(context.request.started * 1e6)),
    "lq": lambda context: str(sum(waiting(fd) for fd in context.routes.services.sockets)),
}

FUNCTIONS: dict[str, Callable[[str], Variable]] = {
    "base64": base64_of,
    "cookie": cookie,
    "hex": hex_of,
    "httptime": http_time,
    "mime": mime,
    "qs": query,
    "time": now,
    "uwsgi": server,
}
