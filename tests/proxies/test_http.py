"""HTTP through real front servers: what the application sees, and bodies too large for anybody's memory."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import time
from typing import Any

import pytest

from tests.harness.wait import wait_until
from tests.proxies.fronts import BLOCK, OWN, ROUTER, Fronts

MEGABYTE = 1 << 20


def ask(
    behind: Fronts, front: str, method: str, target: str, body: Any = None, source: str = "", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """A request on a connection of its own, which comes from the address `source`."""
    address = (source, 0) if source else None
    connection = http.client.HTTPConnection("127.0.0.1", behind.port(front), timeout=30, source_address=address)
    try:
        connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def environ(behind: Fronts, front: str, target: str = "/", source: str = "", **headers: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(ask(behind, front, "GET", target, None, source, **headers)[1])
    return found


def test_the_environ(behind: Fronts, front: str) -> None:
    found = environ(behind, front, "/env/a%20b%C3%A9?x=%20&y", X_Some="thing", Cookie="a=b; c=d")
    assert found["PATH_INFO"].encode("latin-1").decode() == "/env/a bé"
    assert found["QUERY_STRING"] == "x=%20&y"
    assert found["REQUEST_URI"] == "/env/a%20b%C3%A9?x=%20&y"
    assert (found["SCRIPT_NAME"], found["REQUEST_METHOD"]) == ("", "GET")
    assert (found["HTTP_X_SOME"], found["HTTP_COOKIE"]) == ("thing", "a=b; c=d")
    assert found["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert found["SERVER_NAME"]
    assert found["SERVER_PORT"].isdigit()
    assert found["HTTP_HOST"].partition(":")[0] == "127.0.0.1"
    assert found["REMOTE_ADDR"] == "127.0.0.1"
    assert found["wsgi.url_scheme"] == "http"
    assert "CONTENT_LENGTH" not in found
    assert found.get("CONTENT_TYPE", "") == ""


def test_headers_of_the_response(behind: Fronts, front: str) -> None:
    response, _ = ask(behind, front, "GET", "/")
    assert response.status == 200
    assert response.headers.get_all("X-Many") == ["a", "b"]
    response, body = ask(behind, front, "HEAD", "/")
    assert (response.status, body) == (200, b"")


def test_one_connection_for_many_requests(behind: Fronts, front: str) -> None:
    if front == ROUTER:
        pytest.skip("uWSGI's router closes each connection unless it is asked for --http-keepalive")
    connection = http.client.HTTPConnection("127.0.0.1", behind.port(front), timeout=10)
    for number in range(20):
        connection.request("POST", "/upload", b"x" * number)
        assert connection.getresponse().read().split()[0] == str(number).encode()
    connection.close()


def test_a_large_upload(behind: Fronts, front: str) -> None:
    size = 50 * MEGABYTE if front in ("nginx-uwsgi", "nginx-proxy", "haproxy", ROUTER, *OWN) else 8 * MEGABYTE
    before = behind.server.uss()
    digest = hashlib.sha256()

    def blocks() -> Any:
        for _ in range(size // len(BLOCK)):
            digest.update(BLOCK)
            yield BLOCK

    _, answer = ask(behind, front, "POST", "/upload", blocks(), Content_Length=str(size))
    assert answer.decode() == f"{size} {digest.hexdigest()}"
    assert behind.server.uss() - before < 8 * MEGABYTE


def test_a_chunked_upload(behind: Fronts, front: str) -> None:
    """nginx collects it and sends a length; HAProxy hands the chunks on, uWSGI's router with --http-chunked-input only."""
    _, answer = ask(behind, front, "POST", "/upload", iter([BLOCK] * 4))
    assert answer.decode() == f"{4 * len(BLOCK)} {hashlib.sha256(BLOCK * 4).hexdigest()}"


def test_a_large_download(behind: Fronts, front: str) -> None:
    size = 50 * MEGABYTE if front in ("nginx-uwsgi", "nginx-proxy", "haproxy", ROUTER, *OWN) else 8 * MEGABYTE
    _, body = ask(behind, front, "GET", f"/download?size={size}")
    assert len(body) == size
    assert body[: len(BLOCK)] == BLOCK == body[-len(BLOCK) :]


def test_a_client_that_leaves(behind: Fronts, front: str, name: str) -> None:
    sock = socket.create_connection(("127.0.0.1", behind.port(front)), 10)
    sock.sendall(f"GET /endless?name={name} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert sock.recv(100).startswith(b"HTTP/1.1 200")
    sock.close()
    wait_until(lambda: ask(behind, front, "GET", f"/gone?name={name}")[1] == b"response", 20, "the application hears of it")


def test_a_body_that_is_not_all_there(behind: Fronts, front: str) -> None:
    """The client leaves in the middle of its upload; nobody waits for the rest for ever."""
    sock = socket.create_connection(("127.0.0.1", behind.port(front)), 10)
    sock.sendall(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + BLOCK)
    sock.close()
    start = time.monotonic()
    assert ask(behind, front, "GET", "/gone?name=nobody")[1] == b""
    assert time.monotonic() - start < 15


# -- whose word counts


ELSEWHERE = "127.0.0.9"


def test_a_client_who_pretends_to_be_a_proxy(behind: Fronts, front: str) -> None:
    """The front servers are at 127.0.0.1, which is believed; the client is not."""
    found = environ(behind, front, source=ELSEWHERE, X_Forwarded_For="6.6.6.6", X_Forwarded_Proto="https", X_Forwarded_Ssl="off")
    assert found["REMOTE_ADDR"] == ELSEWHERE
    assert found["wsgi.url_scheme"] == "http"
    assert found["HTTP_X_FORWARDED_FOR"].startswith("6.6.6.6")


def test_a_proxy_before_the_front_server(behind: Fronts, front: str) -> None:
    """What is believed says who its client is, and so on."""
    found = environ(behind, front, X_Forwarded_For="5.5.5.5, 6.6.6.6")
    assert found["REMOTE_ADDR"] == "6.6.6.6"
    assert "REMOTE_PORT" not in found


def test_the_log_has_the_client(behind: Fronts, front: str) -> None:
    ask(behind, front, "GET", f"/log/{front}", source=ELSEWHERE)
    log = behind.server.wait_log(f"GET /log/{front} ")
    (line,) = [line for line in log.splitlines() if f"GET /log/{front} " in line]
    assert f"] {ELSEWHERE} () {{" in line
    assert "(HTTP/1.1 200)" in line
