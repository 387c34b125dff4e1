"""The concurrency models under the real uWSGI and under geuwsgi: what the application is told, and an echo."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

import pytest
import requests
import websocket

from tests.harness.servers import Server

pytestmark = pytest.mark.differential


def facts(server: Server) -> Any:
    with ThreadPoolExecutor(4) as pool:
        assert [answer.status_code for answer in pool.map(lambda _: requests.get(server.url + "/slow", timeout=20), range(4))] == [200] * 4
    return requests.get(server.url + "/", timeout=10).json()


def echo(server: Server) -> list[int]:
    client = websocket.create_connection(server.ws_url, timeout=10)
    lengths = []
    for size in (0, 1, 125, 126, 70000):
        client.send("x" * size)
        lengths.append(len(client.recv()))
    client.close()
    return lengths


@pytest.mark.parametrize(
    ("options", "debian"),
    [
        ("--threads 4", []),
        ("--gevent 20 --gevent-monkey-patch", []),
        ("--async 20 --greenlet", ["greenlet_python3"]),
        ("--asyncio 20 --greenlet", ["greenlet_python3", "asyncio_python3"]),
    ],
    ids=["threads", "gevent", "async", "asyncio"],
)
def test_facts_and_echo(options: str, debian: list[str], shared_server: Callable[..., Server], uwsgi_server: Callable[..., Server]) -> None:
    plugins = [word for plugin in debian[1:] for word in ("--plugin", plugin)]
    theirs = uwsgi_server("model_facts.py", *plugins, *options.split(), debian=bool(debian))
    ours = shared_server("model_facts.py", *options.split())
    assert echo(ours) == echo(theirs) == [0, 1, 125, 126, 70000]
    ours_told, theirs_told = facts(ours), facts(theirs)
    if debian:
        # A known difference: time.sleep is always patched here, so that it lets others run; in uWSGI only with --gevent-monkey-patch.
        assert (ours_told.pop("most"), theirs_told.pop("most")) == (4, 1)
    assert ours_told == theirs_told
