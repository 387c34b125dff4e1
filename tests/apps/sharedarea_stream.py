"""One process writes frames into a shared area, every websocket of every worker streams them, as a camera would.

--sharedarea 17 --locks 1. The area: a sequence number of 64 bits, then the frame. /N as the path asks for N frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gevent
import uwsgi

FRAME_AT = 4096
FRAME_SIZE = 65536


def record() -> None:
    """The camera: runs in the worker that gets the lock, and in another one should that die."""
    uwsgi.lock(1)
    number = 0
    while True:
        number += 1
        uwsgi.sharedarea_wlock(0)
        uwsgi.sharedarea_write64(0, 0, number)
        uwsgi.sharedarea_write(0, FRAME_AT, bytes([number % 256]) * FRAME_SIZE)
        uwsgi.sharedarea_unlock(0)
        gevent.sleep(0.02)


def start_recording() -> None:
    gevent.spawn(record)


uwsgi.post_fork_hook = start_recording


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    uwsgi.websocket_handshake()
    for _ in range(int(environ["PATH_INFO"].strip("/"))):
        uwsgi.sharedarea_wait(0, 5)
        uwsgi.websocket_send_binary_from_sharedarea(0, FRAME_AT, FRAME_SIZE)
    return []
