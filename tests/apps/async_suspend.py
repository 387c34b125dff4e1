"""Pattern 3: uWSGI's own async API. Ask for two descriptors, suspend, see which one it was.

A text from the browser is published on Redis, and what Redis brings goes to every browser.
"""

import os

import redis
import uwsgi


def application(env, start_response):
    uwsgi.websocket_handshake(env["HTTP_SEC_WEBSOCKET_KEY"], env.get("HTTP_ORIGIN", ""))
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    channel = client.pubsub()
    channel.subscribe(env["PATH_INFO"])
    channel.parse_response()  # the answer to the subscription

    browser = uwsgi.connection_fd()
    room = channel.connection._sock.fileno()
    uwsgi.websocket_send("ready")
    try:
        while True:
            uwsgi.wait_fd_read(browser, 4)
            uwsgi.wait_fd_read(room)
            uwsgi.suspend()
            fd = uwsgi.ready_fd()
            if fd > -1:
                if fd == browser:
                    message = uwsgi.websocket_recv_nb()
                    if message:
                        client.publish(env["PATH_INFO"], message)
                elif fd == room:
                    while channel.connection.can_read(timeout=0):
                        uwsgi.websocket_send("[" + channel.parse_response()[2].decode() + "]")
            else:
                # On a time-out call recv_nb, to manage ping and pong.
                uwsgi.websocket_recv_nb()
    except OSError:
        return b""
    finally:
        channel.close()
        client.close()
