"""One geuwsgi, and all front servers before it, for the whole folder."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Callable

import pytest

from tests.proxies.fronts import ALL, Fronts, fronts


@pytest.fixture(scope="session")
def behind(tmp_path_factory: pytest.TempPathFactory, shared_server: Callable[..., Any]) -> Iterator[Fronts]:
    """The server and its fronts; pings come quickly."""
    folder = tmp_path_factory.mktemp("fronts")
    arguments = ("--websockets-ping-freq", "0.3", "--websockets-pong-tolerance", "20", "--websockets-max-size", "16384")
    # Clients that leave in the middle of something are what some of these tests are about.
    with fronts(shared_server, folder, "proxies.py", *arguments) as found:
        yield found


@pytest.fixture(params=ALL)
def front(request: pytest.FixtureRequest, behind: Fronts) -> str:
    """Each front server in turn: its name."""
    behind.port(request.param)
    return str(request.param)


@pytest.fixture
def name() -> str:
    """A name that nobody else has."""
    return uuid.uuid4().hex
