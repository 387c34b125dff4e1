"""A WSGI application: echoes websockets, and what is posted."""

import json

import uwsgi


def application(environ, start_response):
    if "HTTP_SEC_WEBSOCKET_KEY" in environ:
        uwsgi.websocket_handshake(
            environ["HTTP_SEC_WEBSOCKET_KEY"], environ.get("HTTP_ORIGIN", ""), environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")
        )
        while True:
            try:
                message = uwsgi.websocket_recv()
            except OSError:
                return []
            uwsgi.websocket_send(message)
    body = ("python " + environ["PATH_INFO"]).encode()
    if environ["PATH_INFO"] == "/scheme":
        body = f"{environ['wsgi.url_scheme']} {environ.get('HTTPS')} {environ['REMOTE_ADDR']}".encode()
    if environ["PATH_INFO"].startswith("/environ"):
        body = json.dumps({key: value for key, value in environ.items() if type(value) is str}).encode()
    elif environ["REQUEST_METHOD"] == "POST":
        body = environ["wsgi.input"].read()
    headers = [("Content-Type", "text/plain")]
    if environ["QUERY_STRING"] == "gzip":
        headers.append(("uWSGI-Encoding", "gzip"))
    start_response("200 OK", headers)
    return [body]
