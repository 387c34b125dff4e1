"""Applications in other languages, each served by its own real uWSGI, behind geuwsgi's front."""

from __future__ import annotations

from typing import Any, Callable

import pytest
import requests
import websocket

from tests.harness.backends import LANGUAGES
from tests.harness.clients import CLIENTS, client_factory
from tests.harness.patterns import ECHO, echo


@pytest.mark.parametrize("language", LANGUAGES)
def test_http(front: Callable[..., Any], language: str) -> None:
    server = front(language)
    with requests.Session() as session:
        for _ in range(3):
            assert session.get(server.url + "/a%20b").text == f"{LANGUAGES[language].says} /a b"
        body = b"0123456789" * 30_000
        assert session.post(server.url, data=body).content == body
        assert session.post(server.url, data=iter([body, b"more"])).content == body + b"more"  # chunked, and so collected
        assert session.head(server.url).status_code == 200


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_websocket(front: Callable[..., Any], language: str, client: str) -> None:
    with client_factory(client, front(language).ws_url) as connect:
        assert echo(connect) == ECHO


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_websocket_agrees_on(front: Callable[..., Any], language: str, ws: Callable[..., Any]) -> None:
    client = ws(front(language).ws_url + "/", subprotocols=["chat"])
    assert client.getsubprotocol() == "chat"
    client.ping("are you there")
    assert client.recv_data_frame(control_frame=True)[0] == websocket.ABNF.OPCODE_PONG
    client.send("x")
    assert client.recv() == "x"


@pytest.mark.parametrize("language", ["ruby-threads", "perl-coroae"])
def test_several_websockets_at_once(front: Callable[..., Any], language: str, ws: Callable[..., Any]) -> None:
    url = front(language).ws_url + "/"
    clients = [ws(url) for _ in range(6)]
    for number in range(3):
        for index, client in enumerate(clients):
            client.send(f"{index} {number}")
    for number in range(3):
        for index, client in enumerate(clients):
            assert client.recv() == f"{index} {number}"
