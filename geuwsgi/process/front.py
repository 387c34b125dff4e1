"""The front: what `--http-to` and the options that refine it ask for."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from .. import EMULATED_UWSGI
from ..config.options import BY_NAME
from ..errors import ConfigError
from ..server.gateway.backend import ACTIVE, COUNTS, DEAD_SINCE, FAILURES, HITS, Backend, parse_backend
from ..shared.memory import shared_words

if TYPE_CHECKING:
    from ..config.config import Config
    from ..server.gateway.pool import Pool
    from ..server.gateway.settings import GatewaySettings

#: Options whose addresses forward where there is something to forward to. As in uWSGI, --http-socket always serves here.
FORWARDING = ("http", "https", "https2")

#: Options that do nothing without --http-to, and why: where there is a reason besides that.
_REFINING = {
    "http-fallback": "",
    "http-backend-http": "",
    "http-modifier1": "",
    "http-modifier2": "",
    "http-var": "",
    "http-gracetime": "",
    "http-connect-timeout": "no backend is connected to, requests are served here",
    "http-chunked-input": "chunked request bodies are read in any case",
    "http-raw-body": "whatever comes is for the application that is served here",
    "http-stats": "",
    "http-quiet": "",
}

#: Those that the actions of internal routing follow too.
_ROUTING = ("http-connect-timeout", "http-chunked-input")


@dataclass(frozen=True)
class Front:
    """The front as it was asked for.

    Attributes:
        backends: (address, where it was given) of the backends.
        fallback: of those for when none of them can be reached.
        modifier1, modifier2: for uwsgi backends that name none.
        http: backends without a scheme speak HTTP.
        settings: limits and habits.
        board: the counts of all workers, two rows for each.
    """

    backends: tuple[str, ...]
    fallback: tuple[str, ...]
    modifier1: int
    modifier2: int
    http: bool
    settings: GatewaySettings
    board: memoryview

    def pool(self, worker: int, respawns: int, addresses: list[str]) -> Pool:
        """The backends of one worker.

        Args:
            worker: its number, from 1.
            respawns: how many had this number before it: during a reload two have it, each with a row of its own.
            addresses: where the front listens, for the statistics.
        """
        from ..server.gateway.pool import Pool  # with all of gevent, so not before the standard library is patched

        found = Pool([self._backend(text) for text in self.backends], self.settings, [self._backend(text) for text in self.fallback])
        start = self._row(2 * (worker - 1) + respawns % 2)
        for backend in (*found.backends, *found.fallback):
            backend.counts = self.board[start : start + COUNTS]
            backend.counts[ACTIVE] = 0
            start += COUNTS
        found.report = lambda: self._report(addresses)
        return found

    def _row(self, number: int) -> int:
        return number * COUNTS * (len(self.backends) + len(self.fallback))

    def _report(self, addresses: list[str]) -> bytes:
        """What uWSGI's router tells, and a little more: `failures` and `active` of each node.

        Source: uWSGI's corerouter_send_stats.
        """
        names = (*self.backends, *self.fallback)
        size = COUNTS * len(names)
        rows = [self.board[start : start + size] for start in range(0, len(self.board), size)]
        nodes = [
            {
                "name": name,
                "hits": sum(row[index * COUNTS + HITS] for row in rows),
                "grace": max(row[index * COUNTS + DEAD_SINCE] for row in rows),
                "failures": sum(row[index * COUNTS + FAILURES] for row in rows),
                "active": sum(row[index * COUNTS + ACTIVE] for row in rows),
            }
            for index, name in enumerate(names)
        ]
        told = {
            "version": EMULATED_UWSGI,
            "pid": os.getpid(),
            "uid": os.getuid(),
            "gid": os.getgid(),
            "cwd": _here(),
            "active_sessions": sum(row[index + ACTIVE] for row in rows for index in range(0, size, COUNTS)),
            "http": addresses,
            "static_nodes": nodes,
            "cheap": 0,
        }
        return json.dumps(told, indent="\t").encode() + b"\n"

    def _backend(self, text: str) -> Backend:
        return parse_backend(text, self.modifier1, self.modifier2, self.http)


def _here() -> str:
    """The current directory; "" when somebody has removed it."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def front(config: Config) -> Optional[Front]:
    """What the configuration asks for; None when nothing is forwarded.

    Raises:
        ConfigError: an address that is none, or options that would do nothing.
    """
    if not config.get("http-to"):
        routes = any(config.given(name) for name in BY_NAME if "route" in name)
        for name, why in _REFINING.items():
            if config.given(name) and config.get(name) is not False and not (name in _ROUTING and routes):
                config.warnings.append(f"{name} ({config.source(name)}) has no effect: {why or 'there is no http-to'}")
        return None
    if not any(config.get(name) for name in FORWARDING if name in BY_NAME):
        raise ConfigError("nothing comes in that could be forwarded; add http = :8080", "http-to", None, config.source("http-to"))
    from ..server.gateway.settings import GatewaySettings

    for name in ("http-modifier1", "http-modifier2"):
        if config.get(name) > 255:
            raise ConfigError("a modifier is a number from 0 to 255", name, str(config.get(name)), config.source(name))
    timeout: float = config.get("http-timeout")
    connect_timeout = config.get("http-connect-timeout")
    found = Front(
        backends=tuple(config.get("http-to")),
        fallback=tuple(config.get("http-fallback")),
        modifier1=config.get("http-modifier1"),
        modifier2=config.get("http-modifier2"),
        http=config.get("http-backend-http"),
        settings=GatewaySettings(
            timeout=timeout,
            connect_timeout=connect_timeout or timeout,
            grace=config.get("http-gracetime"),
            chunked_input=config.get("http-chunked-input"),
            raw_body=config.get("http-raw-body"),
            auto_gzip=config.get("http-auto-gzip"),
            gzip=config.get("http-gzip"),
            quiet=config.get("http-quiet"),
            variables=(("UWSGI_ROUTER", "http"), *_variables(config)),
        ),
        board=shared_words(2 * config.get("processes") * COUNTS * (len(config.get("http-to")) + len(config.get("http-fallback")))),
    )
    for option in ("http-to", "http-fallback"):
        for index, text in enumerate(config.get(option)):
            try:
                found._backend(text)
            except ValueError as error:
                raise ConfigError(str(error), option, text, config.source(option, index)) from None
    return found


def _variables(config: Config) -> tuple[tuple[str, str], ...]:
    pairs = []
    for index, text in enumerate(config.get("http-var")):
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ConfigError("write it as NAME=VALUE", "http-var", text, config.source("http-var", index))
        pairs.append((name, value))
    return tuple(pairs)
