"""geuwsgi/protocol/handshake.py"""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geuwsgi.errors import HTTPError, WebSocketError
from geuwsgi.protocol.handshake import (
    HandshakeError,
    accept_value,
    check_request,
    key_valid,
    offered_subprotocols,
    response_head,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the example of RFC 6455 section 1.3


def environ(**changes: Any) -> dict[str, Any]:
    """A correct request; a change of None leaves a variable out."""
    base: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "example.com",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_SEC_WEBSOCKET_KEY": KEY,
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
    }
    base.update(changes)
    return {name: value for name, value in base.items() if value is not None}


def headers(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")
    assert lines[-2:] == ["", ""]
    assert lines[0].startswith("HTTP/1.1 101 ")
    pairs = [line.split(": ", 1) for line in lines[1:-2]]
    assert len({name.lower() for name, _ in pairs}) == len(pairs)
    return {name.lower(): value for name, value in pairs}


# -- the accept value and the key


def test_the_example_of_rfc_6455() -> None:
    # Section 1.3.
    assert accept_value(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@given(st.binary(min_size=16, max_size=16))
def test_every_key_of_16_bytes_is_valid(nonce: bytes) -> None:
    assert key_valid(base64.b64encode(nonce).decode())


@given(st.binary(max_size=40).filter(lambda nonce: len(nonce) != 16))
def test_no_other_size_is(nonce: bytes) -> None:
    assert not key_valid(base64.b64encode(nonce).decode())


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZ===",
        "dGhlIHNhbXBsZSBub25j====",
        "dGhlIHNhbXBsZSBub25j,Q==",
        "dGhlIHNhbXBsZSBub25jZ-==",
        "dGhl HNhbXBsZSBub25jZQ==",
        "=GhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==,dGhlIHNhbXBsZSBub25jZQ==",
        "\xe9GhlIHNhbXBsZSBub25jZQ==",
        "\u20acGhlIHNhbXBsZSBub25jZQ==",
    ],
)
def test_malformed_keys(key: str) -> None:
    assert not key_valid(key)
    with pytest.raises(HTTPError) as caught:
        check_request(environ(HTTP_SEC_WEBSOCKET_KEY=key))
    assert caught.value.status == "400 Bad Request"


def test_a_key_with_spaces_around_it() -> None:
    check_request(environ(HTTP_SEC_WEBSOCKET_KEY=f" {KEY}\t"))
    assert headers(response_head(environ(HTTP_SEC_WEBSOCKET_KEY=f" {KEY}\t")))["sec-websocket-accept"] == accept_value(KEY)


# -- the request


def test_a_correct_request() -> None:
    check_request(environ())


def test_the_key_alone_is_enough() -> None:
    # Proxies take hop-by-hop headers away, and nginx speaks HTTP/1.0 to what stands behind it unless told otherwise.
    check_request(environ(HTTP_UPGRADE=None, HTTP_CONNECTION=None, HTTP_SEC_WEBSOCKET_VERSION=None))
    check_request(environ(HTTP_UPGRADE=None, HTTP_CONNECTION="close", SERVER_PROTOCOL="HTTP/1.0"))


@pytest.mark.parametrize("version", ["", "0", "7", "8", "12", "14", "013", "13.0", "13, 8", "8, 13", "+13", "x" * 5000])
def test_other_versions(version: str) -> None:
    with pytest.raises(HTTPError) as caught:
        check_request(environ(HTTP_SEC_WEBSOCKET_VERSION=version))
    assert caught.value.status == "426 Upgrade Required"
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "CONNECT", "get"])
def test_other_methods(method: str) -> None:
    with pytest.raises(HTTPError) as caught:
        check_request(environ(REQUEST_METHOD=method))
    assert caught.value.status == "400 Bad Request"


@pytest.mark.parametrize("offer", ["a b", "chat, a b", "caf\xe9", 'quoted"', "a/b", "a;q=1"])
def test_a_subprotocol_that_is_no_token(offer: str) -> None:
    with pytest.raises(HTTPError) as caught:
        check_request(environ(HTTP_SEC_WEBSOCKET_PROTOCOL=offer))
    assert caught.value.status == "400 Bad Request"


def test_subprotocols_offered() -> None:
    assert offered_subprotocols(environ()) == []
    assert offered_subprotocols(environ(HTTP_SEC_WEBSOCKET_PROTOCOL="")) == []
    assert offered_subprotocols(environ(HTTP_SEC_WEBSOCKET_PROTOCOL="chat")) == ["chat"]
    assert offered_subprotocols(environ(HTTP_SEC_WEBSOCKET_PROTOCOL="chat,superchat ,\tv1.x,, ")) == ["chat", "superchat", "v1.x"]


# -- the response


def test_a_response() -> None:
    assert response_head(environ()) == (
        b"HTTP/1.1 101 Web Socket Protocol Handshake\r\n"
        b"Upgrade: WebSocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Origin: *\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"\r\n"
    )


def test_the_origin() -> None:
    assert headers(response_head(environ(HTTP_ORIGIN="http://a")))["sec-websocket-origin"] == "http://a"
    assert headers(response_head(environ(HTTP_ORIGIN="http://a"), origin="http://b"))["sec-websocket-origin"] == "http://b"
    assert headers(response_head(environ(HTTP_ORIGIN="http://a"), origin=""))["sec-websocket-origin"] == "http://a"


def test_a_key_of_the_applications_own() -> None:
    other = "AAAAAAAAAAAAAAAAAAAAAA=="
    assert headers(response_head(environ(), key=other))["sec-websocket-accept"] == accept_value(other)
    assert headers(response_head(environ(HTTP_SEC_WEBSOCKET_KEY=None), key=other))["sec-websocket-accept"] == accept_value(other)


@pytest.mark.parametrize(
    ("offer", "chosen", "agreed"),
    [
        (None, None, None),
        ("chat", None, "chat"),
        (" chat ", None, "chat"),
        ("chat, superchat", None, None),
        ("chat, superchat", "superchat", "superchat"),
        ("chat", "", "chat"),
        (None, "chat", "chat"),
    ],
)
def test_the_subprotocol(offer: str | None, chosen: str | None, agreed: str | None) -> None:
    head = response_head(environ(HTTP_SEC_WEBSOCKET_PROTOCOL=offer), subprotocol=chosen)
    assert headers(head).get("sec-websocket-protocol") == agreed


def test_extensions_only_when_agreed_on() -> None:
    offer = environ(HTTP_SEC_WEBSOCKET_EXTENSIONS="permessage-deflate; client_max_window_bits")
    assert "sec-websocket-extensions" not in headers(response_head(offer))
    assert headers(response_head(offer, extensions="permessage-deflate"))["sec-websocket-extensions"] == "permessage-deflate"


@pytest.mark.parametrize(
    "arguments",
    [
        {"subprotocol": "a b"},
        {"subprotocol": "chat\r\nSet-Cookie: x"},
        {"subprotocol": "chat\n"},
        {"subprotocol": "chat, superchat"},
        {"origin": "x\r\nSet-Cookie: y"},
        {"origin": "x\n"},
        {"origin": "\u20ac"},
        {"origin": "a\0b"},
        {"key": "\u20ac"},
    ],
    ids=repr,
)
def test_nothing_gets_into_the_head_that_cannot_stand_there(arguments: dict[str, str]) -> None:
    with pytest.raises(HandshakeError):
        response_head(environ(), **arguments)


@pytest.mark.parametrize("key", [None, "", "  "])
def test_without_a_key(key: str | None) -> None:
    with pytest.raises(HandshakeError) as caught:
        response_head(environ(HTTP_SEC_WEBSOCKET_KEY=key))
    assert isinstance(caught.value, WebSocketError)
    assert caught.value.code == 1002
