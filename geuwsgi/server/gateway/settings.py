"""What a gateway needs to know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GatewaySettings:
    """Limits and habits of the connections to backends.

    Attributes:
        timeout: seconds that a backend may be silent, or take nothing (`--http-timeout`).
        connect_timeout: seconds until a connection has to be there (`--http-connect-timeout`).
        grace: seconds for which a backend that could not be reached is left alone (`--http-gracetime`).
        chunked_input: hand chunked bodies to uwsgi backends as chunks, instead of collecting them (`--http-chunked-input`).
        raw_body: after the head hand on all that comes, whatever it is, in both directions (`--http-raw-body`).
        auto_gzip: compress responses that say `uWSGI-Encoding: gzip` (`--http-auto-gzip`).
        gzip: compress all responses of types that are worth it (`--http-gzip`).
        quiet: do not log backends that cannot be reached (`--http-quiet`).
        variables: (name, value) pairs for uwsgi backends besides those of the request (`--http-var`).
    """

    timeout: float = 60.0
    connect_timeout: float = 60.0
    grace: float = 30.0
    chunked_input: bool = False
    raw_body: bool = False
    auto_gzip: bool = False
    gzip: bool = False
    quiet: bool = False
    variables: tuple[tuple[str, str], ...] = (("UWSGI_ROUTER", "http"),)
