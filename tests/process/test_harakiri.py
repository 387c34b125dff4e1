"""Requests that take too long."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path
from typing import Callable

import pytest
import requests
import websocket

from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

from .probing import PROBE, ask, other_workers, workers

StartServer = Callable[..., Geuwsgi]

#: What a request that was ended leaves in the log.
ENDED = r"Harakiri: the request has taken \d+\.\d seconds"


@pytest.fixture
def app(tmp_path: Path) -> str:
    path = tmp_path / "app.py"
    path.write_text(
        PROBE
        + """
def stubborn():
    while True:
        try:
            gevent.sleep(60)
        except BaseException:
            pass

def closing():
    try:
        gevent.sleep(60)
    finally:
        seen.append("closed")

def blocking():
    try:
        time.sleep(4)
    finally:
        seen.append("back")

@__import__("uwsgidecorators").harakiri(1)
def limited():
    gevent.sleep(60)
"""
    )
    return str(path)


def get(server: Geuwsgi, expression: str) -> requests.Response:
    return requests.get(server.url, params=expression, timeout=20)


def test_a_request_that_waits_too_long_is_ended_and_nothing_else(server: StartServer, app: str) -> None:
    running = server(None, "--master", "--wsgi-file", app, "--harakiri", "1", expect_log=[ENDED])
    before = workers(running)
    client = websocket.create_connection(running.ws_url, timeout=10)
    start = time.monotonic()
    assert get(running, "closing()").status_code == 500
    assert 0.9 < time.monotonic() - start < 19
    assert ask(running, "seen") == ["closed"]
    assert re.search(
        r"\*\*\* HARAKIRI ON WORKER 1 \(pid: \d+, try: 1\) \*\*\*\nHARAKIRI \[core \d\] 127.0.0.1 - GET /\?closing\(\) since \d+",
        running.log,
    )
    assert "in closing\n    gevent.sleep(60)" in running.log
    # The websocket is older than that.
    client.send("x")
    assert client.recv() == "x 1"
    client.close()
    assert workers(running) == before


def test_verbose(server: StartServer, app: str) -> None:
    running = server(None, "--master", "--wsgi-file", app, "--harakiri", "1", "--harakiri-verbose", expect_log=[ENDED])
    assert get(running, "closing()").status_code == 500
    assert "HARAKIRI !!! worker 1 status !!!\nHARAKIRI [core 0]" in running.log


def test_one_that_catches_everything_has_its_worker_replaced(server: StartServer, app: str) -> None:
    running = server(None, "--master", "--wsgi-file", app, "--harakiri", "0.3", "--worker-reload-mercy", "1")
    before = workers(running)
    with socket.create_connection(("127.0.0.1", running.port)) as client:
        client.sendall(b"GET /?stubborn() HTTP/1.1\r\nHost: x\r\n\r\n")
        running.wait_log("has a request that does not end (--harakiri): it will be replaced", 15)
        other_workers(running, before, 1)
    assert running.log.count("it is still running:") == 2
    assert "in stubborn" in running.log


def test_one_that_never_yields_is_interrupted(server: StartServer, app: str) -> None:
    trouble = ["Harakiri: the request has not let others run for too long"]
    running = server(None, "--master", "--wsgi-file", app, "--harakiri", "1", expect_log=trouble)
    before = workers(running)
    assert get(running, "all(True for _ in iter(int, 1))").status_code == 500
    assert re.search(r"has not let other requests run; it is here:\n(.*\n)* *File \"<string>\", line 1, in <genexpr>", running.log)
    assert workers(running) == before


def test_one_that_sits_in_c_code_is_killed_with_its_worker(server: StartServer, app: str) -> None:
    running = server(None, "--master", "-p", "2", "--wsgi-file", app, "--harakiri", "1", "--harakiri-verbose")
    before = workers(running)
    with pytest.raises(requests.ConnectionError):
        # No signal ends this, since Python's handlers run between its own instructions.
        get(running, "__import__('hashlib').pbkdf2_hmac('sha256', b'x', b'x', 10 ** 9)")
    running.wait_log("Respawned uWSGI worker")
    assert "died, killed by signal 9 (SIGKILL) :( trying respawn ..." in running.log
    assert "HARAKIRI: -- wchan> " in running.log
    assert len(set(before) & set(workers(running))) == 1


class TestTheApplicationsOwnLimit:
    def test_without_the_option(self, server: StartServer, app: str) -> None:
        running = server(None, "--master", "--wsgi-file", app, expect_log=[ENDED])
        start = time.monotonic()
        assert get(running, "uwsgi.set_user_harakiri(1), gevent.sleep(60)").status_code == 500
        assert time.monotonic() - start < 19
        assert get(running, "limited()").status_code == 500

    def test_longer_than_the_option_and_none_at_all(self, server: StartServer, app: str) -> None:
        running = server(None, "--master", "--wsgi-file", app, "--harakiri", "1")
        assert ask(running, "uwsgi.set_user_harakiri(30), gevent.sleep(2)") == (None, None)
        assert ask(running, "uwsgi.set_user_harakiri(0), gevent.sleep(2)") == (None, None)

    def test_longer_than_a_number_can_tell(self, server: StartServer, app: str) -> None:
        running = server(None, "--master", "--wsgi-file", app, expect_log=["OverflowError"])
        assert get(running, "uwsgi.set_user_harakiri(2**31)").status_code == 500
        running.wait_log("OverflowError: set_user_harakiri() takes at most 2147483647 seconds")

    def test_a_blocked_worker(self, server: StartServer, app: str) -> None:
        running = server(None, "--master", "--wsgi-file", app, expect_log=["Harakiri: the request has not let others run"])
        assert get(running, "uwsgi.set_user_harakiri(1), all(True for _ in iter(int, 1))").status_code == 500
        wait_until(lambda: ask(running, "7") == 7, 20, "an answer")


def test_a_thread_that_does_not_come_back_is_not_waited_for(server: StartServer, app: str) -> None:
    """Its request was ended; those that come behind it get another thread, and when it is free again it is one too many and ends."""
    running = server(None, "--master", "--threads", "2", "--wsgi-file", app, "--harakiri", "1", expect_log=[ENDED])
    threads = int(ask(running, "len(os.listdir('/proc/self/task'))"))
    for number in range(2):
        assert get(running, "blocking()").status_code == 500
        assert max(ask(running, "len(seen)") for _ in range(3)) <= number, "the thread had come back before"
    wait_until(lambda: ask(running, "len(seen)") == 2, 20, "both threads")
    wait_until(lambda: int(ask(running, "len(os.listdir('/proc/self/task'))")) == threads, 20, "the threads of before")


def test_a_thread_that_never_ends_costs_its_worker(server: StartServer, app: str) -> None:
    running = server(None, "--master", "--threads", "2", "--wsgi-file", app, "--harakiri", "1", expect_log=[ENDED])
    before = workers(running)
    assert get(running, "[time.sleep(0.1) for _ in iter(int, 1)]").status_code == 500
    running.wait_log("has a thread that does not end (--harakiri): it will be replaced", 20)
    other_workers(running, before, 1)
    assert ask(running, "6 * 7") == 42
