"""geuwsgi/server/accesslog.py"""

from __future__ import annotations

import os
import re
import time
from typing import Any

import gevent
import pytest

from geuwsgi.server.request import find_request
from tests.server.serving import PLAIN, serving

#: Read off uWSGI 2.0.31.
LINE = re.compile(
    r"\[pid: (?P<pid>\d+)\|app: 0\|req: (?P<app>\d+)/(?P<total>\d+)\] (?P<address>\S*) \((?P<user>.*?)\) "
    r"\{(?P<vars>\d+) vars in (?P<size>\d+) bytes\} \[(?P<date>[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4})\] "
    r"(?P<method>\S+) (?P<uri>\S+) => generated (?P<body>\d+) bytes in (?P<msecs>\d+) msecs \((?P<protocol>\S+) (?P<status>\d+)\) "
    r"(?P<headers>\d+) headers in (?P<head>\d+) bytes \((?P<switches>\d+) switches on core (?P<core>\d+)\)"
)


def lines(text: str) -> list[dict[str, str]]:
    found = []
    for line in text.splitlines():
        match = LINE.fullmatch(line)
        assert match is not None, line
        found.append(match.groupdict())
    return found


def test_the_line(capfd: pytest.CaptureFixture[str]) -> None:
    environs: list[dict[str, Any]] = []

    def application(environ: Any, start_response: Any) -> Any:
        environs.append({key: value for key, value in environ.items() if isinstance(value, str) and key.isupper()})
        environ["REMOTE_USER"] = "joe"
        if environ["PATH_INFO"] == "/slow":
            gevent.sleep(0.05)
        start_response("201 Created", [PLAIN, ("X-A", "b")])
        return [b"hello"]

    with serving(application, log_requests=True, server_name="box") as server:
        client = server.connect()
        answer = client.ask("/a%20b?c=d", "POST", "Content-Type: text/x", "X-Any: 1.2.3.4", body=b"abc")
        client.ask("/slow")
    first, second = lines(capfd.readouterr().err)
    assert first["pid"] == str(os.getpid())
    assert (first["app"], first["total"], second["app"], second["total"]) == ("1", "1", "2", "2")
    assert (first["address"], first["user"]) == ("127.0.0.1", "joe")
    assert (first["method"], first["uri"], first["protocol"], first["status"]) == ("POST", "/a%20b?c=d", "HTTP/1.1", "201")
    assert first["body"] == "5"
    assert int(first["headers"]) == len(answer.headers)
    assert int(first["head"]) == len(answer.status) + 2 + sum(len(k) + len(v) + 4 for k, v in answer.headers.items()) + 2
    assert (first["switches"], first["core"]) == ("1", "0")
    assert abs(time.mktime(time.strptime(first["date"])) - time.time()) < 60
    assert 45 <= int(second["msecs"]) < 60_000
    for line, environ in zip((first, second), environs):
        # What the uwsgi packet of this request would hold.
        assert int(line["vars"]) == 2 * len(environ)
        assert int(line["size"]) == sum(len(key) + len(value) + 4 for key, value in environ.items())


def test_the_address_that_a_header_names(capfd: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return [b""]

    with serving(application, log_requests=True, http={"log_forwarded_for": True, "forwarded_allow": ()}) as server:
        client = server.connect()
        client.ask("/", "GET", "X-Forwarded-For: 1.2.3.4, 5.6.7.8")
        client.ask("/")
    assert [line.partition("] ")[2].partition(" ()")[0] for line in capfd.readouterr().err.splitlines()] == [
        "1.2.3.4, 5.6.7.8",
        "127.0.0.1",
    ]


def test_a_request_that_is_not_logged_and_one_that_is_all_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/log":
            request = find_request()
            assert request is not None
            request.log = True
        start_response("200 OK", [PLAIN])
        return [b""]

    with serving(application, log_requests=False) as server:
        client = server.connect()
        for target in ("/", "/log", "/"):
            client.ask(target)
    assert [line["uri"] for line in lines(capfd.readouterr().err)] == ["/log"]


def test_failures_are_logged_with_the_status_that_was_sent(capfd: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        raise LookupError

    with serving(application, log_requests=True) as server:
        server.ask()
    last = capfd.readouterr().err.splitlines()[-1]
    assert lines(last)[0]["status"] == "500"


def test_no_line_is_lost_at_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return [b""]

    with serving(application, log_requests=True) as server:
        client = server.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 200)
        for _ in range(200):
            client.answer()
    found = lines(capfd.readouterr().err)
    assert [line["total"] for line in found] == [str(number) for number in range(1, 201)]
