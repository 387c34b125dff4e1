"""Responses of an application served here, compressed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from geuwsgi.server.gzipped import Gzipped
from tests.server.serving import serving

TEXT = b"hello world " * 100
ASKING = [("Content-Type", "text/plain"), ("uWSGI-Encoding", "gzip")]


def whole(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", ASKING)
    return [TEXT]


def streamed(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", ASKING)
    for start in range(0, len(TEXT), 100):
        yield b""
        yield TEXT[start : start + 100]


def bare(environ: dict[str, Any], start_response: Any) -> bytes:
    start_response("200 OK", ASKING)
    return TEXT


def written(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    write = start_response("200 OK", ASKING)
    write(TEXT[:500])
    write(TEXT[500:])
    return []


@pytest.mark.parametrize("application", [whole, bare, streamed, written])
def test_compressed(application: Any) -> None:
    with serving(Gzipped(application, True, False)) as server:
        client = server.connect()
        for _ in range(2):
            answer = client.ask("/", "GET", "Accept-Encoding: gzip")
            assert answer.headers["content-encoding"] == "gzip"
            assert answer.headers["vary"] == "Accept-Encoding"
            assert len(answer.body) < len(TEXT)
            assert zlib.decompress(answer.body, 31) == TEXT
        plain = client.ask()
        assert plain.body == TEXT
        assert "content-encoding" not in plain.headers
        assert plain.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("application", [whole, streamed])
def test_not_asked_for(application: Any) -> None:
    with serving(Gzipped(application, False, False)) as server:
        answer = server.ask("/", "GET", "Accept-Encoding: gzip")
        assert answer.body == TEXT
        assert "vary" not in answer.headers


def test_everything() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        kind = environ["QUERY_STRING"]
        start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(TEXT)))])
        return [TEXT]

    with serving(Gzipped(application, False, True)) as server:
        answer = server.ask("/?application/json", "GET", "Accept-Encoding: gzip")
        assert zlib.decompress(answer.body, 31) == TEXT
        assert server.ask("/?image/png", "GET", "Accept-Encoding: gzip").body == TEXT


def test_head() -> None:
    with serving(Gzipped(whole, True, False)) as server:
        client = server.connect()
        assert client.ask("/", "HEAD", "Accept-Encoding: gzip").headers["content-encoding"] == "gzip"
        assert client.ask().body == TEXT
