"""Pattern 1: the blocking echo. Every first websocket application for uWSGI looks like this."""

import uwsgi


def application(env, start_response):
    uwsgi.websocket_handshake(env["HTTP_SEC_WEBSOCKET_KEY"], env.get("HTTP_ORIGIN", ""))
    while True:
        try:
            message = uwsgi.websocket_recv()
        except OSError:
            return [b""]
        uwsgi.websocket_send(message)
