"""An application that answers with whatever expression it is asked for, and looking at the workers from outside."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import psutil
import requests

from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

PROBE = """
import gc, os, signal, socket, sys, threading, time, urllib.parse
import gevent
import uwsgi
at_import = (os.getpid(), uwsgi.worker_id(), uwsgi.masterpid(), [worker["pid"] for worker in uwsgi.workers()])
seen = []

def application(environ, start_response):
    if "HTTP_UPGRADE" in environ:
        uwsgi.websocket_handshake()
        while True:
            uwsgi.websocket_send(uwsgi.websocket_recv() + b" " + str(uwsgi.worker_id()).encode())
    answer = repr(eval(urllib.parse.unquote_plus(environ["QUERY_STRING"]))).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
"""


def ask(server: Geuwsgi, expression: str) -> Any:
    """What the expression is in one of the workers."""
    response = requests.get(server.url, params=expression, timeout=20)
    assert response.status_code == 200, response.text
    return eval(response.text)


def ask_all(server: Geuwsgi, expression: str, workers: int) -> list[Any]:
    """What it is in each of the workers, by number."""
    answers: dict[int, Any] = {}
    held: list[socket.socket] = []

    def everybody() -> bool:
        number, answer = ask(server, f"uwsgi.worker_id(), ({expression})")
        answers[number] = answer
        if len(answers) < workers:
            # Whoever has answered holds a connection now, so that the next one is for another worker.
            held.append(socket.create_connection(("127.0.0.1", server.port)))
        return len(answers) == workers

    try:
        wait_until(everybody, 20, f"an answer of all {workers} workers")
    finally:
        for sock in held:
            sock.close()
    return [answer for _, answer in sorted(answers.items())]


def workers(server: Geuwsgi) -> list[psutil.Process]:
    """The living children of the master that are workers, the oldest first."""
    found = []
    for process in psutil.Process(server.pid).children():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and "geuwsgi" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    # In the order of their numbers while none was replaced. When the system has given out its last pid it begins anew with small ones.
    last = int(Path("/proc/sys/kernel/pid_max").read_text())
    return sorted(found, key=lambda process: (process.create_time(), (process.pid - server.pid) % last))


def other_workers(server: Geuwsgi, before: list[psutil.Process], count: int) -> list[psutil.Process]:
    """Wait until `count` workers run, none of which is one of `before`."""
    old = {process.pid for process in before}

    def changed() -> list[psutil.Process]:
        now = workers(server)
        return now if len(now) == count and not old & {process.pid for process in now} else []

    return wait_until(changed, 20, f"{count} other workers")
