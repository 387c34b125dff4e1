"""Pattern 4: uWSGI's async API without greenlets: every `yield ""` suspends the request.

Which descriptor ended the wait stands in the environ then: uWSGI moves it there from `ready_fd()`.
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
            yield ""
            fd = env["uwsgi.ready_fd"]  # None on a time-out
            if fd == browser:
                message = uwsgi.websocket_recv_nb()
                if message:
                    client.publish(env["PATH_INFO"], message)
            elif fd == room:
                while channel.connection.can_read(timeout=0):
                    uwsgi.websocket_send("[" + channel.parse_response()[2].decode() + "]")
            else:
                assert env["x-wsgiorg.fdevent.timeout"]
                uwsgi.websocket_recv_nb()
    except OSError:
        pass
    finally:
        channel.close()
        client.close()
