"""Pattern 6: greenlets started with `gevent.spawn` that simply call `uwsgi.websocket_send`.

"count N" starts a greenlet that sends "1" to "N" while the request goes on receiving; "nest" starts one that starts another.
"""

import gevent
import uwsgi


def count(limit):
    for number in range(1, limit + 1):
        uwsgi.websocket_send(str(number))
        gevent.sleep(0.001)


def nest():
    gevent.spawn(uwsgi.websocket_send, "from a grandchild").join()
    gevent.spawn_later(0.01, uwsgi.websocket_send_binary, b"and later")


def application(env, start_response):
    uwsgi.websocket_handshake(env["HTTP_SEC_WEBSOCKET_KEY"])
    while True:
        try:
            message = uwsgi.websocket_recv()
        except OSError:
            return []
        if message.startswith(b"count "):
            gevent.spawn(count, int(message[6:]))
        elif message == b"nest":
            gevent.spawn(nest)
        else:
            uwsgi.websocket_send(b"you said " + message)
