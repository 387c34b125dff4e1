"""Named channels by remote control: each text message is a JSON list, [function, argument, ...], and is answered with
["=", result] or ["!", error]. What a channel forwards comes as it is. After "host" the request outlives its websocket,
and what is said in that channel is said again in "NAME again".

`GET /say/CHANNEL/MESSAGE` publishes from a plain request; `GET /thread/CHANNEL/N` N numbers from a native thread;
`GET /loop/CHANNEL/N` N numbers in a loop that never yields by itself.
"""

import json
import os
import time

import gevent
import uwsgi


def later(name, message):
    gevent.sleep(0.01)
    uwsgi.channel_send(name, message)


def recv(name, timeout=None):
    message = uwsgi.channel_recv(name) if timeout is None else uwsgi.channel_recv(name, timeout)
    return None if message is None else message.decode()


def rejoin(name):
    start = time.monotonic()
    uwsgi.websocket_channel_leave(name)
    uwsgi.websocket_channel_join(name)
    return time.monotonic() - start


FUNCTIONS = {
    "join": uwsgi.websocket_channel_join,
    "leave": uwsgi.websocket_channel_leave,
    "rejoin": rejoin,
    "queue": uwsgi.channel_join,
    "host": lambda name: uwsgi.channel_join(name, stay=True),
    "unqueue": uwsgi.channel_leave,
    "recv": recv,
    "send": uwsgi.channel_send,
    "send_bytes": lambda name, text: uwsgi.channel_send(name, bytes.fromhex(text)),
    "send_binary": lambda name, text: uwsgi.channel_send_binary(name, bytes.fromhex(text)),
    "send_others": lambda name, message: uwsgi.channel_send(name, message, exclude_self=True),
    "send_many": lambda name, size, count: [uwsgi.channel_send(name, "%06d" % n + "x" * size) for n in range(count)][:0],
    "later": lambda name, message: gevent.spawn(later, name, message) and None,
    "count": uwsgi.channel_count,
    "channels": uwsgi.channels,
    "worker": uwsgi.worker_id,
    "pid": os.getpid,
    "sleep": gevent.sleep,
}


def control(hosted):
    uwsgi.websocket_handshake()
    while True:
        name, *arguments = json.loads(uwsgi.websocket_recv())
        if name == "host":
            hosted += arguments
        try:
            answer = ["=", FUNCTIONS[name](*arguments)]
        except (ValueError, OSError, TypeError) as error:
            if getattr(error, "code", None) is not None:
                raise
            answer = ["!", type(error).__name__ + ": " + str(error)]
        uwsgi.websocket_send(json.dumps(answer))


def say_again(name):
    try:
        while True:
            uwsgi.channel_send(name + " again", uwsgi.channel_recv(name))
    except OSError:
        pass  # the server stops


def numbers(name, count):
    for number in range(count):
        uwsgi.channel_send(name, str(number))


def application(env, start_response):
    if env["PATH_INFO"] == "/reader":
        uwsgi.websocket_handshake()
        uwsgi.channel_join("room")
        uwsgi.websocket_channel_join("reader")
        while True:  # until the OSError at the end of the websocket, which nobody need catch
            uwsgi.websocket_send(uwsgi.channel_recv("room"))
    if "HTTP_SEC_WEBSOCKET_KEY" in env:
        hosted = []
        try:
            control(hosted)
        except OSError:
            for name in hosted:
                say_again(name)
            return []
    parts = env["PATH_INFO"].split("/")
    if parts[1] == "say":
        uwsgi.channel_send(parts[2], parts[3])
    elif parts[1] == "thread":
        gevent.get_hub().threadpool.apply(numbers, (parts[2], int(parts[3])))
    elif parts[1] == "loop":
        numbers(parts[2], int(parts[3]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done\n"]
