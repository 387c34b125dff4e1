"""Addresses of backends as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from geuwsgi.server.gateway.backend import parse_backend


@pytest.mark.parametrize(
    ("text", "http", "target", "modifiers"),
    [
        ("127.0.0.1:3031", False, ("127.0.0.1", 3031), (0, 0)),
        (":3031", False, ("127.0.0.1", 3031), (0, 0)),
        ("[::1]:3031", False, ("::1", 3031), (0, 0)),
        ("uwsgi://127.0.0.1:3031,7", False, ("127.0.0.1", 3031), (7, 0)),
        ("uwsgi:127.0.0.1:3031,5,2", False, ("127.0.0.1", 3031), (5, 2)),
        ("/run/app.sock,7", False, b"/run/app.sock", (7, 0)),
        ("app.sock", False, b"app.sock", (0, 0)),
        ("@name", False, b"\0name", (0, 0)),
        ("http://127.0.0.1:8080/", True, ("127.0.0.1", 8080), (0, 0)),
        ("http:127.0.0.1:8080", True, ("127.0.0.1", 8080), (0, 0)),
        ("http://127.0.0.1", True, ("127.0.0.1", 80), (0, 0)),
        ("HTTP://[::1]", True, ("::1", 80), (0, 0)),
        ("http:///run/app.sock", True, b"/run/app.sock", (0, 0)),
    ],
)
def test_address(text: str, http: bool, target: Any, modifiers: tuple[int, int]) -> None:
    backend = parse_backend(text)
    assert backend.name == text
    assert backend.http is http
    assert [address for _, address in backend.targets()] == [target]
    assert (backend.modifier1, backend.modifier2) == modifiers


def test_defaults() -> None:
    assert parse_backend("127.0.0.1:1", modifier1=5, modifier2=1).modifier1 == 5
    assert parse_backend("127.0.0.1:1,7", modifier1=5, modifier2=1).modifier2 == 1
    assert parse_backend("127.0.0.1:1", http=True).http
    assert not parse_backend("uwsgi://127.0.0.1:1", http=True).http


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3031",
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "::1:3031",
        "@",
        "https://x:1",
        "http://",
        "http://x/y:1",
        "1.2.3.4:1,256",
        "/" * 108,
    ],
)
def test_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=" "):
        parse_backend(text)


@pytest.mark.parametrize("text", ["https://x:1", "ftp://127.0.0.1:80", "fastcgi:127.0.0.1:9000"])
def test_what_backends_speak(text: str) -> None:
    with pytest.raises(ValueError, match="backends speak HTTP or the uwsgi protocol"):
        parse_backend(text)


def test_name_is_looked_up() -> None:
    backend = parse_backend("localhost:3031")
    assert ("127.0.0.1", 3031) in [address[:2] for _, address in backend.targets()]
