"""Requests of the uwsgi protocol, as bytes."""

from __future__ import annotations

import pytest

from geuwsgi.protocol.uwsgi_client import encode_request


def test_variables() -> None:
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/\xe9",
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "uwsgi.node": b"x",
        "HTTP_TE": "trailers",
        "CONTENT_LENGTH": "9",
    }
    assert encode_request(environ, 7, 1, 0) == b"\x07\x24\x00\x01\x0e\x00REQUEST_METHOD\x03\x00GET\x09\x00PATH_INFO\x02\x00/\xe9"


@pytest.mark.parametrize(
    ("length", "end"),
    [
        (None, b"\x0e\x00CONTENT_LENGTH\x01\x009"),
        (0, b"\x01\x00A\x01\x00b"),
        (300, b"\x0e\x00CONTENT_LENGTH\x03\x00300"),
        (-1, b"\x16\x00HTTP_TRANSFER_ENCODING\x07\x00chunked"),
    ],
)
def test_length(length: int, end: bytes) -> None:
    packet = encode_request({"A": "b", "CONTENT_LENGTH": "9"}, length=length)
    assert packet.endswith(end)
    assert packet[1] + (packet[2] << 8) == len(packet) - 4


def test_empty_body() -> None:
    assert encode_request({"CONTENT_LENGTH": "0"}, length=0).endswith(b"\x0e\x00CONTENT_LENGTH\x01\x000")
    assert encode_request({"CONTENT_LENGTH": ""}, length=0) == b"\0\0\0\0"


def test_extra_variables_come_last() -> None:
    assert encode_request({}, extra=[("UWSGI_ROUTER", "http")]) == b"\x00\x14\x00\x00\x0c\x00UWSGI_ROUTER\x04\x00http"


@pytest.mark.parametrize("environ", [{"A": "x" * 70_000}, {"A": "x" * 40_000, "B": "x" * 40_000}])
def test_what_does_not_fit(environ: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="a uwsgi packet holds 65535 bytes"):
        encode_request(environ)
