"""Whose X-Forwarded headers are believed, and what comes of them."""

from __future__ import annotations

from typing import Any

import pytest

from geuwsgi.server.forwarded import Trust, parse_allowed
from tests.server.serving import PLAIN, serving


def told(trusted: str, peer: str, **headers: str) -> tuple[str, str]:
    """REMOTE_ADDR and the scheme of a request."""
    environ: dict[str, Any] = {"REMOTE_ADDR": peer, "REMOTE_PORT": "1", "wsgi.url_scheme": "http"}
    environ.update({"HTTP_X_FORWARDED_" + name.upper(): value for name, value in headers.items()})
    Trust(parse_allowed(trusted)).apply(environ)
    assert ("REMOTE_PORT" in environ) is (environ["REMOTE_ADDR"] == peer)
    assert environ.get("HTTPS", "off") == ("on" if environ["wsgi.url_scheme"] == "https" else "off")
    return environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]


DEFAULT = "127.0.0.1,::1,unix"


@pytest.mark.parametrize(
    ("trusted", "peer", "believed"),
    [
        (DEFAULT, "127.0.0.1", True),
        (DEFAULT, "::1", True),
        (DEFAULT, "", True),
        (DEFAULT, "unix:", True),
        (DEFAULT, "127.0.0.2", False),
        (DEFAULT, "::ffff:127.0.0.1", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "", False),
        ("2001:db8::/32", "2001:db8::7", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("*", "203.0.113.1", True),
        ("*", "", True),
        ("unix", "", True),
        ("none", "", False),
        ("none", "127.0.0.1", False),
        ("", "127.0.0.1", False),
        ("127.0.0.1", "no address", False),
    ],
)
def test_who_is_believed(trusted: str, peer: str, believed: bool) -> None:
    trust = Trust(parse_allowed(trusted))
    assert trust.believes(peer) is believed
    assert trust.believes(peer) is believed


@pytest.mark.parametrize("text", ["localhost", "127.0.0.1 10.0.0.1", "10.0.0.1/8", "none,127.0.0.1", "1.2.3.4:80", "*.example.org"])
def test_what_is_no_list_of_addresses(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no IP address and no network"):
        parse_allowed(text)


@pytest.mark.parametrize(
    ("header", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:DB8::7", "2001:db8::7"),
        # The client has sent a header of its own: only what proxies have put behind it counts.
        ("1.1.1.1, 203.0.113.7", "203.0.113.7"),
        ("127.0.0.1, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 10.0.0.2, 10.0.0.3", "203.0.113.7"),
        ("1.1.1.1,203.0.113.7,10.0.0.3", "203.0.113.7"),
        ("10.0.0.4, 10.0.0.3", "10.0.0.4"),
        ("nonsense, 203.0.113.7", "203.0.113.7"),
        ("nonsense, 10.0.0.3", "10.0.0.3"),
        ("203.0.113.7, nonsense", "10.0.0.1"),
        ("unknown", "10.0.0.1"),
        ("fe80::1%any text", "10.0.0.1"),
        ("", "10.0.0.1"),
        (" , ", "10.0.0.1"),
    ],
)
def test_the_client_behind_proxies(header: str, client: str) -> None:
    assert told("10.0.0.0/8", "10.0.0.1", **{"for": header})[0] == client
    assert told("10.0.0.0/8", "192.0.2.1", **{"for": header})[0] == "192.0.2.1"


def test_everybody_is_believed() -> None:
    assert told("*", "192.0.2.1", **{"for": "203.0.113.7, 198.51.100.1"})[0] == "203.0.113.7"


@pytest.mark.parametrize(
    ("headers", "scheme"),
    [
        ({"proto": "https"}, "https"),
        ({"proto": "HTTPS"}, "https"),
        ({"proto": "http"}, "http"),
        ({"proto": "javascript"}, "http"),
        ({"proto": "https, http"}, "http"),
        ({"proto": "http,https"}, "https"),
        ({"proto": ""}, "http"),
        ({"ssl": "on"}, "https"),
        ({"ssl": "off"}, "http"),
        ({"proto": "http", "ssl": "on"}, "http"),
        ({"proto": "wss", "ssl": "on"}, "https"),
    ],
)
def test_the_scheme(headers: dict[str, str], scheme: str) -> None:
    assert told("10.0.0.1", "10.0.0.1", **headers) == ("10.0.0.1", scheme)
    assert told("10.0.0.1", "10.0.0.2", **headers) == ("10.0.0.2", "http")


def test_http_that_was_https_for_the_last_proxy() -> None:
    environ = {"REMOTE_ADDR": "10.0.0.1", "wsgi.url_scheme": "https", "HTTPS": "on", "HTTP_X_FORWARDED_PROTO": "http"}
    Trust(("10.0.0.1",)).apply(environ)
    assert environ["wsgi.url_scheme"] == "http"
    assert "HTTPS" not in environ


@pytest.mark.parametrize(("allowed", "expected"), [(("127.0.0.1",), b"203.0.113.7 https None"), (("10.0.0.1",), b"127.0.0.1 http int")])
def test_on_a_connection(allowed: tuple[str, ...], expected: bytes) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        port = "None" if "REMOTE_PORT" not in environ else type(int(environ["REMOTE_PORT"])).__name__
        return [f"{environ['REMOTE_ADDR']} {environ['wsgi.url_scheme']} {port}".encode()]

    with serving(application, http={"forwarded_allow": allowed}) as server:
        client = server.connect()
        for _ in range(2):
            answer = client.ask("/", "GET", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https")
            assert answer.body == expected
        # The next request has none: what the last one said is forgotten.
        assert client.ask("/").body == b"127.0.0.1 http int"
