"""A room on uWSGI as its users build one: gevent, and a Redis subscription for each player.

The greenlet waits for its websocket and its subscription and looks at whichever has something, as uWSGI's own chat example does,
mended in two places so that it is the best of its kind: `poll` instead of `select`, which ends at descriptor 1,023, and reading
until there is no more, because one read of the socket may bring several messages. REDIS_SOCKET names the socket of the Redis server.
"""

import os
import select

import gevent.select
import redis
import uwsgi

SOCKET = os.environ["REDIS_SOCKET"]
publisher = redis.Redis(unix_socket_path=SOCKET)


def forward(subscription):
    """Everything that the subscription has, to the websocket."""
    while True:
        message = subscription.get_message()
        if message is not None:
            uwsgi.websocket_send(message["data"])
        elif not subscription.connection.can_read(timeout=0):
            return


def publish():
    """Everything that the websocket has, to the room."""
    while True:
        message = uwsgi.websocket_recv_nb()
        if not message:
            return
        publisher.publish("room", message)


def application(environ, start_response):
    uwsgi.websocket_handshake(environ["HTTP_SEC_WEBSOCKET_KEY"], environ.get("HTTP_ORIGIN", ""))
    websocket = uwsgi.connection_fd()
    subscription = redis.Redis(unix_socket_path=SOCKET).pubsub(ignore_subscribe_messages=True)
    subscription.subscribe("room")
    channel = subscription.connection._sock.fileno()
    poll = gevent.select.poll()
    poll.register(websocket, select.POLLIN)
    poll.register(channel, select.POLLIN)
    try:
        while True:
            ready = [fd for fd, _ in poll.poll(4000)]
            if websocket in ready or not ready:
                publish()
            if channel in ready:
                forward(subscription)
    except OSError:
        return []
    finally:
        subscription.close()
