"""The configurations in docs/proxies.rst, as they stand there but for the ports."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import requests
import websockets.sync.client

from tests.harness.haproxy import HAProxy
from tests.harness.nginx import UWSGI_PARAMS, Nginx
from tests.harness.ports import accepts, free_ports
from tests.harness.process import Program
from tests.harness.programs import APPS, ROOT, find_uwsgi
from tests.harness.wait import wait_until

DOCUMENT = (ROOT / "docs" / "proxies.rst").read_text("utf-8")
BLOCKS = [textwrap.dedent(block) for block in re.findall(r"::\n\n((?:    .*\n|\n)+)", DOCUMENT)]


def block(start: str) -> str:
    """The literal block that begins with a line."""
    (found,) = [one for one in BLOCKS if one.startswith(start + "\n")]
    return found


def command(after: str) -> list[str]:
    """The arguments of the first geuwsgi that is started behind a text."""
    found = re.search(r"^    geuwsgi (.*)$", DOCUMENT[DOCUMENT.index(after) :], re.MULTILINE)
    assert found
    return shlex.split(found[1])


@pytest.fixture
def documented(server: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Start a geuwsgi by a command of the document on a free port, and what stands in front of it; returns the front server."""
    started: list[Any] = []

    def start(after: str, front: Callable[[str], Any]) -> Any:
        arguments = [str(APPS / "proxies.py") if word == "myapp.py" else re.sub(r":\d+$", ":0", word) for word in command(after)]
        started.append(front(server(None, *arguments).address))
        return started[-1]

    yield start
    for program in started:
        program.kill()


def check(port: int) -> None:
    """Requests and websockets; the client, who is elsewhere, cannot say who he is."""
    url = f"http://127.0.0.1:{port}"
    session = requests.Session()
    session.mount("http://", Elsewhere())
    found = session.get(url, headers={"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https"}, timeout=10).json()
    assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"]) == ("127.0.0.9", "http")
    body = b"x" * 300000
    assert session.post(url + "/upload", body, timeout=10).text.split()[0] == "300000"
    session.close()
    with websockets.sync.client.connect(url.replace("http", "ws") + "/ws", compression=None) as client:
        client.send("hello")
        assert client.recv(10) == "hello"


class Elsewhere(requests.adapters.HTTPAdapter):
    """Connects from another address."""

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, source_address=("127.0.0.9", 0), **named)


@pytest.mark.parametrize("way", ["uwsgi_pass", "proxy_pass"])
def test_nginx(way: str, documented: Callable[..., Any], tmp_path: Path) -> None:
    text = block("# nginx: " + way).replace("/etc/nginx/uwsgi_params", UWSGI_PARAMS)
    text = text.replace("client_max_body_size 1m;", "")

    def front(address: str) -> Nginx:
        return Nginx(tmp_path, {}, whole=re.sub(r"127\.0\.0\.1:\d+;", address + ";", text))

    check(documented("# nginx: " + way, front).ports["whole"])


@pytest.mark.parametrize("way", ["HTTP", "the PROXY protocol"])
def test_haproxy(way: str, documented: Callable[..., Any], tmp_path: Path) -> None:
    def front(address: str) -> HAProxy:
        return HAProxy(tmp_path, {}, whole=re.sub(r"127\.0\.0\.1:\d+", address, block("# HAProxy: " + way)))

    check(documented("# HAProxy: " + way, front).ports["whole"])


def test_uwsgi(documented: Callable[..., Any], tmp_path: Path) -> None:
    found = re.search(r"^    uwsgi (.*)$", DOCUMENT, re.MULTILINE)
    assert found
    (port,) = free_ports(1)

    def front(address: str) -> Program:
        arguments = shlex.split(re.sub(r"127\.0\.0\.1:\d+", address, found[1]).replace(":80", f"127.0.0.1:{port}", 1))
        program = Program([find_uwsgi(), *arguments], tmp_path / "router.log", tmp_path)
        wait_until(lambda: accepts(port), 20, "uWSGI's router")
        return program

    documented("uwsgi --master --http :80", front)
    check(port)
