"""Blocking echo, and what the server says of its concurrency; for the real uWSGI too, so nothing but the standard library."""

import json
import threading
import time

import uwsgi

at_once = 0
most = 0
lock = threading.Lock()


def application(env, start_response):
    global at_once, most
    if "HTTP_SEC_WEBSOCKET_KEY" in env:
        uwsgi.websocket_handshake(env["HTTP_SEC_WEBSOCKET_KEY"], env.get("HTTP_ORIGIN", ""))
        while True:
            try:
                uwsgi.websocket_send(uwsgi.websocket_recv())
            except OSError:
                return []
    if env["PATH_INFO"] == "/slow":
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.3)
        with lock:
            at_once -= 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    loop = getattr(uwsgi, "loop", None)
    facts = {
        "multithread": env["wsgi.multithread"],
        "multiprocess": env["wsgi.multiprocess"],
        "cores": uwsgi.cores,
        "numproc": uwsgi.numproc,
        "loop": loop and loop.decode(),
        "most": most,
    }
    return [json.dumps(facts).encode()]
