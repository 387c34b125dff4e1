"""`--channel-backend` taken apart, and what channels may be called."""

from __future__ import annotations

import pytest

from geuwsgi.channels.address import BackendAddress, parse_backend
from geuwsgi.channels.names import check_name, decode_name, encode_name
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
    "text", ["", "Memory", "localhost:6379", "http://h", "redis", "redis+unix://", "redis://h:port/0", "redis://h:99999"]
)
def test_none(text: str) -> None:
    with pytest.raises(ChannelError):
        parse_backend(text)


def test_names() -> None:
    assert encode_name("é") == b"\xc3\xa9"
    assert encode_name(decode_name(b"\xff room")) == b"\xff room"
    for name in ("", "x" * 1024, "é" * 512, "\udcff"):
        assert check_name(name) == name
    for name in ("x" * 1025, "é" * 513, "\ud800"):
        with pytest.raises(ChannelError):
            check_name(name)
