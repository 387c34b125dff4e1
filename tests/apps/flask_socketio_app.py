"""Pattern 8b: Flask-SocketIO, with Flask's own pages beside it."""

from flask import Flask, request
from flask_socketio import SocketIO, emit, join_room

app = Flask(__name__)
socketio = SocketIO(app, async_mode="gevent_uwsgi", cors_allowed_origins="*")
application = app


@app.route("/")
def index():
    return "hello from Flask"


@socketio.on("echo")
def echo(data):
    return data


@socketio.on("enter")
def enter(room):
    join_room(room)
    emit("entered", request.sid, to=room)


@socketio.on("say")
def say(room, text):
    emit("said", text, to=room)


@socketio.on("disconnect")
def gone(reason=None):
    socketio.emit("left", {})
