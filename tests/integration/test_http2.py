"""HTTP/2 from the command line on: curl, options, several workers, a front."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.conformance.client import Event, RawClient
from tests.harness.certificates import certificates
from tests.harness.h2socket import H2Socket
from tests.harness.programs import find_program
from tests.harness.servers import Geuwsgi

StartServer = Callable[..., Geuwsgi]


def curl(*arguments: str) -> tuple[str, bytes]:
    """(HTTP version and status, body)"""
    command = [find_program("curl"), "-sS", "--max-time", "20", "-w", "\n%{http_version} %{http_code}", *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    body, _, facts = done.stdout.rpartition(b"\n")
    return facts.decode(), body


def https2(extra: str = "") -> str:
    found = certificates()
    return f"127.0.0.1:0,{found.cert},{found.key}{extra}"


def test_prior_knowledge(shared_server: StartServer) -> None:
    server = shared_server("http2_page.py")
    facts, body = curl("--http2-prior-knowledge", f"{server.url}/where")
    assert facts == "2 200"
    assert json.loads(body)[0] == "HTTP/2.0"
    assert curl(f"{server.url}/where")[0] == "1.1 200"


def test_alpn(server: StartServer) -> None:
    running = server("http2_page.py", "--https2", https2())
    ca = ["--cacert", certificates().ca]
    assert curl(*ca, f"https://{running.address}/where")[0] == "2 200"
    assert curl(*ca, "--http1.1", f"https://{running.address}/where")[0] == "1.1 200"


@pytest.mark.parametrize(("spdy", "version"), [("", "2"), (",spdy=1", "2"), (",spdy=0", "1.1")])
def test_as_uwsgi_writes_it(spdy: str, version: str, server: StartServer) -> None:
    found = certificates()
    running = server("http2_page.py", "--https2", f"addr=127.0.0.1:0,cert={found.cert},key={found.key}{spdy}")
    assert curl("--cacert", found.ca, f"https://{running.address}/where")[0] == f"{version} 200"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("addr=:0,cert=a", "write it as addr=ADDR,cert=CERT,key=KEY[,ciphers=CIPHERS][,clientca=CLIENT_CA], or as ADDR,CERT,KEY"),
        ("addr=:0,cert=a,key=b,color=red", "'color=red' is not known here"),
        (":0", "write it as addr=ADDR"),
    ],
)
def test_what_is_wrong(value: str, message: str, run_geuwsgi: Callable[..., Any]) -> None:
    done = run_geuwsgi("--https2", value, "--wsgi-file", "x.py")
    assert done.returncode == 1
    assert f"--https2 = {value}: {message}" in done.stderr


def test_without_the_package(run_geuwsgi: Callable[..., Any], tmp_path: Path) -> None:
    """As on a machine where it is not installed: the import system says so."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, package=None: None if name == 'h2' else find(name, package)\n"
    )
    done = run_geuwsgi("--https2", https2(), "--wsgi-file", "x.py", env={"PYTHONPATH": f"{tmp_path}:{Path.cwd()}"})
    assert done.returncode == 1, done.stderr
    assert "HTTP/2 needs the package h2: pip install geuwsgi[http2], or give https" in done.stderr


def test_switched_off(server: StartServer) -> None:
    running = server("http2_page.py", "--disable-http2", expect_log=["505 HTTP Version Not Supported: the preface of HTTP/2"])
    with pytest.raises(AssertionError):
        curl("--http2-prior-knowledge", f"{running.url}/where")


def test_files_and_rules(tmp_path: Path, server: StartServer) -> None:
    """Static files, and the internal routing, which looks at responses before they are sent."""
    (tmp_path / "file.txt").write_bytes(b"0123456789" * 50_000)
    running = server(
        "http2_page.py", "--check-static", str(tmp_path), "--route", "^/old redirect:/new", "--route", "^/ addheader:X-Rule: yes"
    )
    prior = "--http2-prior-knowledge"
    assert curl(prior, f"{running.url}/file.txt") == ("2 200", b"0123456789" * 50_000)
    assert curl(prior, "-r", "5-9", f"{running.url}/file.txt") == ("2 206", b"56789")
    assert curl(prior, f"{running.url}/old")[0] == "2 302"
    assert b"x-rule: yes" in curl(prior, "-i", f"{running.url}/where")[1]


def test_a_large_upload_and_download(tmp_path: Path, server: StartServer) -> None:
    running = server("proxies.py")
    data = bytes(range(256)) * 40_000
    (tmp_path / "data").write_bytes(data)
    upload = ["--http2-prior-knowledge", "--data-binary", f"@{tmp_path / 'data'}"]
    facts, body = curl(*upload, f"{running.url}/upload")
    assert facts == "2 200"
    assert hashlib.sha256(data).hexdigest() in body.decode()
    facts, body = curl("--http2-prior-knowledge", f"{running.url}/download?size={65536 * 100}")
    assert (facts, len(body)) == ("2 200", 65536 * 100)


def test_several_workers(server: StartServer) -> None:
    running = server("http2_page.py", "--master", "--processes", "2", "--https2", https2(), "--threads", "2")
    for _ in range(6):
        assert curl("--cacert", certificates().ca, f"https://{running.address}/where")[0] == "2 200"


def test_a_front(server: StartServer) -> None:
    """HTTP/2 to the front, and what the backend speaks behind it."""
    backend = server("http2_page.py", "--http-socket", "127.0.0.1:0")
    front = server(None, "--https2", https2(), "--http-to", f"http://{backend.address}")
    facts, body = curl("--cacert", certificates().ca, f"https://{front.address}/where")
    assert facts == "2 200"
    assert json.loads(body)[0] == "HTTP/1.1"


def test_a_websocket_over_tls(server: StartServer) -> None:
    """Several messages in one record of TLS: bytes that are decrypted and wait are not in the kernel."""
    running = server("http2_page.py", "--https2", https2())
    context = certificates().context()
    context.set_alpn_protocols(["h2"])
    sock = context.wrap_socket(socket.create_connection(("127.0.0.1", running.port), 10), server_hostname="localhost")
    assert sock.selected_alpn_protocol() == "h2"
    with RawClient(H2Socket(sock, "https")) as client:  # type: ignore[arg-type]
        client.handshake("/ws")
        client.send(b"".join(b"\x81\x81" + bytes(4) + b"%d" % number for number in range(10)))
        assert [client.event() for _ in range(10)] == [Event("text", b"%d" % number) for number in range(10)]
        client.send(b"\x81\x85" + bytes(4) + b"where")
        assert json.loads(client.event().payload or b"")[0] == "HTTP/2.0"


@pytest.mark.parametrize(("options", "message"), [(("--disable-http2",), "does nothing with disable-http2: leave one of the two out")])
def test_an_option_that_would_do_nothing(options: tuple[str, ...], message: str, run_geuwsgi: Callable[..., Any]) -> None:
    done = run_geuwsgi("--http", "127.0.0.1:0", "--http2-max-streams", "5", *options, "--wsgi-file", "x.py")
    assert done.returncode == 1
    assert f"--http2-max-streams: {message}" in done.stderr


def test_websockets_through_a_front(server: StartServer) -> None:
    """A client of HTTP/2, and a backend that knows HTTP/1.1 and the uwsgi protocol only."""
    backend = server("http2_page.py", "--socket", "127.0.0.1:0")
    front = server(None, "--http", "127.0.0.1:0", "--http-to", backend.address)
    with RawClient(H2Socket(socket.create_connection(("127.0.0.1", front.port), 10))) as client:  # type: ignore[arg-type]
        client.handshake("/ws")
        client.send(b"\x81\x85" + bytes(4) + b"hello" + b"\x82\xfe\xff\xff" + bytes(4) + bytes(65535))
        assert client.event() == Event("text", b"hello")
        assert client.event() == Event("binary", bytes(65535))
        client.send(b"\x81\x8a" + bytes(4) + b"close 4000")
        assert client.event() == Event("close", b"as asked for", 4000)
        client.send(b"\x88\x82" + bytes(4) + b"\x0f\xa0")
        assert client.event() == Event("end")


def test_h2_is_loaded_only_when_it_is_needed() -> None:
    code = "import geuwsgi.process.worker, geuwsgi.cli, sys; sys.exit('h2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
