"""The servers that the suite is played against, one process each for the whole session."""

from __future__ import annotations

import os
import socket
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable

import pytest

from geuwsgi import accel
from tests.conformance.case import Case, Connect
from tests.harness.certificates import certificates
from tests.harness.grades import GRADES
from tests.harness.h2socket import H2Socket
from tests.proxies.fronts import OWN, ROUTER, Fronts, fronts


@dataclass(frozen=True)
class Endpoint:
    """Where the suite connects to.

    Attributes:
        connect: opens a connection, past TLS where there is any.
    """

    name: str
    connect: Connect


#: Without pings: they come between the events of a case when the machine has stood still for half a minute.
ARGUMENTS = ("conformance.py", "--http-websockets", "--websockets-max-size", "16384", "--disable-logging", "--websockets-ping-freq", "0")


def _tls(start: Callable[..., Any]) -> Connect:
    found = certificates()
    listen = f"127.0.0.1:0,{found.cert},{found.key}"
    server = start(*ARGUMENTS, "--https-socket", listen, expect_log=["as asked for|spawned uWSGI worker"])
    context = found.context()

    def connect() -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", server.port), 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or the request waits for what confirms the handshake
        return context.wrap_socket(sock, server_hostname="localhost")

    return connect


def _tcp(start: Callable[..., Any], **environment: str) -> Connect:
    # The second half is in every log: a part of the suite may be run without the case that raises.
    server = start(*ARGUMENTS, env=environment or None, expect_log=["as asked for|spawned uWSGI worker"])
    return lambda: socket.create_connection(("127.0.0.1", server.port), 10)


def _http2(start: Callable[..., Any]) -> Connect:
    connect = _tcp(start)
    return lambda: H2Socket(connect())  # type: ignore[return-value]


#: How to start what an endpoint connects to. A further one (TLS, HTTP/2) is added here.
ENDPOINTS: dict[str, Callable[[Callable[..., Any]], Connect]] = {"tcp": _tcp, "tls": _tls}
if accel.COMPILED:
    ENDPOINTS["pure"] = lambda start: _tcp(start, GEUWSGI_PURE="1")


#: Endpoints that carry the same bytes in another way: of them too a part of the cases.
CARRIERS: dict[str, Callable[[Callable[..., Any]], Connect]] = {"http2": _http2}

#: The same through real front servers. None of them looks into a websocket, so a part of the cases tells whether all would pass:
#: GEUWSGI_CONFORMANCE=all plays all of them.
FRONTS = ("nginx-uwsgi", "nginx-proxy", "haproxy", "haproxy-v2", ROUTER, *OWN)
_ONE_OF = 1 if os.environ.get("GEUWSGI_CONFORMANCE") == "all" else 24


def goes_through(front: str, case: Case) -> bool:
    """Whether a case is played through a front server."""
    if front == ROUTER and case.early:
        return False  # it loses what comes in the packet of the handshake
    return zlib.crc32(f"{front} {case.id}".encode()) % _ONE_OF == 0


@pytest.fixture(scope="session")
def served_by_fronts(tmp_path_factory: pytest.TempPathFactory, shared_server: Callable[..., Any]) -> Iterator[Fronts]:
    """The server behind all front servers."""
    app, *arguments = ARGUMENTS
    expected = ["as asked for|spawned uWSGI worker"]
    with fronts(shared_server, tmp_path_factory.mktemp("fronts"), app, *arguments, expect_log=expected) as found:
        yield found


@pytest.fixture(scope="session", params=[*ENDPOINTS, *CARRIERS])
def endpoint(request: pytest.FixtureRequest, shared_server: Callable[..., Any]) -> Endpoint:
    """Each server under test in turn."""
    name = request.param
    if name in FRONTS:
        port = request.getfixturevalue("served_by_fronts").port(name)
        return Endpoint(name, lambda: socket.create_connection(("127.0.0.1", port), 10))
    return Endpoint(name, {**ENDPOINTS, **CARRIERS}[name](shared_server))


@pytest.fixture
def grades() -> Counter[str]:
    """How many cases have had which grade so far; told at the end of the run."""
    return GRADES
