"""Pattern 8a: python-socketio."""

import socketio

sio = socketio.Server(async_mode="gevent_uwsgi", cors_allowed_origins="*")
application = socketio.WSGIApp(sio)
gone = []


@sio.event
def connect(sid, environ, auth):
    sio.emit("welcome", {"transport": sio.transport(sid)}, to=sid)


@sio.event
def disconnect(sid, reason=None):
    gone.append(sid)
    sio.emit("left", len(gone))


@sio.event
def echo(sid, data):
    return data


@sio.event
def transport(sid):
    return sio.transport(sid)


@sio.event
def chat(sid, data):
    sio.emit("chat", data)


@sio.event
def count(sid, limit):
    def run():
        for number in range(limit):
            sio.emit("number", number, to=sid)
            sio.sleep(0)

    sio.start_background_task(run)


@sio.event
def kick(sid):
    sio.disconnect(sid)
