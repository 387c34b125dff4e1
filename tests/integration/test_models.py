"""Every concurrency model of uWSGI: echo, chat, and slow requests among quick ones, on real processes."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import pytest
import requests

from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

StartServer = Callable[..., Geuwsgi]
Connect = Callable[..., Any]

#: Options -> (cores, loop, whether the application runs in threads, requests that it can serve at once).
MODELS = {
    "": (20000, "gevent", False, 8),
    "--gevent 20": (20, "gevent", False, 8),
    "--gevent 20 --processes 2": (20, "gevent", False, 8),
    "--processes 2": (20000, "gevent", False, 8),
    "--threads 8": (8, None, True, 8),
    "--threads 8 --enable-threads --processes 2": (8, None, True, 8),
    "--threads 8 --gevent-monkey-patch": (8, None, True, 8),
    "--async 20": (20, None, False, 8),
    "--async 20 --greenlet": (20, None, False, 8),
    "--async 20 --ugreen": (20, None, False, 8),
    "--asyncio 20 --greenlet": (20, "asyncio", False, 8),
    "--sync": (1, None, False, 1),
    "--sync --processes 2": (1, None, False, 2),
}

models = pytest.mark.parametrize("options", MODELS)


@models
def test_facts(options: str, server: StartServer) -> None:
    cores, loop, native, _ = MODELS[options]
    facts = json.loads(requests.get(server("models.py", *options.split()).url + "/", timeout=10).text)
    assert (facts["cores"], facts["loop"], facts["native"], facts["multithread"]) == (cores, loop, native, native)
    assert facts["multiprocess"] is ("--processes" in options)
    assert 0 <= facts["core"] < cores


@models
def test_echo(options: str, server: StartServer, ws: Connect) -> None:
    client = ws(server("models.py", *options.split()).ws_url + "/echo")
    for size in (0, 1, 125, 126, 70000):
        client.send("x" * size)
        assert client.recv() == "x" * size
    client.close()


@pytest.mark.parametrize("options", [options for options in MODELS if "--processes" not in options and MODELS[options][3] > 1])
def test_chat(options: str, server: StartServer, ws: Connect) -> None:
    running = server("models.py", *options.split())
    people = [ws(running.ws_url + "/chat") for _ in range(3)]
    assert [person.recv() for person in people] == ["joined"] * 3
    for number, speaker in enumerate(people * 3):
        speaker.send(f"message {number}")
        assert [person.recv() for person in people] == [f"message {number}"] * 3
    people.pop().close()
    people[0].send("two of us")
    assert [person.recv() for person in people] == ["two of us"] * 2


@models
def test_mix(options: str, server: StartServer) -> None:
    """Slow requests among quick ones: all are answered, as many at once as the model says."""
    at_once = MODELS[options][3]
    # A patched sleep makes an event loop in each thread.
    running = server("models.py", *options.split(), lasting=24 if "monkey" in options else 0)
    paths = ["/together" if at_once >= 4 else "/slow"] * 4 + ["/body", "/stream", "/"]
    start = time.monotonic()
    with ThreadPoolExecutor(len(paths)) as pool:
        answers = list(pool.map(lambda path: requests.post(running.url + path, data=b"y" * 200_000, timeout=20), paths))
    took = time.monotonic() - start
    assert [answer.status_code for answer in answers] == [200] * len(paths)
    assert [answer.text for answer in answers[:4]] == ["slow"] * 4
    assert answers[4].text == "y" * 200_000
    assert answers[5].text == "0 True\n1 True\n2 True\n"
    if at_once == 1:
        assert took >= 2.0


@pytest.mark.parametrize("model", ["--sync", "--gevent 1", "--threads 1"])
def test_a_worker_that_is_full_leaves_connections_to_the_others(model: str, server: StartServer, ws: Connect) -> None:
    running = server("models.py", "--processes", "3", *model.split())
    open_until_the_end = [ws(running.ws_url + "/echo") for _ in range(2)]
    for number in range(20):
        assert requests.get(running.url + "/", timeout=20).status_code == 200, number
    open_until_the_end.append(ws(running.ws_url + "/echo"))
    # Nobody is free: it waits until somebody is.
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(requests.get, running.url + "/", timeout=10)
        for client in open_until_the_end:
            client.send("x")
            assert client.recv() == "x"
        assert not waiting.done()
        open_until_the_end.pop().close()
        assert waiting.result().status_code == 200


def test_sync_keeps_no_connection_unless_asked_to(server: StartServer) -> None:
    for options, kept in ((), False), (("--http-keepalive=5",), True):
        answer = requests.get(server("models.py", "--sync", *options).url + "/", timeout=5)
        assert (answer.headers.get("Connection") != "close") is kept


@pytest.mark.parametrize("options", ["--threads 4", "--threads 4 --gevent-monkey-patch"])
def test_what_blocks_stalls_its_thread_only(options: str, server: StartServer, ws: Connect) -> None:
    running = server("models.py", *options.split())
    client = ws(running.ws_url + "/echo")
    client.send("before")
    assert client.recv() == "before"
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(requests.get, running.url + "/blocked", timeout=20)
        wait_until((running.log_path.parent / "blocked").exists, what="the slow request")
        for _ in range(20):
            client.send("x")
            assert client.recv() == "x"
        assert not slow.done()
        (running.log_path.parent / "go").touch()
    assert slow.result().text == "slow"


def test_calls_from_threads_of_the_application(server: StartServer) -> None:
    assert requests.get(server("models.py", "--threads", "2").url + "/thread", timeout=10).text == "yes"


def test_a_thread_of_the_application_reads_while_the_request_s_own_answers(server: StartServer) -> None:
    running = server("models.py", "--threads", "1")
    with socket.create_connection(("127.0.0.1", running.port), 20) as client, client.makefile("rb") as answers:
        client.sendall(b"POST /duplex HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
        for line in (b"one\n", b"two\n", b"three\n"):
            client.sendall(b"%x\r\n%b\r\n" % (len(line), line))
            assert line in iter(answers.readline, b"")
        client.sendall(b"0\r\n\r\n")
        assert b"0\r\n" in iter(answers.readline, b"")
    assert requests.get(running.url + "/", timeout=20).status_code == 200


def test_end_with_threads(server: StartServer, ws: Connect) -> None:
    """Those that wait for a websocket, and one that computes: the end waits for none of them."""
    running = server("models.py", "--threads", "4")
    clients = [ws(running.ws_url + "/echo") for _ in range(2)]
    for client in clients:
        client.send("x")
        client.recv()
    status, took = running.interrupt()
    assert (status, took < 10) == (0, True)


def test_an_exception_leaves_the_thread_usable(server: StartServer) -> None:
    running = server("models.py", "--threads", "1")
    assert requests.get(running.url + "/chat", timeout=10).status_code == 426
    assert requests.get(running.url + "/slow", timeout=10).text == "slow"


def test_asyncio_and_greenlets(server: StartServer, ws: Connect) -> None:
    running = server("asyncio_greenlet.py", "--asyncio", "20", "--greenlet")
    assert requests.get(running.url + "/", timeout=10).text == "b'asyncio'"
    assert requests.get(running.url + "/future", timeout=10).text == "computed"
    assert requests.get(running.url + "/stream", timeout=10).text == "0\n1\n2\n"
    people = [ws(running.ws_url + "/chat") for _ in range(3)]
    assert [person.recv() for person in people] == ["joined"] * 3
    for number, speaker in enumerate(people * 2):
        speaker.send(f"message {number}")
        assert [person.recv() for person in people] == [f"message {number}"] * 3
    people.pop().close()
    people[0].send("two of us")
    assert [person.recv() for person in people] == ["two of us"] * 2


@pytest.mark.parametrize("path", ["/exit", "/stop"])
def test_the_asyncio_loop_of_all_requests_goes_on(path: str, server: StartServer) -> None:
    said = ["a callback of the asyncio loop tried to end the process, still serving", "Traceback", "SystemExit: 3"]
    running = server("asyncio_greenlet.py", "--asyncio", "20", "--greenlet", expect_log=said if path == "/exit" else [])
    for _ in range(2):
        assert requests.get(running.url + path, timeout=10).status_code == 200
        assert requests.get(running.url + "/future", timeout=10).text == "computed"


@pytest.mark.parametrize("options", ["--threads 2 --gevent 5", "--sync --threads 2", "--sync --gevent 5", "--threads 2 --asyncio 5"])
def test_models_that_exclude_each_other(options: str, run_geuwsgi: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run_geuwsgi("--http-socket", "127.0.0.1:0", "--module", "nothing", *options.split())
    assert done.returncode == 1
    assert "leave one of" in done.stderr
    assert "Traceback" not in done.stderr


def test_pypy_options(server: StartServer, ws: Connect) -> None:
    """uWSGI's command line for PyPy, whatever interpreter this is."""
    app = Path(__file__).parents[1] / "apps" / "models.py"
    code = "uwsgi_pypy_setup_continulets()"
    options = ["--pypy-home", sys.prefix, "--pypy-wsgi-file", str(app), "--pypy-eval", code, "--async", "20"]
    running = server(None, *options)
    people = [ws(running.ws_url + "/chat") for _ in range(2)]
    assert [person.recv() for person in people] == ["joined"] * 2
    people[0].send("hello")
    assert [person.recv() for person in people] == ["hello"] * 2
