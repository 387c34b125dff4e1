"""For `--asyncio N --greenlet`: callbacks of the loop switch to the request's greenlet, which waits in its parent."""

import asyncio

import greenlet
import uwsgi

clients = {}


async def later(seconds, me):
    await asyncio.sleep(seconds)
    me.switch()


class Wait(asyncio.Future):
    """A future that a greenlet waits for."""

    def __init__(self):
        super().__init__()
        self.greenlet = greenlet.getcurrent()

    def get(self):
        self.add_done_callback(lambda future: future.greenlet.switch())
        while not self.done():
            self.greenlet.parent.switch()
        return self.result()


async def compute(future):
    await asyncio.sleep(0.02)
    future.set_result("computed")


async def leave():
    raise SystemExit(3)


def pages(me):
    for number in range(3):
        yield f"{number}\n".encode()
        asyncio.get_event_loop().create_task(later(0.02, me))
        me.parent.switch()


def application(env, start_response):
    me = greenlet.getcurrent()
    if env["PATH_INFO"] == "/stream":
        start_response("200 OK", [])
        return pages(me)
    if env["PATH_INFO"] == "/future":
        start_response("200 OK", [])
        future = Wait()
        asyncio.get_event_loop().create_task(compute(future))
        return [future.get().encode()]
    if env["PATH_INFO"] in ("/exit", "/stop"):
        loop = asyncio.get_event_loop()
        if env["PATH_INFO"] == "/exit":
            loop.create_task(leave())
        else:
            loop.call_soon(loop.stop)
        start_response("200 OK", [])
        return []
    if env["PATH_INFO"] == "/":
        start_response("200 OK", [])
        return [str(uwsgi.loop).encode()]
    return chat(me)


def chat(me):
    uwsgi.websocket_handshake()
    loop = asyncio.get_event_loop()
    fd = uwsgi.connection_fd()
    readable = []
    queue = clients[me] = []

    def wake():
        readable.append(True)
        loop.remove_reader(fd)
        me.switch()

    loop.add_reader(fd, wake)
    uwsgi.websocket_send("joined")
    try:
        while True:
            me.parent.switch()
            while queue:
                uwsgi.websocket_send(queue.pop(0))
            if readable:
                readable.clear()
                message = uwsgi.websocket_recv_nb()
                if message:
                    for other, inbox in clients.items():
                        inbox.append(message)
                        loop.call_soon(other.switch)
                loop.add_reader(fd, wake)
    except OSError:
        return []
    finally:
        loop.remove_reader(fd)
        del clients[me]
