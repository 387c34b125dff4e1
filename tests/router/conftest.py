"""geuwsgi's front, with real backends behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

import pytest

from tests.harness.backends import LANGUAGES, Backend


@pytest.fixture(scope="session")
def real_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Backend]]:
    """Start the backend of a language; the same one for the whole session."""
    running: dict[str, Backend] = {}

    def start(name: str) -> Backend:
        if name not in running:
            running[name] = Backend(tmp_path_factory.mktemp(name), name)
        running[name].check_alive()
        return running[name]

    yield start
    for backend in running.values():
        backend.kill()


@pytest.fixture
def front(real_backend: Callable[[str], Backend], shared_server: Any) -> Callable[..., Any]:
    """A front before the backend of a language."""

    def start(name: str, *options: str) -> Any:
        address = f"{real_backend(name).address},{LANGUAGES[name].modifier1}"
        # uWSGI ends a websocket without a close frame when the application returns.
        return shared_server(None, "--http", "127.0.0.1:0", "--http-to", address, *options)

    return start
