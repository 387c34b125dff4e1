"""A real `Server` on a real socket in this process, and a client that sees every byte.

Both run on gevent; the test's own greenlet is the client, so the server runs whenever the test waits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, NamedTuple

import gevent.socket

from geuwsgi.server.listener import open_listener
from geuwsgi.server.server import Server
from geuwsgi.server.settings import HTTPSettings, ServerSettings

PLAIN = ("Content-Type", "text/plain")

Application = Callable[[dict[str, Any], Callable[..., Any]], Any]


class Answer(NamedTuple):
    """One response, taken apart."""

    status: str
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> int:
        return int(self.status.split()[1])


class Client:
    """A connection to the server under test."""

    def __init__(self, address: Any, family: int) -> None:
        self.sock = gevent.socket.socket(family)
        self.sock.settimeout(20)
        self.sock.connect(address)
        self.buffer = b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def more(self) -> bytes:
        """Bytes that have come; b"" at the end."""
        data: bytes = self.sock.recv(65536)
        self.buffer += data
        return data

    def until(self, mark: bytes) -> bytes:
        """Everything up to and including a mark."""
        while mark not in self.buffer:
            assert self.more(), f"ended before {mark!r}: {self.buffer!r}"
        end = self.buffer.index(mark) + len(mark)
        found, self.buffer = self.buffer[:end], self.buffer[end:]
        return found

    def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            assert self.more(), f"ended after {len(self.buffer)} of {size} bytes"
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def rest(self) -> bytes:
        """Everything until the server closes."""
        while self.more():
            pass
        found, self.buffer = self.buffer, b""
        return found

    def answer(self, head: bool = False) -> Answer:
        """The next response; `head` says that it answers a HEAD."""
        status, *lines = self.until(b"\r\n\r\n").decode("latin-1").split("\r\n")[:-2]
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value
        code = int(status.split()[1])
        if head or code < 200 or code in (204, 304):
            body = b""
        elif "content-length" in headers:
            body = self.exactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                size = int(self.until(b"\r\n"), 16)
                body += self.exactly(size)
                assert self.until(b"\r\n") == b"\r\n"
                if not size:
                    break
        else:
            body = self.rest()
        return Answer(status, headers, body)

    def ask(self, target: str = "/", method: str = "GET", *headers: str, body: bytes = b"") -> Answer:
        """Send a request of HTTP/1.1 and read its response."""
        lines = [f"{method} {target} HTTP/1.1", "Host: test", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return self.answer(method == "HEAD")

    def closed(self) -> bool:
        """Whether the server closes without sending anything more."""
        return self.rest() == b""

    def close(self) -> None:
        self.sock.close()


class Serving:
    """The server under test and the clients connected to it."""

    def __init__(self, server: Server, listener: Any) -> None:
        self.server = server
        self.listener = listener
        self.clients: list[Client] = []

    def connect(self) -> Client:
        sock = self.listener.sock
        self.clients.append(Client(sock.getsockname(), sock.family))
        return self.clients[-1]

    def talk(self, data: bytes) -> bytes:
        """All that the server says to some bytes until it closes."""
        client = self.connect()
        client.send(data)
        return client.rest()

    def ask(self, *args: Any, **options: Any) -> Answer:
        """One request on a connection of its own."""
        return self.connect().ask(*args, **options)


def settings(http: Any = None, **options: Any) -> ServerSettings:
    return ServerSettings(http=HTTPSettings(**(http or {})), **options)


@contextmanager
def serving(application: Application, address: str = "127.0.0.1:0", http: Any = None, **options: Any) -> Iterator[Serving]:
    """Serve an application: `http` are HTTPSettings, `options` ServerSettings. The log is off unless asked for."""
    options.setdefault("log_requests", False)
    listener = open_listener(address)
    server = Server(application, [listener], settings(http, **options))
    server.start()
    found = Serving(server, listener)
    try:
        yield found
    finally:
        for client in found.clients:
            client.close()
        server.stop(2)


def still(figure: Callable[[], Any], what: str = "", deadline: float = 20.0) -> Any:
    """Let the server run until a figure has been the same in ten looks, some time apart; the figure."""
    end = time.monotonic() + deadline
    last, same = figure(), 0
    while same < 10:
        assert time.monotonic() < end, f"not at rest within {deadline} s: {what}"
        gevent.sleep(0.02)
        now = figure()
        last, same = now, same + 1 if now == last else 0
    return last


def wait_for(condition: Callable[[], Any], what: str = "", deadline: float = 20.0) -> None:
    """Let the server run until a condition holds."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"not within {deadline} s: {what}"
        gevent.sleep(0.002)
