"""The application patterns under the real uWSGI and under geuwsgi: one client, one transcript."""

from __future__ import annotations

from typing import Any, Callable

import pytest
import websocket

from tests.harness.clients import CLIENTS, client_factory
from tests.harness.patterns import PATTERNS, Pattern, Transcript
from tests.harness.redis import RedisServer
from tests.harness.servers import Server

pytestmark = pytest.mark.differential


def transcript(server: Server, pattern: Pattern, patience: float = 10.0) -> Any:
    """What the client sees, or how the conversation failed. It waits `patience` seconds for an answer."""
    with client_factory("websocket-client", server.ws_url, patience) as connect:
        try:
            return pattern.talk(connect)
        except (AssertionError, websocket.WebSocketException) as error:
            return error


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
def test_same_transcript(
    pattern: Pattern, shared_server: Callable[..., Server], uwsgi_server: Callable[..., Server], redis_server: RedisServer
) -> None:
    env = {"REDIS_URL": redis_server.url}
    oracle = uwsgi_server(pattern.app, *pattern.arguments, *pattern.uwsgi_arguments, env=env, debian=pattern.debian)
    theirs = transcript(oracle, pattern, patience=2 if pattern.uwsgi_lacks else 10)
    if pattern.uwsgi_lacks:
        assert theirs != pattern.expected, f"the real uWSGI can do it: take out the exception ({pattern.uwsgi_lacks})"
    else:
        assert theirs == pattern.expected
    ours = transcript(shared_server(pattern.app, *pattern.arguments, env=env, lasting=pattern.lasting), pattern)
    assert ours == pattern.expected


def close_reply(server: Server, client: str) -> Transcript:
    with client_factory(client, server.ws_url) as connect:
        echo = connect()
        echo.text("hello")
        return [echo.receive(), echo.close(4001, "enough")]


@pytest.mark.parametrize("client", CLIENTS)
def test_close_is_answered(client: str, shared_server: Callable[..., Server], uwsgi_server: Callable[..., Server]) -> None:
    """A known difference: uWSGI answers with an empty close frame, not with the code that it received (RFC 6455, 5.5.1)."""
    pattern = PATTERNS[0]
    assert close_reply(uwsgi_server(pattern.app, *pattern.arguments), client) == [("text", "hello"), ("close", 1005, "")]
    assert close_reply(shared_server(pattern.app, *pattern.arguments), client) == [("text", "hello"), ("close", 4001, "enough")]
