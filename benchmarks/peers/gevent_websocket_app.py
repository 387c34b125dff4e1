"""Echo, room and hello with gevent-websocket: under gunicorn (the application) or alone (`python FILE PORT [BACKLOG]`)."""

import sys

from geventwebsocket.exceptions import WebSocketError

BODY = b"hello, world\n"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]
members = set()


def application(environ, start_response):
    websocket = environ.get("wsgi.websocket")
    if websocket is None:
        start_response("200 OK", HEADERS)
        return [BODY]
    room = environ["PATH_INFO"] == "/room"
    if room:
        members.add(websocket)
    try:
        while True:
            message = websocket.receive()
            if message is None:
                break
            if room:
                for member in list(members):
                    member.send(message)
            else:
                websocket.send(message)
    except WebSocketError:
        pass
    finally:
        members.discard(websocket)
    return []


if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()
    from gevent.pywsgi import WSGIServer
    from geventwebsocket.handler import WebSocketHandler

    backlog = {"backlog": int(sys.argv[2])} if len(sys.argv) > 2 else {}
    WSGIServer(("127.0.0.1", int(sys.argv[1])), application, handler_class=WebSocketHandler, log=None, **backlog).serve_forever()
