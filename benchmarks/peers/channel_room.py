"""A room on geuwsgi's channels. /room: one for all; /rooms/FIRST/COUNT: COUNT channels, a message names its own by number."""

import uwsgi


def application(environ, start_response):
    uwsgi.websocket_handshake(environ["HTTP_SEC_WEBSOCKET_KEY"], environ.get("HTTP_ORIGIN", ""))
    path = environ["PATH_INFO"]
    if path == "/room":
        uwsgi.websocket_channel_join("room")
    else:
        first, count = map(int, path.split("/")[2:])
        for number in range(first, first + count):
            uwsgi.websocket_channel_join(f"{number:08x}")
    try:
        while True:
            message = uwsgi.websocket_recv()
            uwsgi.channel_send("room" if path == "/room" else message[16:24].decode(), message)
    except OSError:
        return []
