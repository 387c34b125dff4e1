"""Every kind of request at once: echo and chat over websockets, slow pages, bodies, what the server says of itself.

`/together` waits for others of its kind; `/blocked` until there is a file, and as a C extension does: not as gevent would have it.
"""

import json
import os
import queue
import threading
import time
import uuid
from pathlib import Path

import uwsgi
from gevent.monkey import get_original

blocking_sleep = get_original("time", "sleep")
native_thread = get_original("_thread", "get_ident")
loading_thread = native_thread()

clients = set()
clients_lock = threading.Lock()


def application(env, start_response):
    path = env["PATH_INFO"]
    if path == "/echo":
        return echo()
    if path == "/chat":
        return chat()
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/slow":
        time.sleep(0.5)
        return [b"slow"]
    if path == "/together":
        return [b"slow" if met(4) else b"alone"]
    if path == "/blocked":
        Path("blocked").touch()
        for _ in range(2000):
            if Path("go").exists():
                return [b"slow"]
            blocking_sleep(0.01)
    if path == "/body":
        return [env["wsgi.input"].read()]
    if path == "/stream":
        return stream()
    if path == "/duplex":
        return duplex(env["wsgi.input"])
    if path == "/thread":
        return [own_thread(uwsgi.request_context()).encode()]
    uwsgi.lock()
    uwsgi.unlock()
    facts = {
        "multithread": env["wsgi.multithread"],
        "multiprocess": env["wsgi.multiprocess"],
        "cores": uwsgi.cores,
        "loop": uwsgi.loop and uwsgi.loop.decode(),
        "core": uwsgi.env["uwsgi.core"],
        "worker": uwsgi.worker_id(),
        "pid": os.getpid(),
        "native": native_thread() != loading_thread,
    }
    return [json.dumps(facts).encode()]


def met(count):
    """Wait until so many requests do, in all workers."""
    Path(f"waits-{uuid.uuid4()}").touch()
    for _ in range(1000):
        if len(list(Path().glob("waits-*"))) >= count:
            return True
        time.sleep(0.01)
    return False


def stream():
    me = native_thread()
    for number in range(3):
        yield f"{number} {native_thread() == me}\n".encode()


def duplex(body):
    """Each line as it comes, read by another thread than the one that answers."""
    lines = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in iter(body.readline, b"")] + [lines.put(b"")]).start()
    return iter(lines.get, b"")


def own_thread(context):
    said = []
    thread = threading.Thread(target=lambda: said.append(uwsgi.connection_fd(request_context=context)))
    thread.start()
    thread.join()
    return "yes" if said[0] == uwsgi.connection_fd() else "no"


def echo():
    uwsgi.websocket_handshake()
    while True:
        try:
            uwsgi.websocket_send(uwsgi.websocket_recv())
        except OSError:
            return []


def chat():
    uwsgi.websocket_handshake()
    me = uwsgi.request_context()
    with clients_lock:
        clients.add(me)
    uwsgi.websocket_send("joined")
    try:
        while True:
            message = uwsgi.websocket_recv()
            with clients_lock:
                others = list(clients)
            for other in others:
                try:
                    uwsgi.websocket_send(message, request_context=other)
                except OSError:
                    pass  # it has left
    except OSError:
        return []
    finally:
        with clients_lock:
            clients.discard(me)
