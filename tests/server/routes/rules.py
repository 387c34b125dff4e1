"""Rules as text, compiled or at work in a real server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Optional

from geuwsgi.server.loader import Mount
from geuwsgi.server.routes.compiling import compile_routes
from geuwsgi.server.routes.context import Context
from geuwsgi.server.routes.engine import Routes
from geuwsgi.server.routing import application_for
from geuwsgi.server.settings import RouteRule, RouteSettings, StaticSettings
from geuwsgi.server.static import StaticFiles
from tests.server.serving import PLAIN, Application, Serving, serving

#: The options that are no rules, and where they belong.
_HEADERS = {"add-header": "add", "del-header": "remove", "collect-header": "collect", "pull-header": "pull"}


def given(text: str) -> RouteSettings:
    """Settings from the lines of an ini file."""
    found: dict[str, list[RouteRule]] = {}
    for number, line in enumerate(text.strip().splitlines(), 1):
        name, _, value = line.strip().partition(" = ")
        found.setdefault(_HEADERS.get(name, "rules"), []).append(RouteRule(name, value, f"x.ini:{number}"))
    return RouteSettings(**{name: tuple(rules) for name, rules in found.items()})


def compiled(text: str, **options: Any) -> Routes:
    routes = compile_routes(given(text), StaticFiles(StaticSettings()), **options)
    assert routes is not None
    return routes


def context(routes: Optional[Routes] = None, **environ: Any) -> Context:
    """A request without a connection."""
    request: Any = SimpleNamespace(status="", body_bytes=0, started=1.5, log=True, logvars=None)
    return Context(routes or compiled("route-run = last:"), request, environ)


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """An application that tells its path; /missing is a 404, /fail an exception."""
    if environ["PATH_INFO"] == "/fail":
        raise ValueError("on purpose")
    start_response("404 Not Found" if environ["PATH_INFO"] == "/missing" else "200 OK", [PLAIN, ("X-App", "yes")])
    return [b"app ", environ["PATH_INFO"].encode("latin-1")]


@contextmanager
def ruled(text: str, application: Application = echo, static: Optional[StaticSettings] = None, **options: Any) -> Iterator[Serving]:
    """A server with rules."""
    files = StaticFiles(static) if static else None
    routes = compiled(text)
    with serving(application_for([Mount("", application)], files, False, routes), **options) as server:
        yield server
