"""uWSGI's native asynchronous API, in real requests."""

from __future__ import annotations

import os
import time
from typing import Any

import gevent
import gevent.socket
import pytest

from .conftest import Requests


@pytest.fixture
def pair() -> Any:
    a, b = gevent.socket.socketpair()
    with a, b:
        yield a, b


def test_a_readable_descriptor_ends_the_suspend(requests: Requests, pair: Any) -> None:
    a, b = pair
    uwsgi = requests.uwsgi

    def wait(environ: Any) -> Any:
        registered = uwsgi.wait_fd_read(a.fileno(), 5)
        gevent.spawn(b.send, b"x")
        return registered, uwsgi.suspend(), uwsgi.ready_fd(), environ["uwsgi.ready_fd"], environ["x-wsgiorg.fdevent.timeout"]

    assert requests.call(wait) == (b"", True, a.fileno(), a.fileno(), None)


def test_a_writable_descriptor_ends_the_suspend(requests: Requests, pair: Any) -> None:
    a, b = pair
    uwsgi = requests.uwsgi
    a.setblocking(False)
    try:
        while True:
            a.send(b"x" * 65536)
    except BlockingIOError:
        pass

    def wait(environ: Any) -> Any:
        uwsgi.wait_fd_write(a.fileno(), 5)
        reader = gevent.spawn(lambda: [b.recv(65536) for _ in range(50)])
        uwsgi.suspend()
        ready = uwsgi.ready_fd()
        reader.kill()
        return ready

    assert requests.call(wait) == a.fileno()


@pytest.mark.parametrize("name", ["suspend", "green_schedule"])
def test_the_shortest_time_out_counts(requests: Requests, pair: Any, name: str) -> None:
    a, b = pair
    uwsgi = requests.uwsgi

    def wait(environ: Any) -> Any:
        uwsgi.wait_fd_read(a.fileno(), 30)
        uwsgi.wait_fd_read(b.fileno(), 0.05)
        uwsgi.async_sleep(20)
        start = time.monotonic()
        getattr(uwsgi, name)()
        took = time.monotonic() - start
        return took, uwsgi.ready_fd(), environ["uwsgi.ready_fd"], environ["x-wsgiorg.fdevent.timeout"]

    took, *told = requests.call(wait)
    assert 0.04 < took < 19
    assert told == [-1, None, True]


def test_a_suspend_forgets_what_was_registered(requests: Requests, pair: Any) -> None:
    a, b = pair
    uwsgi = requests.uwsgi
    b.send(b"x")

    def wait(environ: Any) -> Any:
        uwsgi.wait_fd_read(a.fileno())
        uwsgi.suspend()
        first = uwsgi.ready_fd()
        uwsgi.async_sleep(0.01)
        uwsgi.suspend()
        return first, uwsgi.ready_fd()

    assert requests.call(wait) == (a.fileno(), -1)


def test_a_suspend_without_registrations_lets_the_others_run(requests: Requests) -> None:
    uwsgi = requests.uwsgi
    seen: list[str] = []

    def wait(environ: Any) -> Any:
        gevent.spawn(seen.append, "other")
        uwsgi.suspend()
        return list(seen)

    assert requests.call(wait) == ["other"]


def test_many_requests_wait_for_one_descriptor(requests: Requests, pair: Any) -> None:
    a, b = pair
    uwsgi = requests.uwsgi
    waiting: list[int] = []

    def wait(environ: Any) -> Any:
        uwsgi.wait_fd_read(a.fileno(), 60)
        waiting.append(1)
        uwsgi.suspend()
        return uwsgi.ready_fd()

    results = [requests.begin(wait) for _ in range(5)]
    while len(waiting) < 5:
        gevent.sleep(0.001)
    b.send(b"x")
    for client in requests.clients:
        client.rest()
    assert results == [[a.fileno()]] * 5


def test_two_greenlets_of_a_request_wait_each_for_their_own(requests: Requests) -> None:
    uwsgi = requests.uwsgi

    def one() -> Any:
        a, b = gevent.socket.socketpair()
        with a, b:
            uwsgi.wait_fd_read(a.fileno(), 5)
            gevent.spawn_later(0.01, b.send, b"x")
            uwsgi.suspend()
            return uwsgi.ready_fd() == a.fileno()

    assert requests.call(lambda environ: [job.get() for job in [gevent.spawn(one) for _ in range(10)]]) == [True] * 10


def test_a_closed_descriptor_is_refused(requests: Requests) -> None:
    uwsgi = requests.uwsgi
    number = 9999
    for name in ("wait_fd_read", "wait_fd_write"):
        with pytest.raises(OSError, match=f"unable to fd {number} to the event queue"):
            requests.call(lambda environ, name=name: getattr(uwsgi, name)(number))
    with pytest.raises(OSError, match="unable to fd -1 to the event queue"):
        requests.call(lambda environ: uwsgi.wait_fd_read(-1, 3))


@pytest.mark.parametrize("how", ["socket", "uwsgi", "os"])
def test_a_descriptor_closed_meanwhile_ends_the_suspend(requests: Requests, how: str) -> None:
    uwsgi = requests.uwsgi
    a, b = gevent.socket.socketpair()
    closers = {"socket": a.close, "uwsgi": lambda: uwsgi.close(a.detach()), "os": lambda: gevent.os.close(a.detach())}
    if how == "os" and not hasattr(gevent.os, "close"):
        pytest.skip("this gevent does not look after os.close")

    def wait(environ: Any) -> Any:
        uwsgi.wait_fd_read(a.fileno(), 20)
        gevent.spawn(closers[how])
        start = time.monotonic()
        uwsgi.suspend()
        return time.monotonic() - start

    assert requests.call(wait) < 5
    b.close()


def test_a_pipe_and_a_file_can_be_waited_for(requests: Requests) -> None:
    uwsgi = requests.uwsgi
    read, write = os.pipe()
    try:
        os.write(write, b"x")

        def wait(fd: int) -> Any:
            uwsgi.wait_fd_read(fd, 5)
            uwsgi.suspend()
            return uwsgi.ready_fd()

        assert requests.call(lambda environ: wait(read)) == read
        with open(__file__, "rb") as file:
            assert requests.call(lambda environ: wait(file.fileno())) == file.fileno()
    finally:
        os.close(read)
        os.close(write)


def test_a_killed_suspend_leaves_nothing(no_leaks: None, requests: Requests, pair: Any) -> None:
    a, b = pair
    uwsgi = requests.uwsgi

    def wait(environ: Any) -> Any:
        uwsgi.wait_fd_read(a.fileno())
        job = gevent.spawn(uwsgi.suspend)
        gevent.sleep(0)
        job.kill()
        b.send(b"x")
        gevent.sleep(0.01)
        return job.dead

    assert requests.call(wait) is True


def test_an_empty_chunk_suspends(requests: Requests, pair: Any) -> None:
    a, b = pair
    uwsgi = requests.uwsgi
    seen: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield environ["x-wsgiorg.fdevent.readable"](a.fileno(), 5.0)
        seen.append(uwsgi.ready_fd())
        yield environ["x-wsgiorg.fdevent.readable"](b.fileno(), 0.02)
        seen.append(environ["x-wsgiorg.fdevent.timeout"])
        yield environ["x-wsgiorg.fdevent.writable"](b.fileno(), None)
        seen.append(environ["x-wsgiorg.fdevent.timeout"])
        yield b"body"

    requests.server.application = application
    gevent.spawn_later(0.02, b.send, b"x")
    assert requests.ask().body == b"body"
    assert seen == [a.fileno(), True, None]


@pytest.mark.parametrize(
    "call", [("wait_fd_read", "x"), ("wait_fd_read", 0, "x"), ("wait_fd_read", 1.5), ("async_sleep", "x"), ("wait_fd_read",)]
)
def test_wrong_arguments(requests: Requests, call: Any) -> None:
    with pytest.raises(TypeError):
        requests.call(lambda environ: getattr(requests.uwsgi, call[0])(*call[1:]))
