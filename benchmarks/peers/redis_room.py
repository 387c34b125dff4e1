"""A room on uWSGI as its users build one: gevent, and a Redis subscription for each player.

The greenlet waits for its websocket and its subscription with `gevent.select` and looks at whichever has something.
REDIS_SOCKET names the socket of the Redis server.
"""

import os

import gevent.select
import redis
import uwsgi

SOCKET = os.environ["REDIS_SOCKET"]
publisher = redis.Redis(unix_socket_path=SOCKET)


def application(environ, start_response):
    uwsgi.websocket_handshake(environ["HTTP_SEC_WEBSOCKET_KEY"], environ.get("HTTP_ORIGIN", ""))
    websocket = uwsgi.connection_fd()
    subscription = redis.Redis(unix_socket_path=SOCKET).pubsub(ignore_subscribe_messages=True)
    subscription.subscribe("room")
    channel = subscription.connection._sock.fileno()
    try:
        while True:
            ready = gevent.select.select([websocket, channel], [], [], 4.0)[0]
            if websocket in ready or not ready:
                # until there is no more: one read of the socket may have brought several messages
                while True:
                    message = uwsgi.websocket_recv_nb()
                    if not message:
                        break
                    publisher.publish("room", message)
            if channel in ready:
                while True:
                    message = subscription.get_message()
                    if message is not None:
                        uwsgi.websocket_send(message["data"])
                    elif not subscription.connection.can_read(timeout=0):
                        break
    except OSError:
        return []
    finally:
        subscription.close()
