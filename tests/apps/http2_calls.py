"""The calls of the `uwsgi` module that have to do with one request, by path."""

import os
import threading
import time

import uwsgi

FILE = os.path.abspath(__file__)
seen = {}


def application(env, start_response):
    action = env["PATH_INFO"].strip("/")
    plain = [("Content-Type", "text/plain")]
    if action == "sendfile":
        start_response("200 OK", plain)
        uwsgi.sendfile(FILE)
        return []
    if action == "offload":
        start_response("200 OK", [*plain, ("Content-Length", str(os.path.getsize(FILE)))])
        return uwsgi.offload(FILE)
    if action == "send":
        uwsgi.send(b"HTTP/1.1 201 Made by hand\r\nX-Raw: yes\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nraw\r\n")
        uwsgi.send(b"5\r\n body\r\n0\r\n\r\n")
        return []
    if action == "chunks":
        pieces = []
        while True:
            piece = uwsgi.chunked_read(5)
            if not piece:
                break
            pieces.append(piece)
        start_response("200 OK", plain)
        return [b"".join(pieces)]
    if action == "recv":
        start_response("200 OK", plain)
        return [uwsgi.recv(uwsgi.connection_fd()) or b"nothing"]
    if action == "disconnect":
        start_response("200 OK", [*plain, ("Content-Length", "4")])(b"over")
        uwsgi.disconnect()
        seen["disconnected"] = True
        return []
    if action == "cut":
        start_response("200 OK", plain)(b"half")
        uwsgi.disconnect()
        return []
    if action == "connected":
        fd = uwsgi.connection_fd()
        start_response("200 OK", plain)(b"waiting")
        deadline = time.time() + 10
        while uwsgi.is_connected(fd) and time.time() < deadline:
            time.sleep(0.02)
        seen["left"] = not uwsgi.is_connected(fd)
        return []
    if action == "suspend":
        uwsgi.async_sleep(0.01)
        uwsgi.suspend()
        start_response("200 OK", plain)
        return [b"woken"]
    if action == "logvar":
        uwsgi.set_logvar("who", "me")
        start_response("200 OK", plain)
        return [uwsgi.get_logvar("who")]
    if action == "seen":
        start_response("200 OK", plain)
        return [repr(sorted(seen.items())).encode()]
    start_response("200 OK", plain)
    return [f"{uwsgi.request_id() >= 0} {threading.current_thread() is not None}".encode()]
