"""The PROXY protocol, versions 1 and 2: a proxy that forwards bytes says in front of them who its client is. No I/O.

Source: "The PROXY protocol", versions 1 and 2 (haproxy.org), sections 2.1, 2.2 and 2.2.6.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Optional

from ..errors import ProtocolError

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
#: The longest header of version 1, its line end included (section 2.1).
_MAX_LINE = 107
#: Of version 2, 16 bytes and the addresses; what is beyond them describes the client's TLS at most.
MAX_SIZE = 4096

_LOCAL, _PROXY = 0x20, 0x21
#: Family and transport -> address family, bytes of one address; 0 for an address that says nothing to us.
_FAMILIES = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16), 0x31: (None, 108), 0x00: (None, 0)}
_TLV_SSL = 0x20
_CLIENT_SSL = 0x01


class ProxyError(ProtocolError):
    """A header that is none, or is missing."""


@dataclass(frozen=True)
class ProxyHeader:
    """What a header says.

    Attributes:
        size: its bytes.
        address: the client's; "" when the proxy does not say, or speaks for itself (a health check).
        port: the client's.
        tls: the client speaks TLS with the proxy, which has told so.
    """

    size: int
    address: str = ""
    port: int = 0
    tls: bool = False


def parse(data: bytes) -> Optional[ProxyHeader]:
    """The header at the beginning of `data`.

    Returns:
        None when there is not all of it yet; then every byte of `data` belongs to it.

    Raises:
        ProxyError: that is no header.
    """
    if data.startswith(_SIGNATURE[: len(data)]) and data[:1] == b"\r":
        return _version_2(data)
    if data.startswith(b"PROXY "[: len(data)]):
        return _version_1(data)
    raise ProxyError(f"no PROXY protocol header, but {data[:16]!r}")


def _version_1(data: bytes) -> Optional[ProxyHeader]:
    end = data.find(b"\r\n", 0, _MAX_LINE)
    if b"\n" in data[: _MAX_LINE if end < 0 else end] or (end < 0 and len(data) >= _MAX_LINE):
        raise ProxyError("a PROXY line without an end")
    if end < 0:
        return None
    fields = data[:end].decode("latin-1").split(" ")
    if len(fields) > 1 and fields[1] == "UNKNOWN":
        return ProxyHeader(end + 2)
    if len(fields) != 6 or fields[1] not in ("TCP4", "TCP6"):
        raise ProxyError(f"malformed PROXY line {data[:end]!r}")
    version = 4 if fields[1] == "TCP4" else 6
    try:
        source, destination = map(ipaddress.ip_address, fields[2:4])
        port, _ = map(_port, fields[4:])
        # A zone ("fe80::1%eth0") means something on one machine only, and may be any text.
        if not source.version == destination.version == version or "%" in fields[2] + fields[3]:
            raise ValueError
    except ValueError:
        raise ProxyError(f"malformed PROXY line {data[:end]!r}") from None
    return ProxyHeader(end + 2, str(source), port)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > 65535:
        raise ValueError
    return int(text)


def _version_2(data: bytes) -> Optional[ProxyHeader]:
    if len(data) < 16:
        return None
    command, family = data[12], data[13]
    size = 16 + int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXY):
        raise ProxyError(f"PROXY header with version and command {command:#04x}")
    if size > MAX_SIZE:
        raise ProxyError(f"PROXY header of {size} bytes, more than {MAX_SIZE}")
    if len(data) < size:
        return None
    if command == _LOCAL:
        return ProxyHeader(size)
    if family not in _FAMILIES:
        raise ProxyError(f"PROXY header with family and transport {family:#04x}, only streams are served")
    kind, width = _FAMILIES[family]
    body = data[16:size]
    ports = 4 if kind is not None else 0
    if len(body) < 2 * width + ports:
        raise ProxyError("PROXY header that is shorter than its addresses")
    tls = _speaks_tls(body[2 * width + ports :])
    if kind is None:
        return ProxyHeader(size, tls=tls)
    address = str(ipaddress.ip_address(body[:width]))
    return ProxyHeader(size, address, int.from_bytes(body[2 * width : 2 * width + 2], "big"), tls)


def _speaks_tls(rest: bytes) -> bool:
    """What the TLV of type PP2_TYPE_SSL says (section 2.2.6), without one no."""
    at = 0
    found = False
    while at < len(rest):
        end = at + 3 + int.from_bytes(rest[at + 1 : at + 3], "big")
        if at + 3 > len(rest) or end > len(rest):
            raise ProxyError("PROXY header whose parts do not add up")
        if rest[at] == _TLV_SSL and end > at + 3:
            found = bool(rest[at + 3] & _CLIENT_SSL)
        at = end
    return found
