"""`--channel-backend` taken apart, and what channels may be called."""

from __future__ import annotations

import pytest

from geuwsgi.channels.address import BackendAddress, parse_backend
from geuwsgi.channels.names import check_name, decode_name, encode_name
from geuwsgi.channels.redis import new_client
from geuwsgi.errors import ChannelError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("memory", BackendAddress("memory")),
        ("unix", BackendAddress("unix")),
        ("unix:/run/x", BackendAddress("unix", "/run/x")),
        ("redis://localhost", BackendAddress("redis", "redis://localhost")),
        ("redis://u:p%40ss@[::1]:7/2?prefix=game:", BackendAddress("redis", "redis://u:p%40ss@[::1]:7/2", "game:")),
        ("redis://h?prefix=", BackendAddress("redis", "redis://h", "")),
        ("redis://h?ssl=1&prefix=p&x=y", BackendAddress("redis", "redis://h?ssl=1&x=y", "p")),
        ("rediss://h:1/0", BackendAddress("redis", "rediss://h:1/0")),
        ("redis+unix:///run/r.sock?db=3", BackendAddress("redis", "unix:///run/r.sock?db=3")),
        ("redis+unix://u:p@/run/r.sock", BackendAddress("redis", "unix://u:p@/run/r.sock")),
    ],
)
def test_addresses(text: str, address: BackendAddress) -> None:
    assert parse_backend(text) == address


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected memory, unix, unix:DIRECTORY, redis://"),
        ("Memory", "expected memory"),
        ("memory://", "expected memory"),
        ("localhost:6379", "expected memory"),
        ("http://h", "expected memory"),
        ("redis", "expected memory"),
        ("redis:/localhost", "expected memory"),
        ("redis//localhost", "expected memory"),
        ("redis://", "a host is missing, as in redis://localhost:6379/0"),
        ("rediss:///0", "a host is missing, as in rediss://localhost:6379/0"),
        ("redis://user:password@/0", "a host is missing"),
        ("redis://h:port/0", "Port could not be cast"),
        ("redis://h:99999", "Port out of range"),
        ("redis://[::1/0", "Invalid IPv6 URL"),
        ("redis://h/main", "main is no database: they are numbered, as in redis://h/0"),
        ("redis://h/-1", "-1 is no database"),
        ("rediss://h/0?ssl_ca_certs=/not/there.pem", "ssl_ca_certs: /not/there.pem cannot be read"),
        ("redis+unix://", "needs the whole path of a socket"),
        ("redis+unix:///", "needs the whole path of a socket"),
        ("redis+unix://run/redis.sock", "needs the whole path of a socket, as in redis\\+unix:///run/redis.sock"),
        ("unix:", "needs a directory"),
        ("unix:///run/redis.sock", "the socket of Redis redis\\+unix:///run/redis.sock"),
    ],
)
def test_none(text: str, complaint: str) -> None:
    with pytest.raises(ChannelError, match=complaint):
        parse_backend(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("redis://h?colour=red", "does not take 'colour' behind the question mark$"),
        ("redis://h?ssl_ca_certs=/", "does not take 'ssl_ca_certs' behind the question mark, which needs rediss://"),
        ("redis://h?socket_timeout=long", "socket_timeout"),
    ],
)
def test_what_the_redis_package_does_not_take(text: str, complaint: str) -> None:
    with pytest.raises(ChannelError, match=complaint):
        new_client(parse_backend(text))


def test_names() -> None:
    assert encode_name("é") == b"\xc3\xa9"
    assert encode_name(decode_name(b"\xff room")) == b"\xff room"
    for name in ("", "x" * 1024, "é" * 512, "\udcff"):
        assert check_name(name) == name
    for name in ("x" * 1025, "é" * 513, "\ud800"):
        with pytest.raises(ChannelError):
            check_name(name)
