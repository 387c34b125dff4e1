"""What the rules share while one request is served."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Callable, Optional

if TYPE_CHECKING:
    from ..request import Request
    from .engine import Routes

#: A WSGI callable that answers in the place of the application.
Answer = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

#: What an action returns: go on with the next rule; with the application; this request is answered; with the rule at `context.jump`.
NEXT = 0
CONTINUE = 1
BREAK = 2
JUMP = 3

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]+")
_NOT_IN_A_URL = re.compile("[^\x21-\x7e]")


class Context:
    """One request and its response, as the rules see them.

    Attributes:
        routes: all rules.
        request: the request.
        environ: its environ, which rules change.
        match: what the regular expression of the rule that is being run has matched, or None.
        code: the status code of the response; 500 while there is none, as in uWSGI.
        position: the number of the rule that is being run.
        jump: where to go on after JUMP.
        answer: who answers in the place of the application, or None.
        prepared: a status that `clearheaders` has set, "" for none.
        text: what `send` has put in front of the body.
        added: (name, value) headers to add to the response.
        removed: names, in lower case, of headers to take out of it.
        compress: the body is to be sent as gzip.
        disconnected: the connection was ended.
    """

    __slots__ = (
        "added",
        "answer",
        "code",
        "compress",
        "disconnected",
        "environ",
        "jump",
        "match",
        "position",
        "prepared",
        "removed",
        "request",
        "routes",
        "text",
    )

    def __init__(self, routes: Routes, request: Request, environ: dict[str, Any]) -> None:
        self.routes = routes
        self.request = request
        self.environ = environ
        self.match: Optional[re.Match[str]] = None
        self.code = 500
        self.position = 0
        self.jump = 0
        self.answer: Optional[Answer] = None
        self.prepared = ""
        self.text = b""
        self.added: list[tuple[str, str]] = []
        self.removed: set[str] = set()
        self.compress = False
        self.disconnected = False

    def group(self, number: int) -> str:
        """What a group has matched; "" where there is none."""
        match = self.match
        if match is None or number > match.re.groups:
            return ""
        return match.group(number) or ""

    def variable(self, name: str) -> str:
        """A variable of the request; "" where there is none."""
        value = self.environ.get(name)
        return value if type(value) is str else ""

    def respond(self, status: str, headers: list[tuple[str, str]], body: bytes) -> int:
        """Answer in the place of the application; BREAK."""

        def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            start_response(status, headers)
            return [body]

        self.answer = answer
        return BREAK

    def add_header(self, name: str, value: str) -> None:
        """Add a header to the response. What a client put into the value cannot end the line."""
        self.added.append((name, header_value(value)))


def header_value(text: str) -> str:
    """A text without what a header's value must not contain."""
    return _CONTROL.sub(" ", text).strip(" \t")


def url(text: str) -> str:
    """A text as a Location header may have it: what is no character of a URL is encoded."""
    return _NOT_IN_A_URL.sub(lambda match: f"%{ord(match[0]):02X}", text)
