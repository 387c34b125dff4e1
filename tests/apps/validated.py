"""An application behind `wsgiref.validate`, which asserts PEP 3333 on both sides of it."""

from wsgiref.validate import validator


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/read":
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    elif path == "/lines":
        body = b"|".join(line.rstrip() for line in environ["wsgi.input"])
    elif path == "/empty":
        start_response("204 No Content", [])
        return []
    elif path == "/write":
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"written, ")
        return [b"returned"]
    elif path == "/exc-info":
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            raise ValueError("handled by the application")
        except ValueError:
            import sys

            start_response("503 Service Unavailable", [("Content-Type", "text/plain")], sys.exc_info())
        return [b"replaced"]
    else:
        body = path.encode("latin-1")
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))])
    return [body]


application = validator(app)
