"""The addresses that are asked for, and what is spoken at each."""

from __future__ import annotations

import pytest

from geuwsgi.config.config import load
from geuwsgi.errors import ConfigError
from geuwsgi.process.addresses import addresses
from geuwsgi.process.settings import server_settings


def asked(*arguments: str) -> list[tuple[str, str, str, bool]]:
    return [(one.option, one.address, one.protocol, one.proxied) for one in addresses(load(arguments, {}))]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-s", ":3031"], ("socket", ":3031", "uwsgi", False)),
        (["--uwsgi-socket", ":3031"], ("uwsgi-socket", ":3031", "uwsgi", False)),
        (["--socket", ":3031", "--protocol", "http"], ("socket", ":3031", "http", False)),
        (["--socket", ":3031", "--socket-protocol=uwsgi"], ("socket", ":3031", "uwsgi", False)),
        (["--uwsgi-socket", ":3031", "--protocol", "http"], ("uwsgi-socket", ":3031", "uwsgi", False)),
        (["--http11-socket", ":80"], ("http-socket", ":80", "http", False)),
        (["-s", "app.sock", "-a"], ("socket", "@app.sock", "uwsgi", False)),
        (["-s", "/run/app.sock", "--abstract-socket"], ("socket", "@/run/app.sock", "uwsgi", False)),
        (["-s", "@app", "-a"], ("socket", "@app", "uwsgi", False)),
        (["-s", "127.0.0.1:1", "-a"], ("socket", "127.0.0.1:1", "uwsgi", False)),
        (["--http", ":80", "--http-enable-proxy-protocol"], ("http", ":80", "http", True)),
        (["--http", ":80", "--http-enable-proxy-protocol=1"], ("http", ":80", "http", True)),
        (["-s", ":80", "--protocol", "http", "--enable-proxy-protocol"], ("socket", ":80", "http", True)),
        (["--http-socket", ":80", "--enable-proxy-protocol"], ("http-socket", ":80", "http", True)),
        (["--shared-socket", ":80", "--http", "=0"], ("http", ":80", "http", False)),
        (["--undeferred-shared-socket", "x.sock", "-s", "=0", "-a"], ("socket", "@x.sock", "uwsgi", False)),
    ],
)
def test_what_is_spoken_where(arguments: list[str], expected: tuple[str, str, str, bool]) -> None:
    assert asked(*arguments) == [expected]


def test_shared_sockets_by_their_numbers() -> None:
    arguments = ["--shared-socket", ":80", "--shared-socket", ":81", "--http", "=1", "--http-socket", "=0"]
    assert asked(*arguments) == [("http", ":81", "http", False), ("http-socket", ":80", "http", False)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol", "fastcgi"], "command line: --protocol = fastcgi: only uwsgi and http are spoken"),
        (["--http", "=0"], "command line: --http = =0: there is no shared-socket with the number '0'"),
        (["--http", "=x", "--shared-socket", ":1"], "command line: --http = =x: there is no shared-socket"),
        (["--shared-socket", ":1"], "command line: --shared-socket = :1: nothing is served there: write --http-socket =0"),
        (
            ["--shared-socket", ":1", "--http", "=0", "-s", "=0"],
            "command line: --socket = =0: this shared-socket serves another option already",
        ),
        (["--http-socket-modifier1", "7"], "command line: --http-socket-modifier1 = 7: requests are served by Python"),
        (["--http-socket-modifier2", "1"], "command line: --http-socket-modifier2 = 1: requests are served by Python"),
        (
            ["--http", ":80", "--enable-proxy-protocol"],
            "command line: --enable-proxy-protocol: no connection would begin with a PROXY header: it is for http-socket",
        ),
        (["-s", ":80", "--enable-proxy-protocol"], "command line: --enable-proxy-protocol: no connection would begin with a PROXY header"),
        (["--http-socket", ":80", "--http-enable-proxy-protocol"], "command line: --http-enable-proxy-protocol: no connection would begin"),
        (["--fastcgi-socket", ":9000"], "command line: --fastcgi-socket = :9000: geuwsgi does not speak FastCGI: give --socket ADDRESS"),
        (["--scgi-socket", ":9000"], "command line: --scgi-socket = :9000: geuwsgi does not speak SCGI"),
        (["--suwsgi-socket", ":9000,a,b"], "command line: --suwsgi-socket = :9000,a,b: geuwsgi does not speak the uwsgi protocol over TLS"),
    ],
)
def test_what_cannot_be(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        asked(*arguments)
    assert str(caught.value).startswith(message)


def test_a_protocol_of_nothing() -> None:
    config = load(["--http", ":80", "--protocol", "http"], {})
    for _ in range(2):
        addresses(config)
    assert config.warnings == ["protocol (command line) has no effect: there is no socket that it could concern"]


def test_whom_to_believe() -> None:
    assert server_settings(load([], {})).http.forwarded_allow == ("127.0.0.1", "::1", "unix")
    assert server_settings(load(["--forwarded-allow-ips", "10.0.0.0/8, ::1"], {})).http.forwarded_allow == ("10.0.0.0/8", "::1")
    with pytest.raises(ConfigError, match=r"^command line: --forwarded-allow-ips = nginx: 'nginx' is no IP address"):
        server_settings(load(["--forwarded-allow-ips", "nginx"], {}))
