"""What the conformance suite talks to: an echo that keeps text text and binary binary, and ways to end, by path."""

from urllib.parse import unquote

import uwsgi


def application(env, start_response):
    _, action, *arguments = env["PATH_INFO"].split("/")
    try:
        uwsgi.websocket_handshake(proto=arguments[0] if action == "protocol" else "")
    except OSError:
        if action != "catch":
            raise
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [b"websockets only"]
    if action == "at-once":
        return []
    if action == "close":
        uwsgi.websocket_recv()
        uwsgi.websocket_close(int(arguments[0]), unquote(arguments[1]))
        return []
    while True:
        try:
            message = uwsgi.websocket_recv()
        except OSError:
            return []
        if uwsgi.websocket_opcode() == 1:
            uwsgi.websocket_send(message)
        else:
            uwsgi.websocket_send_binary(message)
        if action == "return":
            return []
        if action == "raise":
            raise RuntimeError("as asked for")
