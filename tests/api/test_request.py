"""What is about one request and its connection."""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

import gevent
import gevent.socket
import pytest

from tests.server.serving import wait_for

from .conftest import Requests

CALLS = [
    "connection_fd()", "request_id()", "disconnect()", "suspend()", "ready_fd()", "async_sleep(1)", "wait_fd_read(0)", "chunked_read()",
    "chunked_read_nb()", "log_this_request()", "set_logvar('a', 'b')", "get_logvar('a')", "add_var('a', 'b')", "sendfile('x')",
    "offload('x')", "request_context()", "send(b'x')",
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_outside_a_request(requests: Requests, call: str) -> None:
    with pytest.raises(SystemError, match="you can call uwsgi api function only from the main callable"):
        eval(f"uwsgi.{call}", {"uwsgi": requests.uwsgi})


@pytest.mark.parametrize("call", [call for call in CALLS if call not in ("request_context()", "send(b'x')")])
def test_a_context_is_checked(requests: Requests, call: str) -> None:
    with_context = call.replace(")", ", request_context=7)").replace("(, ", "(")
    with pytest.raises(TypeError, match=r"request_context must come from uwsgi\.request_context\(\)"):
        eval(f"uwsgi.{with_context}", {"uwsgi": requests.uwsgi})


def test_a_spawned_greenlet_belongs_to_its_request(requests: Requests) -> None:
    uwsgi = requests.uwsgi
    assert requests.call(lambda environ: gevent.spawn(lambda: uwsgi.env).get() is environ)


def test_a_context_wins_over_the_greenlet(requests: Requests) -> None:
    uwsgi = requests.uwsgi
    contexts: list[Any] = []

    def first(environ: Any) -> Any:
        contexts.append(uwsgi.request_context())
        uwsgi.set_logvar("who", "first")
        wait_for(lambda: len(contexts) == 2)
        return uwsgi.get_logvar("who"), uwsgi.request_id()

    def second(environ: Any) -> Any:
        contexts.append(uwsgi.request_context())
        uwsgi.set_logvar("who", "second", request_context=contexts[0])
        return uwsgi.get_logvar("who"), uwsgi.request_id(), uwsgi.request_id(request_context=contexts[0])

    one = requests.begin(first)
    wait_for(lambda: contexts)
    assert requests.call(second) == (None, 1, 0)
    requests.clients[0].rest()
    assert one == [(b"second", 0)]


def test_env_is_the_environ_of_the_request_being_served(requests: Requests) -> None:
    uwsgi = requests.uwsgi
    assert requests.call(lambda environ: uwsgi.env is environ and hasattr(uwsgi, "env"))
    assert not hasattr(uwsgi, "env")
    with pytest.raises(AttributeError, match="module 'uwsgi' has no attribute 'env'"):
        _ = uwsgi.env


def test_after_the_request_its_connection_is_out_of_reach(requests: Requests) -> None:
    """A kept-alive connection may carry the next request by then."""
    uwsgi = requests.uwsgi
    context = requests.call(lambda environ: uwsgi.request_context())
    wait_for(lambda: context.finished)
    assert uwsgi.connection_fd(request_context=context) == -1
    assert uwsgi.disconnect(request_context=context) is None
    for call in (uwsgi.chunked_read, uwsgi.chunked_read_nb, lambda **options: uwsgi.sendfile(__file__, **options)):
        with pytest.raises(OSError):
            call(request_context=context)


def test_is_connected_sees_the_client_leave(requests: Requests) -> None:
    uwsgi = requests.uwsgi
    seen: list[bool] = []

    def watch(environ: Any) -> Any:
        fd = uwsgi.connection_fd()
        seen.append(uwsgi.is_connected(fd))
        wait_for(lambda: not uwsgi.is_connected(fd), "the client left")
        return uwsgi.is_connected(fd)

    result = requests.begin(watch)
    wait_for(lambda: seen)
    sock = requests.clients[-1].sock
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
    sock.close()
    wait_for(lambda: result)
    assert (seen, result) == ([True], [False])


def test_is_connected_takes_a_half_closed_client_for_connected(requests: Requests) -> None:
    uwsgi = requests.uwsgi
    closed: list[bool] = []

    def watch(environ: Any) -> Any:
        wait_for(lambda: closed)
        gevent.socket.wait_read(uwsgi.connection_fd(), 5)
        return uwsgi.is_connected(uwsgi.connection_fd())

    result = requests.begin(watch)
    requests.clients[-1].sock.shutdown(socket.SHUT_WR)
    closed.append(True)
    assert requests.clients[-1].rest().endswith(b"done")
    assert result == [True]


def test_disconnect(requests: Requests) -> None:
    uwsgi = requests.uwsgi

    def leave(environ: Any) -> Any:
        uwsgi.disconnect()
        return uwsgi.is_connected(uwsgi.connection_fd())

    assert requests.call(leave) is False
    assert requests.ask is not None
    assert requests.call(lambda environ: "the next one") == "the next one"


def test_add_var(requests: Requests) -> None:
    uwsgi = requests.uwsgi
    size = uwsgi.buffer_size
    assert requests.call(lambda environ: (uwsgi.add_var("KEY", "\u20ac"), environ["KEY"])) == (True, "\xe2\x82\xac")
    with pytest.raises(ValueError, match="unable to add request var, check your buffer size"):
        requests.call(lambda environ: uwsgi.add_var("KEY", "x" * size))
    with pytest.raises(TypeError):
        requests.call(lambda environ: uwsgi.add_var("KEY", 1))


@pytest.mark.parametrize("name", ["chunked_read", "chunked_read_nb"])
def test_chunks_of_a_body_that_has_none(requests: Requests, name: str) -> None:
    with pytest.raises(OSError, match="unable to receive chunked part"):
        requests.call(lambda environ: getattr(requests.uwsgi, name)())


def test_chunks(requests: Requests) -> None:
    """As the client cut them; one that is not there yet is waited for, or not."""
    uwsgi = requests.uwsgi
    seen: list[Any] = []

    def read(environ: Any) -> None:
        seen.append(uwsgi.chunked_read())
        seen.append(uwsgi.chunked_read_nb())
        with pytest.raises(OSError, match="unable to receive chunked part"):
            uwsgi.chunked_read(0.02)
        client.send(b"3\r\nt")
        gevent.sleep(0.01)
        seen.append(uwsgi.chunked_read_nb())
        client.send(b"wo\r\n0\r\n\r\n")
        seen.append(uwsgi.chunked_read(5))
        seen.append(uwsgi.chunked_read())
        seen.append(uwsgi.chunked_read_nb())

    requests.todo.append((read, []))
    client = requests.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
    assert client.answer().body == b"done"
    assert seen == [b"one", None, None, b"two", b"", b""]


def test_a_thread_of_a_request(requests: Requests) -> None:
    """A native thread has greenlets of its own, and so no request, unless it is given one."""
    uwsgi = requests.uwsgi

    def ask(environ: Any) -> Any:
        context, found = uwsgi.request_context(), []

        def work() -> None:
            try:
                uwsgi.request_id()
            except SystemError:
                found.append("none")
            found.append(uwsgi.request_id(request_context=context))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return found

    assert requests.call(ask) == ["none", 0]


def test_counting(requests: Requests) -> None:
    uwsgi = requests.uwsgi
    counts = [requests.call(lambda environ: (uwsgi.request_id(), uwsgi.total_requests(), uwsgi.workers()[0]["requests"])) for _ in range(3)]
    assert counts == [(number, number, number) for number in range(3)]


def test_raw_bytes_instead_of_a_response(requests: Requests) -> None:
    uwsgi = requests.uwsgi

    def application(environ: Any, start_response: Any) -> Any:
        assert uwsgi.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n") is True
        assert uwsgi.send(uwsgi.connection_fd(), b"hi") is True
        return []

    requests.server.application = application
    client = requests.connect()
    assert client.ask().body == b"hi"
    assert client.closed()


def test_raw_bytes_from_the_client(requests: Requests) -> None:
    """First what came with the request, then what comes later, then the end."""
    uwsgi = requests.uwsgi
    seen: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        fd = uwsgi.connection_fd()
        seen.extend([uwsgi.recv(fd, 3), uwsgi.recv(fd)])
        uwsgi.send(b"more?")
        seen.extend([uwsgi.recv(fd), uwsgi.recv(fd)])
        return []

    requests.server.application = application
    client = requests.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\nabcdef")
    client.until(b"more?")
    client.send(b"later")
    client.sock.shutdown(socket.SHUT_WR)
    assert client.closed()
    assert seen == [b"abc", b"def", b"later", None]


def test_close_of_the_connection_is_a_disconnect(requests: Requests) -> None:
    uwsgi = requests.uwsgi
    context: list[Any] = []

    def leave(environ: Any) -> Any:
        context.append(uwsgi.request_context())
        fd = uwsgi.connection_fd()
        return uwsgi.close(fd), os.fstat(fd) is not None, uwsgi.is_connected(fd)

    assert requests.call(leave) == (None, True, False)
