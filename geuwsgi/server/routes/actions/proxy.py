"""`uwsgi:` and `http:`: another server answers. Websockets are carried both ways, whatever they agree on.

A request that somebody else answers holds no core of this worker.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable, Optional

from ....log import log
from ...gateway.backend import Backend, parse_backend
from ...gateway.exchange import forward
from ...gateway.pool import Pool
from ..context import BREAK, CONTINUE, Context
from ..engine import Action
from ..substitution import Template
from .workshop import Workshop

#: Addresses that are made of the request, for each of which connections are kept.
_MAX_POOLS = 256

Parse = Callable[[str], Backend]


class _Pools:
    """The backends of one action."""

    def __init__(self, text: str, parse: Parse, workshop: Workshop) -> None:
        self._address = Template(text)
        self._parse = parse
        self._settings = workshop.gateway
        self._pools: dict[str, Pool] = {}
        if self._address.constant is not None:
            parse(text)  # a mistake in it is said at the start

    def find(self, context: Context) -> Optional[Pool]:
        """The backend for a request; None, with a line in the log, when the request makes no address."""
        address = self._address(context)
        pool = self._pools.get(address)
        if pool is None:
            try:
                backend = self._parse(address.encode("latin-1").decode("utf-8", "surrogateescape"))
            except ValueError as error:
                log(f"[uwsgi-route] {address!r} is no address of a backend: {error}")
                return None
            if len(self._pools) >= _MAX_POOLS:
                for old in self._pools.values():
                    old.close()
                self._pools.clear()
            pool = self._pools[address] = Pool([backend], self._settings)
        return pool


def _forward(pools: _Pools, context: Context) -> int:
    pool = pools.find(context)
    if pool is None:
        return context.respond("502 Bad Gateway", [("Content-Type", "text/plain")], b"Bad Gateway")
    request = context.request

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request.connection.give_core_back()
        return forward(request, pool)

    context.answer = answer
    return BREAK


def uwsgi(argument: str, workshop: Workshop) -> Action:
    """uwsgi, proxyuwsgi: ADDRESS,MODIFIER1,MODIFIER2[,APPID]; without an address only the application is chosen.

    Source: uWSGI's router_uwsgi.
    """
    workshop.must_answer_the_request("uwsgi")
    address, *rest = argument.split(",", 3)
    if len(rest) < 2:
        raise ValueError("write it as uwsgi:ADDRESS,MODIFIER1,MODIFIER2, as in uwsgi:127.0.0.1:3031,0,0")
    modifiers = [workshop.number_of(text.strip(), "a modifier") for text in rest[:2]]
    if max(modifiers) > 255:
        raise ValueError("a modifier is a number from 0 to 255")
    appid = rest[2] if len(rest) > 2 else ""
    if not address:
        if modifiers != [0, 0]:
            raise ValueError("there is only Python here, whose modifiers are 0,0: an address has to say who else answers")
        return _choose(appid)
    if "://" in address or address.startswith("http:"):
        raise ValueError("an address of the uwsgi protocol is HOST:PORT or the path of a unix socket; for HTTP there is http:HOST:PORT")
    pools = _Pools(address, lambda text: parse_backend(text, modifiers[0], modifiers[1]), workshop)

    def action(context: Context) -> int:
        if appid:
            context.environ["UWSGI_APPID"] = appid
        return _forward(pools, context)

    return action


def _choose(appid: str) -> Action:
    def action(context: Context) -> int:
        if appid:
            context.environ["UWSGI_APPID"] = appid
        return CONTINUE

    return action


def http(argument: str, workshop: Workshop) -> Action:
    """http, httpdumb, proxyhttp: ADDRESS[,HOST[,URI]]: with another Host header, and another request target, if they are given.

    Source: uWSGI's router_http, whose `http:` speaks HTTP/1.0.
    """
    workshop.must_answer_the_request("http")
    address, _, rest = argument.partition(",")
    host, _, uri = rest.partition(",")
    if not address.strip():
        raise ValueError("write it as http:HOST:PORT")
    pools = _Pools(address.strip(), lambda text: parse_backend(text, http=True), workshop)
    uris = Template(uri)

    def action(context: Context) -> int:
        # Of the context, before anything is changed: the URI may be made of the other one.
        wanted = uris(context)
        if host:
            context.environ["HTTP_HOST"] = host
        if wanted:
            context.environ["REQUEST_URI"] = wanted
        return _forward(pools, context)

    return action


ACTIONS = {
    "uwsgi": uwsgi,
    "proxyuwsgi": uwsgi,
    "http": http,
    "httpdumb": http,
    "proxyhttp": http,
}
