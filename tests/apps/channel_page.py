"""A page whose sockets are all in one room: what one says, all hear."""

import uwsgi

PAGE = b"""<!doctype html>
<meta charset="utf-8">
<title>geuwsgi room</title>
<h1>Room</h1>
<pre id="log"></pre>
<script>
const url = location.href.replace("http", "ws") + "room";
</script>
"""


def application(environ, start_response):
    if environ["PATH_INFO"] != "/room":
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [PAGE]
    uwsgi.websocket_handshake()
    uwsgi.websocket_channel_join("room")
    uwsgi.websocket_send("joined")
    try:
        while True:
            message = uwsgi.websocket_recv()
            if uwsgi.websocket_opcode() == 2:
                uwsgi.channel_send_binary("room", message)
            else:
                uwsgi.channel_send("room", message)
    except OSError:
        return []
