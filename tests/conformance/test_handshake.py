"""RFC 6455 section 4, server side: what is accepted, and how the rest is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.client import Event, RawClient, request
from tests.conformance.conftest import ENDPOINTS, Endpoint
from tests.protocol.wire import TEXT, close_frame, frame

GOOD: dict[str, dict[str, Any]] = {
    "as browsers do": {"origin": "http://conformance.example", "pragma": "no-cache", "cache_control": "no-cache", "user_agent": "x"},
    "names in capitals": {"upgrade": None, "UPGRADE": "WebSocket", "connection": None, "CONNECTION": "UPGRADE"},
    "several connection tokens": {"connection": "keep-alive, Upgrade"},
    "several upgrade tokens": {"upgrade": "h2c, websocket"},
    "spaces around the values": {"sec_websocket_version": "  13\t", "sec_websocket_key": "\t dGhlIHNhbXBsZSBub25jZQ==  "},
    "no spaces before the values": {"upgrade": "websocket", "sec_websocket_version": "13 "},
    "the key alone": {"upgrade": None, "connection": None, "sec_websocket_version": None},
    "without the version": {"sec_websocket_version": None},
    "what nginx sends by default": {"line": "GET / HTTP/1.0", "upgrade": None, "connection": "close"},
    "a query": {"line": "GET /?a=b HTTP/1.1"},
    "a key of zeros": {"sec_websocket_key": "AAAAAAAAAAAAAAAAAAAAAA=="},
    "an extension nobody knows": {"sec_websocket_extensions": "x-unknown; a=1, y"},
    "compression, which is off": {"sec_websocket_extensions": "permessage-deflate; client_max_window_bits"},
    "an empty list of subprotocols": {"sec_websocket_protocol": ""},
}


def shake(endpoint: Endpoint, path: str = "/", **changes: Any) -> RawClient:
    client = RawClient(endpoint.connect())
    changes = {name: value for name, value in changes.items() if value != "sample"}
    key = (changes.get("sec_websocket_key") or "").strip()
    if key:
        client.handshake(path, key=key, **changes)
    else:
        client.handshake(path, **changes)
    return client


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_accepted(endpoint: Endpoint, changes: dict[str, Any]) -> None:
    with shake(endpoint, **changes) as client:
        client.send(frame(TEXT, b"hello") + close_frame(1000))
        assert [client.event() for _ in range(3)] == [Event("text", b"hello"), Event("close", b"", 1000), Event("end")]


BAD: dict[str, tuple[int, dict[str, Any]]] = {
    **{
        f"version {version!r}": (426, {"sec_websocket_version": version})
        for version in ("0", "7", "8", "12", "14", "013", "x", "13, 8", "")
    },
    "two versions": (426, {"sec_websocket_version": ["13", "8"]}),
    "an empty key": (400, {"sec_websocket_key": ""}),
    "a short key": (400, {"sec_websocket_key": "dGhlIHNhbXBsZSBub24="}),
    "a long key": (400, {"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZSE="}),
    "a key that is no base64": (400, {"sec_websocket_key": "dGhlIHNhbXBsZSBub25j!Q=="}),
    "a key without its padding": (400, {"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ"}),
    "two keys": (400, {"sec_websocket_key": ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="]}),
    "POST": (400, {"line": "POST / HTTP/1.1", "content_length": "0"}),
    "PUT": (400, {"line": "PUT / HTTP/1.1", "content_length": "0"}),
    "a subprotocol that is no token": (400, {"sec_websocket_protocol": "a b"}),
    "no host": (400, {"host": None}),
    "two hosts": (400, {"host": ["a", "b"]}),
}


# Over HTTP/2 a head like these cannot be sent; tests/server/http2 has its own.
@pytest.mark.parametrize("endpoint", ENDPOINTS, indirect=True)
@pytest.mark.parametrize(("status", "changes"), BAD.values(), ids=BAD)
def test_refused(endpoint: Endpoint, status: int, changes: dict[str, Any]) -> None:
    with RawClient(endpoint.connect()) as client:
        client.send(request(**changes)[0])
        response = client.response()
        assert response.status == status
        client.body(response)
        if status == 426:
            # Section 4.4: the versions that are spoken.
            assert response.get("sec-websocket-version") == "13"
            assert response.get("upgrade") == "websocket"
        assert response.get("sec-websocket-accept") is None
        assert client.event() == Event("end")


def test_a_plain_request_cannot_become_a_websocket(endpoint: Endpoint) -> None:
    with RawClient(endpoint.connect()) as client:
        client.send(request("/catch", sec_websocket_key=None)[0])
        response = client.response()
        assert response.status == 403
        assert client.body(response) == b"websockets only"


def test_a_refusal_is_the_only_answer(endpoint: Endpoint) -> None:
    with RawClient(endpoint.connect()) as client:
        client.send(request("/catch", sec_websocket_version="8")[0])
        response = client.response()
        assert response.status == 426
        assert b"websockets only" not in client.body(response)
        assert client.event() == Event("end")


OFFERS: list[tuple[str, Any, Any]] = [
    ("/", None, None),
    ("/", "chat", "chat"),
    ("/", " chat ", "chat"),
    ("/", "chat, superchat", None),
    ("/", ["chat", "superchat"], None),
    ("/protocol/superchat", "chat, superchat", "superchat"),
    ("/protocol/chat", ["superchat", "chat"], "chat"),
    ("/protocol/v1.x+y", "v1.x+y", "v1.x+y"),
]


@pytest.mark.parametrize(("path", "offer", "agreed"), OFFERS)
def test_subprotocols(endpoint: Endpoint, path: str, offer: Any, agreed: Any) -> None:
    with RawClient(endpoint.connect()) as client:
        assert client.handshake(path, sec_websocket_protocol=offer).get("sec-websocket-protocol") == agreed


def test_the_head_octet_by_octet(endpoint: Endpoint) -> None:
    with RawClient(endpoint.connect()) as client:
        data, _ = request()
        for position in range(len(data)):
            client.send(data[position : position + 1])
        assert client.response().status == 101
        client.send(frame(TEXT, b"hello"))
        assert client.event() == Event("text", b"hello")


def test_a_request_before_the_handshake_on_the_same_connection(endpoint: Endpoint) -> None:
    with RawClient(endpoint.connect()) as client:
        data, _ = request(sec_websocket_version="8")
        client.send(data + request()[0])
        response = client.response()
        client.body(response)
        # The refusal closes: what was meant for a websocket is never taken for a request.
        assert response.status == 426
        assert client.event() == Event("end")
