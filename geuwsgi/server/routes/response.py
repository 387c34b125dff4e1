"""A response under rules: `--error-route`, `--response-route`, and the headers that rules add, take away and collect.

All of it happens at one moment, when the head is about to be sent: the application, a static file, the server's own error page and a rule
that answers all pass there, and nothing has been sent that could contradict. uWSGI looks at `--error-route` when the status is set,
before the headers, which makes no difference to a rule.
"""

from __future__ import annotations

import os
import zlib
from typing import Any

from ..gateway import gzip
from ..head import Head
from ..response import JOIN_LIMIT, Response
from .context import BREAK, Context, header_value
from .engine import ERROR, RESPONSE


class _Answered(Exception):
    """A rule has answered in the place of what was about to be sent."""


class Ruled:
    """What a response under rules has to know.

    Attributes:
        context: of its request's rules.
        phases: those that its head has still to pass.
        consulted: the rules have said all that they have to say.
        extra: bytes of text that were sent in front of the body.
        compressor: makes gzip of the body, None where it stays as it is.
    """

    __slots__ = ("compressor", "consulted", "context", "extra", "phases")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.phases = [ERROR, RESPONSE]
        self.consulted = False
        self.extra = 0
        self.compressor: Any = None

    def greet(self, head: bytes) -> bytes:
        """The head of a websocket's handshake with the headers that rules add. An answer of theirs comes too late: it is accepted."""
        context, self.phases = self.context, []
        context.code = 101
        for phase in (ERROR, RESPONSE):
            context.routes.run(phase, context)
        added = [
            (name, header_value(value))
            for name, value in (*context.routes.added, *context.added)
            if name.lower() != "content-length" and not name.lower().startswith("sec-websocket-")
        ]
        lines = Head("101 Switching Protocols", added).lines[1:]
        return head[:-2] + "".join([line + "\r\n" for line in lines]).encode("latin-1") + b"\r\n"


def rule(response: Response, context: Context) -> None:
    """Put a response under rules before anything of it is sent, whatever protocol it speaks.

    Its class becomes one that has `RuledResponse` in front: nothing of this is on the way of responses without rules.
    """
    response.ruled = Ruled(context)
    response.__class__ = _ruled_class(type(response))


_classes: dict[Any, type[Response]] = {}


def _ruled_class(kind: type[Response]) -> type[Response]:
    found = _classes.get(kind)
    if found is None:
        # Without slots of its own, so that an object can change to it.
        found = _classes[kind] = type(f"Ruled{kind.__name__}", (RuledResponse, kind), {"__slots__": ()})
    return found


class RuledResponse(Response):
    """The part of a response that rules look at."""

    __slots__ = ()

    ruled: Ruled

    # -- everything that may send the head

    def send(self, result: Any) -> None:
        """As `Response.send`."""
        try:
            super().send(result)
        except _Answered:
            pass
        extra, self.ruled.extra = self.ruled.extra, 0
        self._request.body_bytes += extra

    def write(self, data: bytes) -> None:
        """As `Response.write`."""
        try:
            super().write(data)
        except _Answered:
            pass

    def write_file(self, fd: int, offset: int, count: int) -> None:
        """As `Response.write_file`."""
        try:
            self._consult()
            if self.ruled.compressor is None:
                super().write_file(fd, offset, count)
            elif not self.refused:
                self._squeeze_file(fd, offset, count)
        except _Answered:
            pass

    def write_raw(self, data: bytes) -> None:
        """As `Response.write_raw`."""
        try:
            super().write_raw(data)
        except _Answered:
            pass

    def fail(self, status: str) -> None:
        """As `Response.fail`."""
        try:
            super().fail(status)
        except _Answered:
            pass

    def refuse(self, status: str) -> None:
        """As `Response.refuse`: no rule has a say in it."""
        self.ruled.phases = []
        self.ruled.context.compress = False
        super().refuse(status)

    # -- the rules

    def _build_head(self, size: int) -> bytes:
        self._consult()
        context = self.ruled.context
        if not context.text or self._head is None:
            return super()._build_head(size)
        text, context.text = context.text, b""
        return self._with_text(text, size)

    def _consult(self) -> None:
        """Have the rules look at the head, once, before any of it is sent."""
        ruled, head = self.ruled, self._head
        if head is None or ruled.consulted:
            return
        ruled.consulted = True
        context = ruled.context
        self._collect(head, context)
        context.code = head.code
        while ruled.phases:
            phase = ruled.phases.pop(0)
            context.prepared = ""
            context.answer = None
            if context.routes.run(phase, context) == BREAK:
                self._replace(context)
                raise _Answered
            if context.prepared:  # a new head for the same body
                self._head = Head(context.prepared, [])
                self._request.status = context.prepared
                context.code = self._head.code
        self._edit(context)
        if context.compress and not self.head_sent:
            self._prepare_compression(context)

    def _replace(self, context: Context) -> None:
        """Send the answer of a rule. Its head passes the phases that are left."""
        if context.disconnected:
            self.refused = True
            return
        answer = context.answer
        if answer is None:
            # `break:` alone, or what stands before it: the head as it is, and no body, as in uWSGI.
            # Only where the application has begun is there a head and nothing prepared.
            head = self._head
            status, lines = (context.prepared, []) if head is None or context.prepared else (head.lines[0], head.lines[1:])
            headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines) if name.lower() != "content-length"]
            body, context.text = context.text, b""
            context.respond(status, headers, body)
            answer = context.answer
        assert answer is not None
        context.answer = None
        self._head = None
        self.ruled.consulted = False
        result = answer(context.environ, self.start_response)
        try:
            self.send(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        self.refused = True  # what the application says from now on has no place any more

    def _collect(self, head: Head, context: Context) -> None:
        """Make variables of headers."""
        routes = context.routes
        if not routes.collected and not routes.pulled:
            return
        pulled = set()
        for index, line in enumerate(head.lines[1:], 1):
            name, _, value = line.partition(": ")
            lower = name.lower()
            for wanted, variable in routes.collected:
                if wanted == lower:
                    context.environ[variable] = value
            for wanted, variable in routes.pulled:
                if wanted == lower:
                    context.environ[variable] = value
                    pulled.add(index)
        if pulled:
            head.lines = [line for index, line in enumerate(head.lines) if index not in pulled]

    def _edit(self, context: Context) -> None:
        """Take headers away, then add some."""
        head = self._head
        assert head is not None
        routes = context.routes
        removed = routes.removed | context.removed
        if removed:
            head.lines = head.lines[:1] + [line for line in head.lines[1:] if line.partition(":")[0].lower() not in removed]
            if "content-length" in removed:
                head.length = -1
            if "date" in removed:
                head.has_date = False
        for name, value in (*routes.added, *context.added):
            extra = Head("200 OK", [(name, header_value(value))])
            if extra.length >= 0 and head.length >= 0:
                continue  # the body has this length and no other
            if extra.length >= 0:
                head.length = extra.length
            head.close = head.close or extra.close
            if extra.has_date and head.has_date:
                continue
            head.has_date = head.has_date or extra.has_date
            head.lines.extend(extra.lines[1:])

    def _with_text(self, text: bytes, size: int) -> bytes:
        """The head and what comes before the body."""
        head = self._head
        assert head is not None
        if head.length >= 0:
            head.length += len(text)
            head.lines = [
                f"Content-Length: {head.length}" if line[:15].lower() == "content-length:" else line for line in head.lines
            ]  # fmt: skip
        start = super()._build_head(size + len(text) if size >= 0 else -1)
        if self._no_body:
            return start
        self.ruled.extra = len(text)
        if self._left >= 0:
            self._left -= len(text)
        return start + (b"%x\r\n%b\r\n" % (len(text), text) if self._chunked else text)

    # -- compression

    def _prepare_compression(self, context: Context) -> None:
        head = self._head
        assert head is not None
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in head.lines[1:])]
        fields = {name.lower(): value for name, value in headers}
        if (
            head.code in (204, 206, 304)
            or "content-encoding" in fields
            or "no-transform" in fields.get("cache-control", "")
            or head.length == 0
        ):
            return
        accepted = gzip.accepts_gzip(context.environ)
        # The length is that of what the application sends, which is checked no more.
        status = head.lines[0]
        self._head = Head(status, gzip.adapt(headers, accepted))
        self._head.close = head.close
        if accepted:
            self.ruled.compressor = zlib.compressobj(wbits=gzip.GZIP)

    def _squeeze(self, data: bytes, end: bool) -> bytes:
        """The next bytes of a compressed body. Each piece can be read as soon as it has come."""
        compressor = self.ruled.compressor
        context = self.ruled.context
        text, context.text = context.text, b""
        data = compressor.compress(text + data)
        if end:
            self.ruled.compressor = None
            return data + compressor.flush()  # type: ignore[no-any-return]
        return data + compressor.flush(zlib.Z_SYNC_FLUSH)  # type: ignore[no-any-return]

    def _send(self, data: bytes) -> None:
        self._consult()
        super()._send(self._squeeze(data, False) if data and self.ruled.compressor is not None else data)

    def _send_whole(self, data: bytes) -> None:
        self._consult()
        super()._send_whole(self._squeeze(data, True) if self.ruled.compressor is not None else data)

    def _send_file(self, fd: int, offset: int, size: int) -> None:
        limit = self._head.length if self._head is not None else -1
        self._consult()
        if self.ruled.compressor is None:
            super()._send_file(fd, offset, size)
            return
        self._squeeze_file(fd, offset, min(size, limit) if limit >= 0 else size)
        self._finish()

    def _squeeze_file(self, fd: int, offset: int, count: int) -> None:
        while count > 0:
            data = os.pread(fd, min(count, JOIN_LIMIT), offset)
            if not data:
                break
            offset += len(data)
            count -= len(data)
            self._send(data)

    def _finish(self) -> None:
        if self.head_sent and self.ruled.compressor is not None:
            super()._send(self._squeeze(b"", True))
        super()._finish()
