"""Sockets for front servers: what they are called, who may connect, and that a reload loses no request."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable

import pytest
import requests

from geuwsgi.protocol.uwsgi import packet
from tests.harness.clients import client_factory
from tests.harness.haproxy import HAProxy
from tests.harness.nginx import PROXY_PASS, UWSGI_PASS, Nginx
from tests.harness.wait import wait_until
from tests.process.probing import PROBE
from tests.protocol.packets import encode_vars

REQUEST = packet(
    0, encode_vars({"REQUEST_METHOD": "GET", "REQUEST_URI": "/", "PATH_INFO": "/", "QUERY_STRING": "2", "SERVER_PROTOCOL": "HTTP/1.1"})
)

Start = Callable[..., Any]


@pytest.fixture
def app(tmp_path: Path) -> list[str]:
    path = tmp_path / "app.py"
    path.write_text(PROBE)
    return ["--wsgi-file", str(path)]


def ask(address: Any) -> bytes:
    """The body of the answer to a packet."""
    family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    with socket.socket(family) as sock:
        sock.settimeout(10)
        sock.connect(address)
        sock.sendall(REQUEST)
        answer = b""
        while data := sock.recv(65536):
            answer += data
    return answer.partition(b"\r\n\r\n")[2]


def test_tcp(server: Start, app: list[str]) -> None:
    running = server(None, "-s", "127.0.0.1:0", *app)
    assert ask(("127.0.0.1", running.port)) == b"2"
    assert f"serving uwsgi://{running.address}" in running.log


def test_a_unix_socket(server: Start, app: list[str], tmp_path: Path) -> None:
    path = tmp_path / "s"
    server(None, "-s", str(path), "--chmod-socket=620", "--vacuum", *app)
    assert ask(str(path)) == b"2"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o620


def test_an_abstract_socket(server: Start, app: list[str], tmp_path: Path) -> None:
    server(None, "-s", str(tmp_path / "s"), "--abstract-socket", *app)
    assert ask("\0" + str(tmp_path / "s")) == b"2"
    assert not (tmp_path / "s").exists()


def test_http_by_protocol(server: Start, app: list[str]) -> None:
    running = server(None, "--socket", "127.0.0.1:0", "--protocol", "http", *app)
    assert requests.get(running.url, params="2", timeout=10).content == b"2"


def test_a_shared_socket(server: Start, app: list[str], tmp_path: Path) -> None:
    path = tmp_path / "s"
    running = server(None, "--shared-socket", "127.0.0.1:0", "--shared-socket", str(path), "--http-socket", "=0", "--socket", "=1", *app)
    assert requests.get(f"http://{running.addresses[0]}", params="2", timeout=10).content == b"2"
    assert ask(str(path)) == b"2"


def test_all_workers_with_sockets_of_their_own(server: Start, app: list[str]) -> None:
    running = server(None, "-s", "127.0.0.1:0", "--reuse-port", "-p", "2", *app)
    for _ in range(20):
        assert ask(("127.0.0.1", running.port)) == b"2"


def test_http_on_a_unix_socket_behind_nginx(server: Start, tmp_path: Path) -> None:
    """Who connects to a unix socket is believed."""
    path = tmp_path / "s"
    server("proxies.py", "--http-socket", str(path))
    folder = tmp_path / "nginx"
    folder.mkdir()
    nginx = Nginx(folder, {"only": PROXY_PASS.format(address=f"unix:{path}")})
    try:
        found = requests.get(f"http://127.0.0.1:{nginx.ports['only']}/", headers={"X-Forwarded-For": "6.6.6.6"}, timeout=10).json()
        assert (found["REMOTE_ADDR"], found["HTTP_X_FORWARDED_FOR"]) == ("6.6.6.6", "6.6.6.6, 127.0.0.1")
        with client_factory("websockets", f"ws://127.0.0.1:{nginx.ports['only']}") as connect:
            client = connect("/ws")
            client.text("hello")
            assert client.receive() == ("text", "hello")
    finally:
        nginx.kill()


#: nginx keeps connections to the server open, on which a worker that retires answers to the end.
KEEPING = """
    upstream app { server %s; keepalive 4; }
    server {
        listen 80;
        location / {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
"""


def test_reloads_behind_nginx_and_haproxy(server: Start, app: list[str], tmp_path: Path) -> None:
    """No request is lost over any kind of socket, and a websocket is told to come back."""
    binding = ("--http-socket", "127.0.0.1:0", "--socket", str(tmp_path / "s"), "--socket", "127.0.0.1:0")
    running = server(None, "--master", "-p", "2", *binding, *app)
    plain, unix, tcp = running.addresses
    answers: list[Any] = []
    over = threading.Event()

    def load(port: int) -> None:
        with requests.Session() as session:
            while not over.is_set():
                try:
                    answers.append(session.get(f"http://127.0.0.1:{port}", params="uwsgi.is_a_reload", timeout=10).text)
                except requests.RequestException as error:
                    answers.append(repr(error))

    with ExitStack() as stack:

        def start(kind: Callable[..., Any], name: str, *arguments: Any, **options: Any) -> dict[str, int]:
            folder = tmp_path / name
            folder.mkdir()
            program = kind(folder, *arguments, **options)
            stack.callback(program.kill)
            return dict(program.ports)

        uwsgi = start(Nginx, "uwsgi", {"unix": UWSGI_PASS.format(address="unix:" + unix), "tcp": UWSGI_PASS.format(address=tcp)})
        keeping = start(Nginx, "keeping", {}, whole=KEEPING % plain)
        haproxy = start(HAProxy, "haproxy", {"haproxy": (plain, "", "")})
        client = stack.enter_context(client_factory("websockets", f"ws://127.0.0.1:{uwsgi['unix']}"))()
        threads = [threading.Thread(target=load, args=(port,)) for port in {**uwsgi, **keeping, **haproxy}.values()]
        stack.callback(lambda: [thread.join(10) for thread in threads])
        stack.callback(over.set)
        for thread in threads:
            thread.start()
        for count in (2, 3):
            wait_until(lambda: len(answers) > 40, 20, "answers")
            running.signal(signal.SIGHUP)
            wait_until(lambda count=count: running.log.count(" serving ") == count, 20, "the next workers")
        assert client.receive()[:2] == ("close", 1012)
        wait_until(lambda: answers[-20:] == ["True"] * 20, 20, "answers of the new workers only")
    assert set(answers) == {"True", "False"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fastcgi-socket", ":9000"], "command line: --fastcgi-socket = :9000: geuwsgi does not speak FastCGI"),
        (["--socket", ":0", "--protocol", "scgi"], "command line: --protocol = scgi: only uwsgi and http are spoken"),
        (["--socket", ":0", "--forwarded-allow-ips", "front"], "command line: --forwarded-allow-ips = front: 'front' is no IP address"),
        (["--socket", "=0"], "command line: --socket = =0: there is no shared-socket with the number '0'"),
    ],
)
def test_starts_that_fail(run_geuwsgi: Callable[..., Any], app: list[str], arguments: list[str], message: str) -> None:
    ended = run_geuwsgi(*arguments, *app)
    assert ended.returncode == 1
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
