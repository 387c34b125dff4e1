"""Requests of HTTP/2 that backends answer (`--http ADDRESS --http-to ADDRESS`)."""

from __future__ import annotations

from ..gateway.front import FrontConnection
from .stream import HTTP2Stream


class FrontStream(FrontConnection, HTTP2Stream):
    """A stream of a listener that forwards."""

    __slots__ = ()
