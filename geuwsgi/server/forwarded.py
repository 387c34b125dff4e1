"""Whose word counts for where a request comes from: X-Forwarded-For, -Proto and -Ssl are believed from the addresses of proxies only.

Anybody can send these headers. A proxy sets or extends them, so what it says is true as far as it has seen it itself: the last entry of
X-Forwarded-For is who connected to it, and if that is a proxy too the entry before it counts, and so on.

Source: gunicorn and uvicorn for the option's name and its default. uWSGI believes X-Forwarded-Proto from everybody.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any, Optional, Union

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

#: Everybody, peers on unix sockets, and nobody.
EVERYBODY = "*"
UNIX = "unix"
NOBODY = "none"

#: In an environ whose REMOTE_ADDR was corrected: whose connection it is.
PEER = "geuwsgi.peer"

#: Addresses whose trust is remembered; there are as many clients as there are.
_MAX_CACHED = 4096


def parse_allowed(text: str) -> tuple[str, ...]:
    """ "127.0.0.1, 10.0.0.0/8, unix" -> its parts.

    Raises:
        ValueError: says what is wrong with which part.
    """
    parts = tuple(filter(None, (part.strip() for part in text.split(","))))
    for part in parts:
        if part in (EVERYBODY, UNIX) or (part == NOBODY and len(parts) == 1):
            continue
        try:
            ipaddress.ip_network(part)
        except ValueError:
            raise ValueError(
                f"{part!r} is no IP address and no network; write addresses and networks such as 10.0.0.0/8 with commas between them, "
                "unix for unix sockets, * for everybody, or none"
            ) from None
    return parts


class Trust:
    """Who is believed.

    Args:
        allowed: as from `parse_allowed`.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        parts = set(allowed)
        self._everybody = EVERYBODY in parts
        self._unix = UNIX in parts or self._everybody
        self._networks: list[Network] = [ipaddress.ip_network(part) for part in parts - {EVERYBODY, UNIX, NOBODY}]
        self._known: dict[str, bool] = {}

    def believes(self, address: str) -> bool:
        """Whether a peer is believed.

        Args:
            address: its IP address; "" on a unix socket.
        """
        if not address or address == "unix:":  # which is what nginx says of its own clients
            return self._unix
        if self._everybody:
            return True
        found = self._known.get(address)
        if found is None:
            found = self._lies_in(address)
            if len(self._known) < _MAX_CACHED:
                self._known[address] = found
        return found

    def _lies_in(self, address: str) -> bool:
        try:
            number = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(number, "ipv4_mapped", None)  # an IPv4 client of a socket that is bound to [::]
        return any(number in network or (mapped is not None and mapped in network) for network in self._networks)

    def apply(self, environ: dict[str, Any]) -> None:
        """Correct REMOTE_ADDR, wsgi.url_scheme and HTTPS by what a believed peer says of the client; the headers stay as they are."""
        if not self.believes(environ["REMOTE_ADDR"]):
            return
        scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip().lower()
        if scheme not in ("http", "https"):
            scheme = "https" if environ.get("HTTP_X_FORWARDED_SSL", "").lower() == "on" else ""
        if scheme:
            environ["wsgi.url_scheme"] = scheme
            if scheme == "https":
                environ["HTTPS"] = "on"
            else:
                environ.pop("HTTPS", None)
        client = self._client(environ.get("HTTP_X_FORWARDED_FOR", ""))
        if client:
            environ[PEER] = environ["REMOTE_ADDR"]
            environ["REMOTE_ADDR"] = client
            environ.pop("REMOTE_PORT", None)

    def _client(self, header: str) -> str:
        """The last address that is not a proxy's of ours; if all are, the first. "" if there is none."""
        client = ""
        entries = header.split(",")
        if self._everybody:
            del entries[1:]  # which is where that leads to, however many there are
        for entry in reversed(entries):
            address = _address(entry.strip())
            if address is None:
                break
            client = address
            if not self.believes(address):
                break
        return client


def _address(entry: str) -> Optional[str]:
    """The address in "192.0.2.1", "192.0.2.1:4711", "2001:db8::1", "[2001:db8::1]:4711"; None if it is none."""
    if entry.startswith("["):
        entry = entry[1:].partition("]")[0]
    elif entry.count(":") == 1:
        entry = entry.partition(":")[0]
    if "%" in entry:
        return None  # a zone, which means something on one machine only, and may be any text
    try:
        return str(ipaddress.ip_address(entry))
    except ValueError:
        return None
