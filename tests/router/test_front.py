"""The options of the front, with real processes on both sides."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from typing import Any, Callable

import pytest
import requests

from geuwsgi.config.config import load
from geuwsgi.process import front as process
from tests.harness.backends import Backend
from tests.harness.certificates import certificates
from tests.harness.clients import client_factory
from tests.harness.patterns import ECHO, echo
from tests.harness.router import UWSGIRouter
from tests.harness.wait import wait_until

APP = "router_backend.py"


def asked(address: str) -> dict[str, Any]:
    """What `--http-stats` tells."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), 5) as sock:
        data = b""
        while part := sock.recv(65536):
            data += part
    return json.loads(data)  # type: ignore[no-any-return]


def test_with_and_without_an_application(server: Callable[..., Any]) -> None:
    backend = server(APP, "--socket", "127.0.0.1:0")
    front = server("hello_bottle.py", "--http", "127.0.0.1:0", "--http-to", backend.address, "--http-socket", "127.0.0.1:0")
    forwarding, serving = front.addresses
    assert requests.get(f"http://{forwarding}/x", timeout=20).text == "python /x"
    assert "python" not in requests.get(f"http://{serving}/", timeout=20).text


def test_its_own_socket(server: Callable[..., Any], tmp_path: Path) -> None:
    """As many configurations have it: http in front of the same server's socket."""
    path = str(tmp_path / "app.sock")
    front = server(APP, "--http", "127.0.0.1:0", "--socket", path, "--http-to", path)
    assert requests.get(front.url + "/x", timeout=20).text == "python /x"


def test_stats_of_all_workers(server: Callable[..., Any]) -> None:
    backend = server(APP, "--http-socket", "127.0.0.1:0")
    front = server(
        None, *("--http", "127.0.0.1:0", "--http-stats-server", "127.0.0.1:0", "--master", "--processes", "2"),
        *("--http-to", "http://" + backend.address, "--http-backend-http", "--http-fallback", "127.0.0.1:1"),
    )  # fmt: skip
    address, stats = front.addresses
    for _ in range(6):
        assert requests.get(f"http://{address}/x", timeout=20).status_code == 200
    # A response is heard before the worker has gone on to count.
    wait_until(lambda: asked(stats)["static_nodes"][0]["active"] == 0, 20, "the end of the requests")
    told = asked(stats)
    assert told["http"] == [address]
    assert told["version"] == "2.0.31"
    assert told["static_nodes"] == [
        {"name": "http://" + backend.address, "hits": 6, "grace": 0, "failures": 0, "active": 0},
        {"name": "127.0.0.1:1", "hits": 0, "grace": 0, "failures": 0, "active": 0},
    ]


def test_backend_dies_and_comes_back(real_backend: Any, server: Callable[..., Any], tmp_path: Path) -> None:
    lasting = real_backend("python")
    mortal = Backend(tmp_path, "python")
    front = server(
        None, *("--http", "127.0.0.1:0", "--http-stats", "127.0.0.1:0", "--http-gracetime", "4"),
        *("--http-to", mortal.address, "--http-to", lasting.address),
    )  # fmt: skip
    address, stats = front.addresses
    try:
        with requests.Session() as session:
            assert [session.get(f"http://{address}/x", timeout=20).status_code for _ in range(4)] == [200] * 4
            mortal.kill()
            assert [session.get(f"http://{address}/x", timeout=20).status_code for _ in range(4)] == [200] * 4
            assert asked(stats)["static_nodes"][0]["grace"] > 0
            mortal = Backend(tmp_path, "python", mortal.port)
            # Not until its time has passed: who is asked then may be the other one.
            back = f"backend {mortal.address} is back"
            wait_until(lambda: session.get(f"http://{address}/x", timeout=20).ok and back in front.log, 20, back)
            assert not asked(stats)["static_nodes"][0]["grace"]
    finally:
        mortal.kill()
    log = front.log
    assert log.count("Connection refused: left alone for 4 seconds") == 1
    assert log.count(back) == 1


def test_gzip(real_backend: Any, server: Callable[..., Any]) -> None:
    address = real_backend("python").address
    auto = server(None, "--http", "127.0.0.1:0", "--http-to", address, "--http-auto-gzip")
    always = server(None, "--http", "127.0.0.1:0", "--http-to", address, "--http-gzip")
    body = b"0123456789" * 1000
    for front, zipped in ((auto, False), (always, True)):
        answer = requests.post(front.url, data=body, timeout=20)
        assert answer.content == body
        assert answer.headers.get("Content-Encoding") == ("gzip" if zipped else None)
    answer = requests.post(auto.url + "/?gzip", data=body, timeout=20)
    assert (answer.content, answer.headers["Content-Encoding"], answer.headers["Vary"]) == (body, "gzip", "Accept-Encoding")
    for refusing in ("identity", "gzip;q=0"):
        answer = requests.post(auto.url + "/?gzip", data=body, timeout=20, headers={"Accept-Encoding": refusing})
        assert answer.content == body
        assert "Content-Encoding" not in answer.headers


def test_tls(real_backend: Any, server: Callable[..., Any]) -> None:
    """A backend that knows no TLS is told of it."""
    made = certificates()
    front = server(None, "--https", f"127.0.0.1:0,{made.cert},{made.key}", "--http-to", real_backend("python").address)
    url = f"https://localhost:{front.port}/scheme"
    assert requests.get(url, verify=made.ca, timeout=20).text == "https on 127.0.0.1"
    with client_factory("websocket-client", f"wss://localhost:{front.port}") as connect:
        assert echo(lambda *path: connect(*path, sslopt={"ca_certs": made.ca})) == ECHO


@pytest.mark.differential
def test_what_a_backend_hears(real_backend: Any, server: Callable[..., Any], tmp_path: Path) -> None:
    """The same as from uWSGI's own router, but for what is of one connection only, and for names that could be taken for others."""
    address = real_backend("python").address
    router = UWSGIRouter(tmp_path, address)
    try:
        front = server(None, "--http", "127.0.0.1:0", "--http-to", address)
        for method, path, options in (
            ("GET", "/environ%20b%2Fc;x?y=1&z=%20", {}),
            ("POST", "/environ", {"data": b"x" * 1000, "headers": {"Content-Type": "text/x"}}),
            ("POST", "/environ", {"data": b""}),
            ("OPTIONS", "/environ", {"headers": {"Cookie": "a=b; c=d", "X-A": "", "X_Under": "z", "TE": "trailers", "Host": "a.test:1"}}),
        ):
            heard = []
            for port in (router.port, front.port):
                heard.append(requests.request(method, f"http://127.0.0.1:{port}{path}", timeout=20, **options).json())
                assert heard[-1].pop("SERVER_PORT") == str(port)
                heard[-1].pop("REMOTE_PORT")
                heard[-1].pop("HTTP_X_UNDER", None)
                heard[-1].pop("HTTP_TE", None)
                if heard[-1]["HTTP_HOST"] == f"127.0.0.1:{port}":
                    del heard[-1]["HTTP_HOST"]
            assert heard[0] == heard[1]
    finally:
        router.kill()


def test_a_reload_keeps_the_addresses(server: Callable[..., Any]) -> None:
    backend = server(APP, "--http-socket", "127.0.0.1:0")
    front = server(
        None, "--http", "127.0.0.1:0", "--http-stats", "127.0.0.1:0", "--http-to", "http://" + backend.address, "--master",
    )  # fmt: skip
    address, stats = front.addresses
    front.signal(signal.SIGHUP)
    wait_until(lambda: front.log.count("spawned uWSGI worker 1") == 2, 20)

    def counted() -> bool:
        # The old worker may still be there, and has a count of its own.
        assert requests.get(f"http://{address}/x", timeout=20).text == "python /x"
        return bool(asked(stats)["static_nodes"][0]["hits"])

    wait_until(counted, 20)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ("--http", ":0", "--http-to", "localhost:x"),
            "--http-to = localhost:x: the port 'x' is not a number from 1 to 65535; write 127.0.0.1:3031",
        ),
        (("--http", ":0", "--http-to", "3031"), "--http-to = 3031: write 127.0.0.1:3031 or the path of a unix socket"),
        (("--http", ":0", "--http-to", "https://x:1"), "--http-to = https://x:1: backends speak HTTP or the uwsgi protocol"),
        (("--http", ":0", "--http-to", "::1:3031"), "an IPv6 address stands in brackets"),
        (("--http", ":0", "--http-to", "127.0.0.1:3031,300"), "a modifier is a number from 0 to 255, not 300"),
        (("--http", ":0", "--http-to", ":1", "--http-modifier1", "256"), "a modifier is a number from 0 to 255"),
        (("--http", ":0", "--http-to", ":1", "--http-var", "X"), "--http-var = X: write it as NAME=VALUE"),
        (("--http-socket", ":0", "--http-to", ":3031"), "nothing comes in that could be forwarded"),
    ],
)
def test_what_cannot_be(run_geuwsgi: Callable[..., Any], arguments: tuple[str, ...], complaint: str) -> None:
    done = run_geuwsgi(*arguments)
    assert done.returncode == 1
    assert complaint in done.stderr


def test_what_does_nothing_is_said(server: Callable[..., Any]) -> None:
    running = server(APP, "--http", "127.0.0.1:0", "--http-modifier1", "7", "--http-processes", "4", "--http-raw-body")
    assert "http-modifier1 (command line) has no effect: there is no http-to" in running.log
    assert "http-processes (command line) has no effect: each worker forwards what it accepts" in running.log
    assert "http-raw-body (command line) has no effect: whatever comes is for the application that is served here" in running.log


@pytest.mark.parametrize(("word", "quiet"), [("yes", True), ("1", True), ("no", False), ("false", False)])
def test_a_word_for_quiet(word: str, quiet: bool) -> None:
    asked = process.front(load(["--http", ":0", "--http-to", ":1", "--http-quiet", word], {}))
    assert asked is not None
    assert asked.settings.quiet is quiet
