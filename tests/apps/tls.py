"""What TLS adds to an environ; a websocket that echoes."""

import json

import uwsgi

NAMES = ("HTTPS", "HTTPS_CC", "HTTPS_CLIENT_CERTIFICATE", "HTTPS_DN", "wsgi.url_scheme", "SERVER_PORT")


def application(env, start_response):
    if env["PATH_INFO"] == "/ws":
        uwsgi.websocket_handshake()
        while True:
            try:
                message = uwsgi.websocket_recv()
            except OSError:
                return []
            uwsgi.websocket_send(message)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({name: env[name] for name in NAMES if name in env}).encode()]
