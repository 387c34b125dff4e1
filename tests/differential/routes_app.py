"""An application that tells what reached it."""

from __future__ import annotations

from typing import Any, Callable

NAMES = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_METHOD", "REQUEST_URI", "REMOTE_USER", "REMOTE_ADDR", "HTTP_HOST", "V", "W")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    path = environ["PATH_INFO"]
    headers = [("Content-Type", "text/plain"), ("X-App", "yes")]
    if path == "/xs":
        headers.append(("X-Sendfile", environ["QUERY_STRING"]))
    if path == "/pulled":
        headers.append(("X-Pulled", "secret"))
    start_response("404 Not Found" if path.startswith("/missing") else "200 OK", headers)
    return [f"{name}={environ[name]}\n".encode("latin-1") for name in NAMES if environ.get(name) and name != "HTTP_HOST"]
