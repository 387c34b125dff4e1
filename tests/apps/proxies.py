"""What is tried through front servers: who asks, large bodies in both directions, echoing websockets, clients that leave."""

import hashlib
import json
from urllib.parse import parse_qs

import gevent
import uwsgi

BLOCK = bytes(range(256)) * 256

#: What has happened to clients that left, by the name that they gave themselves.
gone = {}


def application(env, start_response):
    _, action, *arguments = env["PATH_INFO"].split("/")
    query = {key: values[-1] for key, values in parse_qs(env["QUERY_STRING"]).items()}
    if action == "ws":
        return websocket(*arguments)
    if action == "upload":
        return upload(env, start_response)
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("X-Many", "a"), ("X-Many", "b")])
    if action == "download":
        return (BLOCK for _ in range(int(query["size"]) // len(BLOCK)))
    if action == "endless":
        return endless(query["name"])
    if action == "gone":
        return [gone.get(query["name"], "").encode()]
    return [json.dumps({key: value for key, value in env.items() if isinstance(value, str)}).encode()]


def upload(env, start_response):
    digest = hashlib.sha256()
    size = 0
    while True:
        data = env["wsgi.input"].read(65536)
        if not data:
            break
        digest.update(data)
        size += len(data)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{size} {digest.hexdigest()}".encode()]


def endless(name):
    try:
        while True:
            yield BLOCK
            gevent.sleep(0.01)
    finally:
        gone[name] = "response"


def websocket(what="", *arguments):
    uwsgi.websocket_handshake()
    if what == "close":
        uwsgi.websocket_close(int(arguments[0]), arguments[1])
        return []
    try:
        while True:
            message = uwsgi.websocket_recv()
            if uwsgi.websocket_opcode() == 1:
                uwsgi.websocket_send(message)
            else:
                uwsgi.websocket_send_binary(message)
    except OSError as error:
        gone[what] = f"{error.code} {error.reason}"
    return []
