"""The WSGI application: the game's websocket at /game, the chat at /chat/, figures at /stats, and the page's files."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from typing import Any, Callable

import uwsgi

from . import chat
from .connection import Connection
from .pages import send_page
from .rooms import pages_abroad, rooms

StartResponse = Callable[..., Any]


def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    path = environ.get("PATH_INFO", "")
    if path == "/game":
        return serve_game(environ, start_response)
    if path == "/chat/chat":
        # As if it were mounted there.
        return chat.application({**environ, "SCRIPT_NAME": environ.get("SCRIPT_NAME", "") + "/chat", "PATH_INFO": "/chat"}, start_response)
    if path == "/stats":
        start_response("200 OK", [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
        return [json.dumps(figures(), indent=1).encode()]
    return send_page(environ, start_response)


def serve_game(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    if "HTTP_SEC_WEBSOCKET_KEY" not in environ:
        start_response("400 Bad Request", [("Content-Type", "text/plain")])
        return [b"This address speaks websocket only.\n"]
    if not hasattr(uwsgi, "websocket_channel_join"):
        start_response("501 Not Implemented", [("Content-Type", "text/plain")])
        return [b"The game needs named channels, which this server does not have. classic.ini runs on every uWSGI.\n"]
    uwsgi.websocket_handshake()
    Connection().serve()
    return []


def figures() -> dict[str, Any]:
    """How this worker is doing: its CPU time, its pages in rooms of other workers, and how late the ticks of its own rooms were (ms)."""
    return {
        "worker": uwsgi.worker_id(),
        "pid": os.getpid(),
        "abroad": pages_abroad(),
        "cpu_seconds": round(time.process_time(), 2),
        "rooms": {name: {"members": len(room.members), **room.pace.figures()} for name, room in rooms.items()},
    }
