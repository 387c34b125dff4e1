"""Clients that never rest: requests on connections that stay and on new ones, and websockets that come back when they are told to."""

from __future__ import annotations

import asyncio
import base64
import os
import struct
import threading
import time
from collections import Counter
from typing import Any


class Load:
    """Runs in a thread until `stop`.

    Args:
        address: "127.0.0.1:40123".
        rate: requests a second, half of them on connections that stay open.
        websockets: how many are open at any time; each comes back as soon as it was closed.
        query: what the requests ask for.

    Attributes:
        failures: what no client of a server that reloads should see.
        answers: requests answered, with what.
        closes: close codes seen by websockets.
        connected: websockets that are open.
    """

    def __init__(self, address: str, rate: float = 200, websockets: int = 0, query: str = "uwsgi.worker_id()") -> None:
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)
        self.query = query
        self.failures: list[str] = []
        self.answers: Counter[bytes] = Counter()
        self.closes: Counter[int] = Counter()
        self.connected = 0
        self._stop = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._rate = rate
        self._websockets = websockets
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.stop()

    def stop(self) -> None:
        """End it; websockets that are open are closed without a failure."""
        self._stop = True
        self._thread.join()

    async def _main(self) -> None:
        clients = 20
        tasks = [asyncio.create_task(self._requests(number % 2 == 0, clients / self._rate)) for number in range(clients)]
        tasks += [asyncio.create_task(self._websocket()) for _ in range(self._websockets)]
        while not self._stop:
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        self._writers.add(writer)
        return reader, writer

    async def _close(self, writer: asyncio.StreamWriter) -> None:
        writer.close()
        try:
            await writer.wait_closed()
        except OSError:
            pass
        self._writers.discard(writer)

    async def _requests(self, keep: bool, pause: float) -> None:
        reader = writer = None
        due = time.monotonic()
        while not self._stop:
            due += pause
            await asyncio.sleep(max(0, due - time.monotonic()))
            try:
                if writer is None:
                    reader, writer = await self._connect()
                connection = b"" if keep else b"Connection: close\r\n"
                writer.write(b"GET /?%s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (self.query.encode(), connection))
                assert reader is not None
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(length)
                if not head.startswith(b"HTTP/1.1 200"):
                    raise OSError(head)
                self.answers[body] += 1
                if b"connection: close" in head.lower():
                    await self._close(writer)
                    reader = writer = None
            except (OSError, EOFError, asyncio.TimeoutError) as error:
                self.failures.append(f"request ({'kept' if keep else 'new'} connection): {error!r}")
                if writer is not None:
                    await self._close(writer)
                reader = writer = None

    async def _websocket(self) -> None:
        while not self._stop:
            try:
                await self._one_websocket()
            except (OSError, EOFError, asyncio.TimeoutError) as error:
                self.failures.append(f"websocket: {error!r}")
                await asyncio.sleep(0.1)

    async def _one_websocket(self) -> None:
        reader, writer = await self._connect()
        try:
            key = base64.b64encode(os.urandom(16))
            writer.write(
                b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % key
            )
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            if not head.startswith(b"HTTP/1.1 101"):
                raise OSError(head)
            self.connected += 1
            try:
                writer.write(b"\x81\x82\0\0\0\0hi")
                while True:
                    first, length = await reader.readexactly(2)
                    assert length < 126
                    payload = await reader.readexactly(length)
                    if first == 0x88:
                        self.closes[struct.unpack(">H", payload[:2])[0]] += 1
                        writer.write(b"\x88\x82\0\0\0\0" + payload[:2])
                        if await asyncio.wait_for(reader.read(1), 10):
                            raise OSError("data behind the close frame")
                        return
            finally:
                self.connected -= 1
        finally:
            await self._close(writer)
