"""The value of `--channel-backend`, taken apart."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from ..errors import ChannelError

DEFAULT_PREFIX = "geuwsgi:"

_REDIS_SCHEMES = {"redis": "redis", "rediss": "rediss", "redis+unix": "unix"}


@dataclass(frozen=True)
class BackendAddress:
    """Where messages go.

    Attributes:
        kind: "memory", "unix" or "redis".
        location: the directory of a unix mesh ("" for one of the server's own), or the address for redis-py.
        prefix: stands before each channel's name in Redis.
    """

    kind: str
    location: str = ""
    prefix: str = DEFAULT_PREFIX


def parse_backend(text: str) -> BackendAddress:
    """Take an address apart.

    Args:
        text: memory | unix | unix:DIRECTORY | redis://[user:password@]host[:port][/db][?prefix=P] | rediss://... |
            redis+unix://[user:password@]/path/to.sock[?db=N&prefix=P]

    Raises:
        ChannelError: it is none of these.
    """
    if text in ("memory", "unix"):
        return BackendAddress(text)
    if text.startswith("unix:"):
        return BackendAddress("unix", _directory(text[5:]))
    named, separator, _ = text.partition("://")
    scheme = _REDIS_SCHEMES.get(named.lower())
    if scheme is None or not separator:
        raise ChannelError("expected memory, unix, unix:DIRECTORY, redis://HOST:PORT/DB, rediss://... or redis+unix:///PATH")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ChannelError(str(error)) from None
    if scheme == "unix":
        if host or not parts.path.strip("/"):
            raise ChannelError("redis+unix:// needs the whole path of a socket, as in redis+unix:///run/redis.sock")
    elif not host:
        raise ChannelError(f"a host is missing, as in {named}://localhost:6379/0")
    elif parts.path.strip("/") and not parts.path.strip("/").isdecimal():
        raise ChannelError(f"{parts.path.strip('/')} is no database: they are numbered, as in {named}://{host}/0")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    prefix = query.pop("prefix", DEFAULT_PREFIX)
    _check_files(query)
    location = urlunsplit((scheme, parts.netloc, parts.path, urlencode(query), ""))
    if scheme == "unix" and not location.startswith("unix://"):
        location = location.replace("unix:", "unix://", 1)
    return BackendAddress("redis", location, prefix)


def _directory(text: str) -> str:
    if not text:
        raise ChannelError("unix: needs a directory, as in unix:/run/room; without a colon the server makes one of its own")
    if text.startswith("//"):
        raise ChannelError("a directory is written unix:/run/room, the socket of Redis redis+unix:///run/redis.sock")
    return text


def _check_files(query: dict[str, str]) -> None:
    """Redis would be taken for away for as long as a certificate is not there."""
    for name in ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"):
        if name in query and not os.access(query[name], os.R_OK):
            raise ChannelError(f"{name}: {query[name]} cannot be read")
