"""Every way to wait on `uwsgi.connection_fd()`, one `recv_nb()` per event: /WAY/before or /WAY/after (the handshake).

Echoes each message with the number of events so far that brought nothing, which should stay 0.
"""

import asyncio
import select
import selectors
import threading

import uwsgi

# asyncio knows one running loop per thread, and all requests are served in one.
one_loop = threading.Lock()


def by_select(fd):
    select.select([fd], [], [], 10)


def by_poll(fd):
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll(10_000)


def by_selectors(fd):
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        selector.select(10)


def by_wait_fd_read(fd):
    uwsgi.wait_fd_read(fd, 10)
    uwsgi.suspend()
    assert uwsgi.ready_fd() == fd


def by_asyncio(fd):
    async def wait():
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        loop.add_reader(fd, lambda: ready.done() or ready.set_result(None))
        try:
            await asyncio.wait_for(ready, 10)
        finally:
            loop.remove_reader(fd)

    with one_loop:
        asyncio.run(wait())


def application(env, start_response):
    _, way, moment = env["PATH_INFO"].split("/")
    fd = uwsgi.connection_fd() if moment == "before" else -1
    uwsgi.websocket_handshake()
    if moment == "before":
        assert uwsgi.connection_fd() == fd
    fd = uwsgi.connection_fd()
    wait = globals()["by_" + way]
    empty = 0
    while True:
        wait(fd)
        try:
            message = uwsgi.websocket_recv_nb()
        except OSError:
            return []
        if message:
            uwsgi.websocket_send(message + b" %d" % empty)
        else:
            empty += 1
