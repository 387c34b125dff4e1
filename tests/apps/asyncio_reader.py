"""Pattern 7: an asyncio loop watches the connections, by `add_reader(connection_fd())`.

One loop for all clients. It wakes the greenlet of a request when the browser has sent something, when a task
of the loop has something to say, or after four seconds, when uWSGI wants to ping.
"""

import asyncio

import gevent
import gevent.event
import uwsgi

loop = None


def run_loop():
    asyncio.set_event_loop(loop)
    loop.run_forever()


async def slow_answer(message, say):
    await asyncio.sleep(0.02)
    say(b"after a while: " + message)


def application(env, start_response):
    global loop
    if loop is None:
        loop = asyncio.new_event_loop()
        gevent.spawn(run_loop)
    uwsgi.websocket_handshake()
    fd = uwsgi.connection_fd()
    wake = gevent.event.Event()
    answers = []

    def say(message):
        answers.append(message)
        wake.set()

    loop.call_soon_threadsafe(loop.add_reader, fd, wake.set)
    uwsgi.websocket_send("ready")
    try:
        while True:
            wake.wait(4)
            wake.clear()
            message = uwsgi.websocket_recv_nb()
            if message.startswith(b"slow "):
                loop.call_soon_threadsafe(lambda text=message[5:]: loop.create_task(slow_answer(text, say)))
            elif message:
                uwsgi.websocket_send(message)
            while answers:
                uwsgi.websocket_send(answers.pop(0))
    except OSError:
        return []
    finally:
        loop.call_soon_threadsafe(loop.remove_reader, fd)
