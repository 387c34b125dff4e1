"""A network between client and server that is slow, or swallows what it is given."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Optional

_PIECE = 65536


class Network:
    """A TCP proxy in a thread of its own: `with Network(server.port, delay=0.075) as network: connect(network.port)`.

    Args:
        target: the server's port on 127.0.0.1.
        delay: seconds that everything takes in each direction.

    Attributes:
        port: where to connect to.
    """

    def __init__(self, target: int, delay: float = 0.0) -> None:
        self.port = 0
        self._target = target
        self._delay = delay
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="network")
        self._done: asyncio.Event
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._swallowed: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> Network:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10)

    def swallow(self) -> None:
        """From now on nothing passes on the connections that there are, and neither end is told. New ones work."""
        self._loop.call_soon_threadsafe(lambda: self._swallowed.update(self._writers))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._done = asyncio.Event()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._done.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)  # aborted transports close in the next turn

    async def _connected(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        try:
            far, to_far = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            to_near.transport.abort()
            return
        self._writers.update((to_near, to_far))
        for reader, writer in ((near, to_far), (far, to_near)):
            task = asyncio.ensure_future(self._pump(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes, each piece so late; at the end the connection's."""
        data = b"."
        while data:
            try:
                data = await reader.read(_PIECE)
            except OSError:
                data = b""
            if self._delay:
                self._loop.call_later(self._delay, self._pass_on, writer, data)
            else:
                self._pass_on(writer, data)

    def _pass_on(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if writer in self._swallowed or writer.transport.is_closing():
            return
        if data:
            writer.write(data)
        else:
            writer.close()
            self._writers.discard(writer)
