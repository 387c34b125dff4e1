"""Where a backend is and what it speaks.

127.0.0.1:3031   :3031   [::1]:3031   name:3031   /run/app.sock   @name       the uwsgi protocol
127.0.0.1:3031,7   127.0.0.1:3031,7,1                                         the same, with modifier1 and modifier2
uwsgi://127.0.0.1:3031                                                        the same
http://127.0.0.1:8080   http:127.0.0.1:8080   http:///run/app.sock            HTTP/1.1
"""

from __future__ import annotations

import os
import re
import socket as stdlib_socket
from typing import Any

#: Bytes of `sun_path` that a name may take, its terminating NUL not counted.
_UNIX_PATH_MAX = 107

_SCHEME = re.compile(r"(uwsgi|http):(?://)?", re.IGNORECASE)
_MODIFIERS = re.compile(r"(.*?)(?:,([0-9]{1,3})(?:,([0-9]{1,3}))?)?")

#: Indexes of `Backend.counts`: requests forwarded to it, how often it could not be reached, requests and tunnels that it serves at the
#: moment, the second (since the epoch) from which on it has not been reached, 0 while it is.
HITS, FAILURES, ACTIVE, DEAD_SINCE = range(4)
COUNTS = 4

FORMS = "write 127.0.0.1:3031 or the path of a unix socket for the uwsgi protocol, http://127.0.0.1:8080 for HTTP"


class Backend:
    """One server to forward to.

    Args:
        name: the address as a person wrote it, for logs.
        http: it speaks HTTP; else the uwsgi protocol.
        host: its name or IP address, "" for a unix socket.
        port: its port, 0 for a unix socket.
        path: the address of a unix socket, with a NUL in front in the abstract namespace; b"" for TCP.
        modifier1, modifier2: of the uwsgi protocol.

    Attributes:
        dead_until: in the loop's time; before it the backend is left alone. 0 while it answers.
        counts: what is told about it, at HITS, FAILURES, ACTIVE and DEAD_SINCE.
        idle: connections kept open for the next request, the latest last.
    """

    def __init__(
        self, name: str, http: bool, host: str = "", port: int = 0, path: bytes = b"", modifier1: int = 0, modifier2: int = 0
    ) -> None:
        self.name = name
        self.http = http
        self.host = host
        self.port = port
        self.path = path
        self.modifier1 = modifier1
        self.modifier2 = modifier2
        self.dead_until = 0.0
        self.counts: Any = [0] * COUNTS
        self.idle: list[Any] = []
        self._targets: list[tuple[int, Any]] = []
        if path:
            self._targets = [(stdlib_socket.AF_UNIX, path)]
        else:
            for family in (stdlib_socket.AF_INET, stdlib_socket.AF_INET6):
                try:
                    stdlib_socket.inet_pton(family, host)
                except OSError:
                    continue
                self._targets = [(family, (host, port))]
        self._fixed = bool(self._targets)

    def targets(self) -> list[tuple[int, Any]]:
        """(family, address) pairs to connect to, the best first. A name is looked up when it is needed, and again after a failure.

        Raises:
            OSError: the name is unknown.
        """
        if not self._targets:
            import gevent.socket  # not before the standard library is patched

            found = gevent.socket.getaddrinfo(self.host, self.port, 0, stdlib_socket.SOCK_STREAM)
            self._targets = [(entry[0], entry[4]) for entry in found]
        return self._targets

    def forget_targets(self) -> None:
        """Nobody answers there: look the name up anew next time."""
        if not self._fixed:
            self._targets = []


def parse_backend(text: str, modifier1: int = 0, modifier2: int = 0, http: bool = False) -> Backend:
    """An address as people write it.

    Args:
        text: see the head of this file.
        modifier1, modifier2: for addresses that name none.
        http: what an address without a scheme means.

    Raises:
        ValueError: it is none; says what to write.
    """
    scheme = _SCHEME.match(text)
    rest = text
    if scheme:
        http = scheme[1].lower() == "http"
        rest = text[scheme.end() :]
    elif "://" in text or text.lower().startswith(("https:", "fastcgi:", "scgi:")):
        raise ValueError(f"backends speak HTTP or the uwsgi protocol; {FORMS}")
    if http:
        if scheme and rest.count("/") == 1 and rest.endswith("/") and len(rest) > 1:
            rest = rest[:-1]  # http://host:8080/
    else:
        found = _MODIFIERS.fullmatch(rest)
        assert found is not None
        rest = found[1]
        modifier1 = _modifier(found[2], modifier1)
        modifier2 = _modifier(found[3], modifier2)
    if rest.startswith(("@", "/", ".")) or (":" not in rest and not (http and scheme)):
        path = os.fsencode(rest)
        if rest.isdigit() or not rest:
            raise ValueError(FORMS)
        if not rest.strip("@") or len(path) > _UNIX_PATH_MAX:
            raise ValueError(f"the name of a unix socket has 1 to {_UNIX_PATH_MAX} bytes")
        return Backend(text, http, path=b"\0" + path[1:] if rest[0] == "@" else path, modifier1=modifier1, modifier2=modifier2)
    host, port = _host_and_port(rest, bool(scheme) and http)
    return Backend(text, http, host, port, modifier1=modifier1, modifier2=modifier2)


def _modifier(text: Any, default: int) -> int:
    number = default if text is None else int(text)
    if number > 255:
        raise ValueError(f"a modifier is a number from 0 to 255, not {number}")
    return number


def _host_and_port(text: str, url: bool) -> tuple[str, int]:
    """ "[::1]:80" -> ("::1", 80), ":80" -> ("127.0.0.1", 80); the port of an http:// URL may be left out."""
    host, colon, port = text.rpartition(":")
    if url and (not colon or port.endswith("]")):
        host, port = text, "80"
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets, as in [::1]:3031")
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
        raise ValueError(f"the port {port!r} is not a number from 1 to 65535; {FORMS}")
    if "/" in host or (not host and url):
        raise ValueError(FORMS)
    return host or "127.0.0.1", int(port)
