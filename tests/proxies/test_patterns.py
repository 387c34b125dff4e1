"""The ways in which people write applications for uWSGI, behind nginx's uwsgi_pass: every call means the same there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import requests

from tests.harness.clients import client_factory
from tests.harness.nginx import UWSGI_PASS, Nginx
from tests.harness.patterns import PATTERNS, Pattern
from tests.harness.redis import RedisServer

SOCKET = ("--socket", "127.0.0.1:0")

InFront = Callable[..., int]


@pytest.fixture
def in_front(tmp_path: Path) -> Iterator[InFront]:
    """Put an nginx in front of an address; its port."""
    started: list[Nginx] = []

    def start(address: str) -> int:
        started.append(Nginx(tmp_path, {"only": UWSGI_PASS.format(address=address)}))
        return started[-1].ports["only"]

    yield start
    for nginx in started:
        nginx.kill()


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
def test_conversation(pattern: Pattern, server: Callable[..., Any], in_front: InFront, redis_server: RedisServer) -> None:
    running = server(pattern.app, *SOCKET, *pattern.arguments, env={"REDIS_URL": redis_server.url}, lasting=pattern.lasting)
    with client_factory("websockets", f"ws://127.0.0.1:{in_front(running.address)}") as connect:
        assert pattern.talk(connect) == pattern.expected


@pytest.mark.parametrize(
    "model", [["--threads", "4"], ["--async", "10"], ["--asyncio", "10"], ["--sync"], ["-p", "2", "--master"]], ids=str
)
def test_models(model: list[str], server: Callable[..., Any], in_front: InFront) -> None:
    url = f"http://127.0.0.1:{in_front(server('models.py', *SOCKET, *model).address)}"
    body = b"0123456789" * 30000
    assert requests.post(url + "/body", body, timeout=10).content == body
    assert len(requests.get(url + "/stream", timeout=10).text.splitlines()) == 3
    if model != ["--sync"]:
        with client_factory("websockets", url.replace("http", "ws")) as connect:
            client = connect("/echo")
            client.text("hello")
            assert client.receive()[1] in ("hello", b"hello")


def test_static_files(server: Callable[..., Any], in_front: InFront, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"x" * 300000)
    running = server("models.py", *SOCKET, "--static-map", f"/s={folder}")
    url = f"http://127.0.0.1:{in_front(running.address)}/s/a.txt"
    answer = requests.get(url, timeout=10)
    assert (answer.status_code, len(answer.content), answer.headers["Content-Type"]) == (200, 300000, "text/plain")
    assert requests.get(url, headers={"If-Modified-Since": answer.headers["Last-Modified"]}, timeout=10).status_code == 304
    part = requests.get(url, headers={"Range": "bytes=10-19"}, timeout=10)
    assert (part.status_code, part.content) == (206, b"x" * 10)
    assert requests.get(url.replace("a.txt", "b.txt"), timeout=10).status_code == 200  # the application's
