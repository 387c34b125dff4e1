"""The contract is played over every backend: one worker, workers of one server, and Redis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

import pytest

from tests.channels.remote import Member
from tests.harness.redis import RedisServer
from tests.harness.servers import Geuwsgi

Connect = Callable[..., Member]
StartServer = Callable[..., Geuwsgi]

BACKENDS = ["memory", "unix", "redis"]


def arguments(backend: str, redis_url: str) -> tuple[str, ...]:
    """The options of a server with this backend."""
    return {
        "memory": (),
        "unix": ("--master", "--processes", "3"),
        "redis": ("--master", "--processes", "2", "--channel-backend", redis_url),
    }[backend]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def channel_server(backend: str, server: StartServer, redis_server: RedisServer) -> Callable[..., Geuwsgi]:
    """Start a server of its own with this backend and further options."""

    def start(*more: str, **options: Any) -> Geuwsgi:
        return server("channels.py", "--gevent", "2000", *arguments(backend, redis_server.url), *more, **options)

    return start


@pytest.fixture
def members() -> Iterator[Connect]:
    """Connect clients: `members(server)`, `members(server, 5, "room")`; all are closed at the end, before the server is stopped."""
    opened: list[Member] = []

    def connect(server: Geuwsgi, count: int = 1, *rooms: str) -> Any:
        new = [Member(server.ws_url) for _ in range(count)]
        opened.extend(new)
        for member in new:
            for room in rooms:
                member.call("join", room)
        return new if count > 1 else new[0]

    yield connect
    for member in opened:
        member.close()
