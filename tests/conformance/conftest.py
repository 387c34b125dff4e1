"""The servers that the suite is played against, one process each for the whole session."""

from __future__ import annotations

import socket
from collections import Counter
from dataclasses import dataclass
from typing import Any, Callable

import pytest

from geuwsgi import accel
from tests.conformance.case import Connect
from tests.harness.grades import GRADES


@dataclass(frozen=True)
class Endpoint:
    """Where the suite connects to.

    Attributes:
        connect: opens a connection, past TLS where there is any.
    """

    name: str
    connect: Connect


ARGUMENTS = ("conformance.py", "--http-websockets", "--websockets-max-size", "16384", "--disable-logging")


def _tcp(start: Callable[..., Any], **environment: str) -> Connect:
    # The second half is in every log: a part of the suite may be run without the case that raises.
    server = start(*ARGUMENTS, env=environment or None, expect_log=["as asked for|spawned uWSGI worker"])
    return lambda: socket.create_connection(("127.0.0.1", server.port), 10)


#: How to start what an endpoint connects to. A further one (TLS, HTTP/2) is added here.
ENDPOINTS: dict[str, Callable[[Callable[..., Any]], Connect]] = {"tcp": _tcp}
if accel.COMPILED:
    ENDPOINTS["pure"] = lambda start: _tcp(start, GEUWSGI_PURE="1")


@pytest.fixture(scope="session", params=ENDPOINTS)
def endpoint(request: pytest.FixtureRequest, shared_server: Callable[..., Any]) -> Endpoint:
    """Each server under test in turn."""
    return Endpoint(request.param, ENDPOINTS[request.param](shared_server))


@pytest.fixture
def grades() -> Counter[str]:
    """How many cases have had which grade so far; told at the end of the run."""
    return GRADES
