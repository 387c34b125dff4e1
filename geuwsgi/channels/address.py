"""The value of `--channel-backend`, taken apart."""

from __future__ import annotations

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
        return BackendAddress("unix", text[5:])
    parts = urlsplit(text)
    scheme = _REDIS_SCHEMES.get(parts.scheme)
    if scheme is None:
        raise ChannelError("expected memory, unix, unix:DIRECTORY, redis://HOST:PORT/DB, rediss://... or redis+unix:///PATH")
    if scheme == "unix" and not parts.path:
        raise ChannelError("redis+unix:// needs the path of a socket, as in redis+unix:///run/redis.sock")
    try:
        _ = parts.port
    except ValueError as error:
        raise ChannelError(str(error)) from None
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    prefix = query.pop("prefix", DEFAULT_PREFIX)
    location = urlunsplit((scheme, parts.netloc, parts.path, urlencode(query), ""))
    if scheme == "unix" and not location.startswith("unix://"):
        location = location.replace("unix:", "unix://", 1)
    return BackendAddress("redis", location, prefix)
