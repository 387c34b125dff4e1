"""A page that tells on which TCP connection its requests and its websockets have come. The socket echoes, and answers "where" with that."""

import json

import uwsgi

PAGE = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>geuwsgi over HTTP/2</title><link rel="icon" href="data:,"></head>
<body><h1>HTTP/2</h1>
<script>
function open_socket(path, protocols) {
    const socket = new WebSocket("wss://" + location.host + path, protocols || []);
    socket.binaryType = "arraybuffer";
    return socket;
}
</script></body></html>"""


def where(env):
    return json.dumps([env["SERVER_PROTOCOL"], env.get("REMOTE_PORT"), env["wsgi.url_scheme"], env.get("HTTPS", ""), env["REQUEST_METHOD"]])


def application(env, start_response):
    if env["PATH_INFO"].startswith("/where"):
        start_response("200 OK", [("Content-Type", "application/json"), ("Cache-Control", "no-store")])
        return [where(env).encode()]
    if env["PATH_INFO"] != "/ws":
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [PAGE]
    uwsgi.websocket_handshake()
    while True:
        try:
            message = uwsgi.websocket_recv()
        except OSError:
            return []
        if message == b"where":
            uwsgi.websocket_send(where(env))
        elif message.startswith(b"close "):
            uwsgi.websocket_close(int(message[6:]), "as asked for")
        elif uwsgi.websocket_opcode() == 2:
            uwsgi.websocket_send_binary(message)
        else:
            uwsgi.websocket_send(message)
