"""The module linked with a real server in this process, and calls made from inside a real request."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Callable

import pytest

from geuwsgi.api import module
from geuwsgi.api.state import ModuleSettings
from geuwsgi.server.listener import open_listener
from geuwsgi.server.server import Server
from tests.server.serving import PLAIN, Serving, settings


@pytest.fixture
def install() -> Iterator[Callable[..., Any]]:
    """Install the module with ModuleSettings; afterwards it is as if it had never been there."""
    finders = list(sys.meta_path)
    before = {name: sys.modules.pop(name, None) for name in ("uwsgi", "uwsgidecorators")}

    def call(**options: Any) -> ModuleType:
        return module.install(ModuleSettings(**options))

    yield call
    sys.meta_path[:] = finders
    for name, value in before.items():
        sys.modules.pop(name, None)
        if value is not None:
            sys.modules[name] = value


class Requests(Serving):
    """A server whose application is the function given to `call`.

    Attributes:
        uwsgi: the module.
    """

    def __init__(self, uwsgi: Any) -> None:
        self.uwsgi = uwsgi
        self.todo: list[tuple[Callable[..., Any], list[Any]]] = []
        listener = open_listener("127.0.0.1:0")
        super().__init__(Server(self.application, [listener], settings(log_requests=False)), listener)
        module.attach(self.server, [("", self.application)])
        module.set_worker(1)
        self.server.start()

    def application(self, environ: dict[str, Any], start_response: Any) -> Any:
        function, result = self.todo.pop(0)
        start_response("200 OK", [PLAIN])
        try:
            result.append(function(environ))
        except Exception as error:
            result.append(error)
            return [b"raised"]
        return [b"done"]

    def begin(self, function: Callable[[dict[str, Any]], Any]) -> list[Any]:
        """Have a request call `function(environ)`; the list gets what it returns or raises."""
        result: list[Any] = []
        self.server.application = self.application
        self.todo.append((function, result))
        self.connect().send(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        return result

    def call(self, function: Callable[[dict[str, Any]], Any]) -> Any:
        """What `function(environ)` returns, or raises, inside a request."""
        result = self.begin(function)
        self.clients[-1].rest()
        if isinstance(result[0], Exception):
            raise result[0]
        return result[0]


@pytest.fixture
def requests(install: Callable[..., Any]) -> Iterator[Requests]:
    """A server with the module attached; see `Requests`."""
    found = Requests(install(cores=10))
    yield found
    for client in found.clients:
        client.close()
    found.server.stop(2)
