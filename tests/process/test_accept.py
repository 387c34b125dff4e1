"""Connections shared among workers: how fairly, and that a worker which does not come for its own hangs nobody."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Callable

import pytest

from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

from .probing import ask_all, other_workers, workers

StartServer = Callable[..., Geuwsgi]

#: Answers with the worker's number and nothing else.
NUMBER = """
import os, uwsgi
def application(environ, start_response):
    if environ["QUERY_STRING"]:
        answer = repr((uwsgi.worker_id(), 1))
    else:
        answer = str(uwsgi.worker_id())
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer.encode()]
"""


@pytest.fixture
def app(tmp_path: Path) -> str:
    path = tmp_path / "number.py"
    path.write_text(NUMBER)
    return str(path)


def connect(server: Geuwsgi, count: int, pause: float = 0.0) -> list[socket.socket]:
    sockets = []
    for _ in range(count):
        sockets.append(socket.create_connection(("127.0.0.1", server.port), timeout=20))
        if pause:
            time.sleep(pause)
    return sockets


def whose(sockets: list[socket.socket]) -> Counter[str]:
    """How many of the connections each worker has; they are closed."""
    for sock in sockets:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    found: Counter[str] = Counter()
    for sock in sockets:
        data = b""
        while not data.partition(b"\r\n\r\n")[2]:
            piece = sock.recv(4096)
            assert piece, data
            data += piece
        found[data[-1:].decode()] += 1
        sock.close()
    return found


@pytest.mark.alone
@pytest.mark.parametrize("pause", [0.0, 0.001], ids=["at once", "one a millisecond"])
def test_a_thousand_connections_and_four_workers(server: StartServer, app: str, pause: float) -> None:
    running = server(None, "--master", "-p", "4", "--wsgi-file", app, "-L")
    ask_all(running, "1", 4)
    found = whose(connect(running, 1000, pause))
    assert len(found) == 4
    assert max(found.values()) <= 1.5 * min(found.values()), found


def test_a_new_worker_takes_what_its_predecessor_left(server: StartServer, app: str) -> None:
    running = server(None, "--master", "-p", "4", "--wsgi-file", app, "-L")
    ask_all(running, "1", 4)
    held = connect(running, 200)
    for sock in held:
        # Connected is not accepted: what still waited in the backlog would go to the new worker too.
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(4096)
    victim = workers(running)[0]
    victim.kill()
    other_workers(running, [victim], 4)
    # The new one has nothing, the others 50 each.
    wait_until(lambda: whose(connect(running, 1))["1"], 20, "the new worker")
    # One that gets no processor for a moment leaves some to the others.
    wait_until(lambda: whose(connect(running, 40))["1"] >= 35, what="nearly all of them with the new worker")
    for sock in held:
        sock.close()


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_one_that_does_not_come_hangs_nobody(server: StartServer, app: str, how: int) -> None:
    running = server(None, "--master", "-p", "3", "--wsgi-file", app, "-L")
    ask_all(running, "1", 3)
    held = connect(running, 60)
    absent = workers(running)[2]
    absent.send_signal(how)
    try:
        start = time.monotonic()
        found = whose(connect(running, 200))
        assert time.monotonic() - start < 15
        assert sum(found.values()) == 200
    finally:
        if how == signal.SIGSTOP:
            absent.send_signal(signal.SIGCONT)
    for sock in held:
        sock.close()


@pytest.mark.alone
class TestReusePort:
    def test_the_kernel_distributes(self, server: StartServer, app: str) -> None:
        running = server(None, "--master", "-p", "4", "--wsgi-file", app, "-L", "--reuse-port")
        ask_all(running, "1", 4)
        found = whose(connect(running, 1000))
        assert len(found) == 4
        assert max(found.values()) <= 1.5 * min(found.values()), found

    def test_what_waits_for_a_worker_that_dies_is_for_its_successor(self, server: StartServer, app: str) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", app, "-L", "--reuse-port")
        ask_all(running, "1", 2)
        victim = workers(running)[0]
        victim.send_signal(signal.SIGSTOP)
        waiting = connect(running, 40)
        victim.kill()
        found = whose(waiting)
        assert sum(found.values()) == 40
        assert found["1"] > 5

    def test_unix_sockets_have_one_queue_as_ever(self, server: StartServer, app: str) -> None:
        name = f"gt-reuse-{os.getpid()}"  # of the whole machine
        server(None, "--http-socket", "127.0.0.1:0", "--http-socket", f"@{name}", "-p", "2", "--wsgi-file", app, "--reuse-port")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(f"\0{name}")
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: sock.recv(4096)[-1:] in b"12", 20, "an answer")
