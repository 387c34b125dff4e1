"""TLS and who the client is: ended by the front server, which says so, or carried through it."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import websockets.sync.client

from tests.harness.haproxy import HAProxy
from tests.harness.nginx import PROXY_PASS, UWSGI_PASS, Nginx
from tests.harness.programs import find_program

CLIENT = "127.0.0.9"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *(find_program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


def trusting(cert: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(cert))


def environ(port: int, cert: Path) -> dict[str, str]:
    """What the application sees of a request from CLIENT."""
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=trusting(cert), source_address=(CLIENT, 0))
    connection.request("GET", "/", headers={"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "http"})
    found: dict[str, str] = json.loads(connection.getresponse().read())
    connection.close()
    return found


def echo(port: int, cert: Path) -> None:
    with websockets.sync.client.connect(f"wss://127.0.0.1:{port}/ws", ssl=trusting(cert), compression=None) as client:
        client.send("hello")
        assert client.recv(10) == "hello"


Killing = Callable[[Any], Any]


@pytest.fixture
def killing() -> Iterator[Killing]:
    """End a program before the servers are finished."""
    started: list[Any] = []

    def start(program: Any) -> Any:
        started.append(program)
        return program

    yield start
    for program in started:
        program.kill()


def test_nginx_ends_it(server: Callable[..., Any], killing: Killing, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    running = server("proxies.py", "--http-socket", "127.0.0.1:0", "--socket", "127.0.0.1:0")
    plain, uwsgi = running.addresses
    tls = f"            ssl_certificate {cert}; ssl_certificate_key {key};\n"
    locations = {"uwsgi": UWSGI_PASS.format(address=uwsgi), "proxy": PROXY_PASS.format(address=plain)}
    nginx = killing(Nginx(tmp_path, locations, tls={"uwsgi": tls, "proxy": tls}))
    for port in nginx.ports.values():
        found = environ(port, cert)
        assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"], found["HTTPS"]) == (CLIENT, "https", "on")
        echo(port, cert)


def test_haproxy_ends_it(server: Callable[..., Any], killing: Killing, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    both = tmp_path / "both.pem"
    both.write_text(cert.read_text() + key.read_text())
    running = server("proxies.py", "--http", "127.0.0.1:0", "--http-enable-proxy-protocol", "--http-socket", "127.0.0.1:0")
    proxied, plain = running.addresses
    tls = f" ssl crt {both}"
    headers = "option forwardfor\n    http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]"
    servers = {"headers": (plain, headers, tls), "header": (proxied + " send-proxy-v2-ssl", "", tls)}
    haproxy = killing(HAProxy(tmp_path, servers))
    for port in haproxy.ports.values():
        found = environ(port, cert)
        assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"], found["HTTPS"]) == (CLIENT, "https", "on")
        echo(port, cert)


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2"])
def test_haproxy_carries_it(
    server: Callable[..., Any], killing: Killing, tmp_path: Path, certificate: tuple[Path, Path], send: str
) -> None:
    cert, key = certificate
    running = server("proxies.py", "--https", f"127.0.0.1:0,{cert},{key}", "--http-enable-proxy-protocol")
    haproxy = killing(HAProxy(tmp_path, {"only": (f"{running.address} {send}", "mode tcp", "")}))
    found = environ(haproxy.ports["only"], cert)
    assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"], found["HTTPS"]) == (CLIENT, "https", "on")
    echo(haproxy.ports["only"], cert)
