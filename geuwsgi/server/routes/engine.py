"""Goes through the rules of a request, of its response, and of its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable

from ...log import log
from .context import BREAK, CONTINUE, JUMP, NEXT, Context

if TYPE_CHECKING:
    from ..request import Request
    from ..static import StaticFiles

#: The four chains: before the application; when a status is known; before the head is sent; when all is over.
REQUEST = "route"
ERROR = "error-route"
RESPONSE = "response-route"
FINAL = "final-route"

#: Sets `context.match` where it is a regular expression that decides.
Test = Callable[[Context], bool]
Action = Callable[[Context], int]


@dataclass
class Services:
    """What rules need of the worker. Filled in when it starts; nothing of it is there when the rules are compiled.

    Attributes:
        worker_id: 1 to n.
        sockets: descriptors of the listening sockets.
        set_harakiri: give the request of the calling greenlet so many seconds.
        set_process_name: change what `ps` shows.
        signal: raise a signal of uWSGI's signal framework.
    """

    worker_id: int = 0
    sockets: Sequence[int] = ()
    set_harakiri: Callable[[int], None] = lambda seconds: None
    set_process_name: Callable[[str], None] = lambda name: None
    signal: Callable[[int], Any] = lambda number: None


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        test: whether it applies.
        act: what is done then.
        text: how it was written, for the log.
    """

    test: Test
    act: Action
    text: str


@dataclass
class Routes:
    """All rules of a server, compiled.

    Attributes:
        chains: the rules of each phase; phases without rules are absent.
        labels: of each phase, where its labels stand: the number of the rule behind one.
        added: (name, value) headers for every response (`--add-header`).
        removed: names, in lower case, of headers that no response has (`--del-header`).
        collected: (name in lower case, variable) pairs of headers that become variables of the request (`--collect-header`).
        pulled: the same for those that leave the response (`--pull-header`).
        files: finds the type of a file, and serves one.
        services: see Services.
    """

    files: StaticFiles
    chains: dict[str, tuple[Rule, ...]] = field(default_factory=dict)
    labels: dict[str, dict[str, int]] = field(default_factory=dict)
    added: tuple[tuple[str, str], ...] = ()
    removed: frozenset[str] = frozenset()
    collected: tuple[tuple[str, str], ...] = ()
    pulled: tuple[tuple[str, str], ...] = ()
    services: Services = field(default_factory=Services)

    def context(self, request: Request, environ: dict[str, Any]) -> Context:
        """What the rules of one request share."""
        return Context(self, request, environ)

    def run(self, phase: str, context: Context) -> int:
        """Go through the rules of a phase; CONTINUE when the application may go on, BREAK when it may not.

        Source: uWSGI's `uwsgi_apply_routes_do`.
        """
        rules = self.chains.get(phase, ())
        position = 0
        count = len(rules)
        while position < count:
            rule = rules[position]
            context.match = None
            if rule.test(context):
                context.position = position
                verdict = rule.act(context)
                if verdict == JUMP:
                    position = context.jump
                    continue
                if verdict != NEXT:
                    return verdict
            position += 1
        return CONTINUE

    def finish(self, context: Context) -> None:
        """Go through the rules for the end of a request."""
        status = context.request.status
        if status:
            context.code = int(status[:3])
        self.run(FINAL, context)


def find_label(context: Context, phase: str, name: str) -> int:
    """JUMP to a label or to the rule of a number, which has to lie ahead; else the request is broken off with a 500."""
    target = context.routes.labels.get(phase, {}).get(name)
    if target is None:
        target = int(name) if name.isascii() and name.isdigit() and len(name) < 10 else -1
    if target <= context.position:
        log(f'[uwsgi-route] "goto:{name}": there is no such label ahead')
        context.respond("500 Internal Server Error", [("Content-Type", "text/plain")], b"Internal Server Error")
        return BREAK
    context.jump = target
    return JUMP
