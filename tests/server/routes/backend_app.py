"""Tells about HTTP requests as JSON, echoes websockets; "close CODE REASON" closes them."""

from __future__ import annotations

import json
import os
from typing import Any, Callable

import uwsgi


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    if "HTTP_SEC_WEBSOCKET_KEY" in environ:
        uwsgi.websocket_handshake()
        while True:
            try:
                message = uwsgi.websocket_recv()
            except OSError:
                return []
            if message.startswith(b"close "):
                _, code, reason = message.decode().split(" ", 2)
                uwsgi.websocket_close(int(code), reason)
                return []
            uwsgi.websocket_send(message)
    told = {name: value for name, value in environ.items() if isinstance(value, str)}
    told["body"] = len(environ["wsgi.input"].read())
    told["pid"] = os.getpid()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]
