"""Which application answers a request: static files first if there are any, then the rules of the internal routing, then the mountpoint.

One application at "", no static files and no rules need nothing of this: `application_for` returns the application itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Optional

from ..log import log
from .loader import Application, Mount
from .request import find_request
from .routes.context import BREAK, Context
from .routes.engine import FINAL, REQUEST, Routes
from .routes.response import rule
from .static import StaticFiles


def application_for(
    mounts: Sequence[Mount], static: Optional[StaticFiles], manage_script_name: bool, routes: Optional[Routes] = None
) -> Application:
    """The WSGI callable for the server, with no wrapper where none is needed."""
    if routes is not None:
        return RuledRouter(mounts, static, manage_script_name, routes)
    if static is None and len(mounts) == 1 and (not mounts[0].mountpoint or not manage_script_name):
        return mounts[0].application
    return Router(mounts, static, manage_script_name)


class Router:
    """A WSGI callable in front of the applications.

    Args:
        mounts: as loaded; the first one is the default application.
        static: the static files, or None.
        manage_script_name: find the mountpoint in PATH_INFO and move it to SCRIPT_NAME (`--manage-script-name`). Without it
            the application is the one whose mountpoint is the SCRIPT_NAME that the front server sent, as in uWSGI; over plain HTTP
            there is none, and the default application gets everything.

    Source: uWSGI's `uwsgi_parse_vars`, `uwsgi_get_app_id` and the Python plugin's request handler.
    """

    def __init__(self, mounts: Sequence[Mount], static: Optional[StaticFiles], manage_script_name: bool) -> None:
        self.static = static
        self.by_mountpoint = {mount.mountpoint: mount.application for mount in mounts}
        # The root one if there is one, else the first, whatever its mountpoint: so does uWSGI.
        self.default = self.by_mountpoint.get("") or (mounts[0].application if mounts else None)
        # Longest first, so that the first that fits is the best one.
        points = sorted(filter(None, self.by_mountpoint), key=len, reverse=True)
        self.prefixes = [(point, point + "/") for point in points] if manage_script_name else []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self._split_path(environ)
        # Static files see the shortened path, as in uWSGI: with an application on /x, --static-map /s=dir answers /x/s/... too.
        if self.static is not None:
            answer = self.static(environ, start_response)
            if answer is not None:
                return answer
        return self._call(environ.get("UWSGI_APPID") or environ.get("SCRIPT_NAME", ""), environ, start_response)

    def _split_path(self, environ: dict[str, Any]) -> None:
        path = environ["PATH_INFO"]
        for point, below in self.prefixes:
            if path == point or path.startswith(below):
                environ["SCRIPT_NAME"] = point
                environ["PATH_INFO"] = path[len(point) :]
                break

    def _call(self, point: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        application = self.by_mountpoint.get(point, self.default)
        if application is None:
            return self._nothing(start_response)
        return application(environ, start_response)  # type: ignore[no-any-return]

    def _nothing(self, start_response: Any) -> Iterable[bytes]:
        # uWSGI answers 500 and logs "no python application found". Only --static-map or --check-static get here without an
        # application, and what a file server without the file says is 404.
        body = b"Not Found"
        start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]


class RuledRouter(Router):
    """The same with rules in between: they see the path that an application would see, and come before the file that was found for it.

    What they do to the response is `RuledResponse`'s part.
    """

    def __init__(self, mounts: Sequence[Mount], static: Optional[StaticFiles], manage_script_name: bool, routes: Routes) -> None:
        super().__init__(mounts, static, manage_script_name)
        self.routes = routes

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = find_request()
        assert request is not None
        routes = self.routes
        context = routes.context(request, environ)
        response = request.connection.response
        assert response is not None
        rule(response, context)
        if FINAL in routes.chains:
            request.at_end = [*(request.at_end or ()), lambda: routes.finish(context)]
        self._split_path(environ)
        # Looked for before the rules, as in uWSGI: a rewritten path is the application's.
        found = self.static.find(environ) if self.static is not None else None
        if REQUEST in routes.chains and routes.run(REQUEST, context) == BREAK:
            return self._answer(context, environ, start_response)
        if found is not None and self.static is not None:
            return self.static.serve(found, environ, start_response)
        return self._call(environ.get("UWSGI_APPID") or environ.get("SCRIPT_NAME", ""), environ, start_response)

    def _answer(self, context: Context, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        answer, context.answer = context.answer, None
        if answer is not None:
            return answer(environ, start_response)
        if not context.disconnected:
            if context.prepared or context.text:
                start_response(context.prepared or "200 OK", [])
                return []
            # `break:` alone is to hang up.
            context.disconnected = True
            context.request.connection.disconnect()
        context.request.connection.response.refused = True  # type: ignore[union-attr]
        return []


def warn_about_mounts(mounts: Sequence[Mount], manage_script_name: bool) -> None:
    """Say at the start what would puzzle later: mountpoints that plain HTTP never reaches."""
    if not manage_script_name and any(mount.mountpoint for mount in mounts):
        log(
            "applications are mounted, but without --manage-script-name only a SCRIPT_NAME from a front server selects one: "
            "over HTTP the default app gets everything"
        )
