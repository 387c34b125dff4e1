"""Pattern 5: two greenlets for each client. One receives, the other sends what stands in the client's queue.

Everybody in a room (the path) hears what anybody there says. The sender is told which request it works for by its `request_context`.
"""

import collections

import gevent
import gevent.queue
import uwsgi

rooms = collections.defaultdict(set)


def send_loop(outbox, context):
    while True:
        message = outbox.get()
        if message is None:
            return
        uwsgi.websocket_send(message, request_context=context)


def application(env, start_response):
    uwsgi.websocket_handshake()
    outbox = gevent.queue.Queue()
    sender = gevent.spawn(send_loop, outbox, uwsgi.request_context())
    clients = rooms[env["PATH_INFO"]]
    clients.add(outbox)
    outbox.put("%d here" % len(clients))
    try:
        while True:
            message = uwsgi.websocket_recv()
            for other in clients:
                other.put(message)
    except OSError:
        pass
    finally:
        clients.discard(outbox)
        outbox.put(None)
        sender.join()
        for other in clients:
            other.put("one left")
    return []
