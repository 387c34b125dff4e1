"""A page with a websocket, for a real browser. The socket echoes text as text and bytes as bytes.

"close CODE REASON" makes the server close, "crash" raises in the application.
"""

import uwsgi

PAGE = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>geuwsgi echo</title><link rel="icon" href="data:,">
<style>body { font: 16px sans-serif; margin: 3em } li { padding: .2em } </style></head>
<body><h1>Echo</h1><ul id="log"></ul>
<script>
function open_socket(path) {
    const socket = new WebSocket(location.protocol.replace("http", "ws") + "//" + location.host + path);
    socket.binaryType = "arraybuffer";
    return socket;
}
function say(line) {
    const item = document.createElement("li");
    item.textContent = line;
    document.getElementById("log").append(item);
}
</script></body></html>"""


def application(env, start_response):
    if env["PATH_INFO"] != "/ws":
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(PAGE)))])
        return [PAGE]
    uwsgi.websocket_handshake()
    while True:
        try:
            message = uwsgi.websocket_recv()
        except OSError:
            return []
        if message.startswith(b"close "):
            _, code, reason = message.decode().split(" ", 2)
            uwsgi.websocket_close(int(code), reason)
        elif message == b"crash":
            raise ValueError("a bug in the application")
        elif uwsgi.websocket_opcode() == 2:
            uwsgi.websocket_send_binary(message)
        else:
            uwsgi.websocket_send(message)
