"""Which application answers a request: static files first if there are any, then the mountpoint.

One application at "" and no static files need nothing of this: `application_for` returns the application itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Optional

from ..log import log
from .loader import Application, Mount
from .static import StaticFiles


def application_for(mounts: Sequence[Mount], static: Optional[StaticFiles], manage_script_name: bool) -> Application:
    """The WSGI callable for the server, with no wrapper where none is needed."""
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
        path = environ["PATH_INFO"]
        for point, below in self.prefixes:
            if path == point or path.startswith(below):
                environ["SCRIPT_NAME"] = point
                environ["PATH_INFO"] = path[len(point) :]
                break
        # Static files see the shortened path, as in uWSGI: with an application on /x, --static-map /s=dir answers /x/s/... too.
        if self.static is not None:
            answer = self.static(environ, start_response)
            if answer is not None:
                return answer
        application = self.by_mountpoint.get(environ.get("SCRIPT_NAME", ""), self.default)
        if application is None:
            return self._nothing(start_response)
        return application(environ, start_response)  # type: ignore[no-any-return]

    def _nothing(self, start_response: Any) -> Iterable[bytes]:
        # uWSGI answers 500 and logs "no python application found". Only --static-map or --check-static get here without an
        # application, and what a file server without the file says is 404.
        body = b"Not Found"
        start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]


def warn_about_mounts(mounts: Sequence[Mount], manage_script_name: bool) -> None:
    """Say at the start what would puzzle later: mountpoints that plain HTTP never reaches."""
    if not manage_script_name and any(mount.mountpoint for mount in mounts):
        log(
            "applications are mounted, but without --manage-script-name only a SCRIPT_NAME from a front server selects one: "
            "over HTTP the default app gets everything"
        )
