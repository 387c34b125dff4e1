"""geuwsgi/server/head.py"""

from __future__ import annotations

from typing import Any

import pytest

from geuwsgi.server import head
from geuwsgi.server.head import Head, date_line


def test_lines() -> None:
    found = Head("200 OK", [("Content-Type", "text/plain"), ("X-Empty", ""), ("Set-Cookie", "a"), ("Set-Cookie", "b")])
    assert found.lines == ["200 OK", "Content-Type: text/plain", "X-Empty: ", "Set-Cookie: a", "Set-Cookie: b"]
    assert (found.code, found.length, found.close, found.has_date) == (200, -1, False, False)


def test_what_concerns_the_server() -> None:
    found = Head("200 OK", [("content-LENGTH", "12"), ("Date", "x"), ("connection", "Upgrade, Close"), ("Transfer-Encoding", "chunked")])
    assert found.lines == ["200 OK", "content-LENGTH: 12", "Date: x"]
    assert (found.length, found.close, found.has_date) == (12, True, True)


def test_the_length_can_be_dropped() -> None:
    found = Head("204 No Content", [("Content-Length", "12"), ("X", "y")])
    found.drop_length()
    assert (found.length, found.lines) == (-1, ["204 No Content", "X: y"])


def test_the_same_length_twice_is_one() -> None:
    assert Head("200 OK", [("Content-Length", "3"), ("content-length", "3")]).lines == ["200 OK", "Content-Length: 3"]


@pytest.mark.parametrize("status", ["200", "200 ", "404 Not Found", "299 caf\xe9", "200 a\tb"])
def test_statuses(status: str) -> None:
    assert Head(status, []).code == int(status[:3])


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (b"200 OK", [], TypeError),
        (None, [], TypeError),
        ("OK", [], ValueError),
        ("20 OK", [], ValueError),
        ("2000 OK", [], ValueError),
        ("000 Zero", [], ValueError),
        ("200 OK\r\n", [], ValueError),
        ("200 OK\x00", [], ValueError),
        ("200 \u20ac", [], ValueError),
        ("200 OK", {"A": "b"}, TypeError),
        ("200 OK", iter([("A", "b")]), TypeError),
        ("200 OK", ["Ab"], TypeError),
        ("200 OK", [["A", "b"]], TypeError),
        ("200 OK", [("A",)], ValueError),
        ("200 OK", [("", "b")], ValueError),
        ("200 OK", [("A b", "c")], ValueError),
        ("200 OK", [("A:", "c")], ValueError),
        ("200 OK", [("A\r", "c")], ValueError),
        ("200 OK", [("\xe9", "c")], ValueError),
        ("200 OK", [(b"A", "c")], TypeError),
        ("200 OK", [("A", 1)], TypeError),
        ("200 OK", [("A", None)], TypeError),
        ("200 OK", [("A", "b\n c")], ValueError),
        ("200 OK", [("A", "b\r")], ValueError),
        ("200 OK", [("A", "\x00")], ValueError),
        ("200 OK", [("A", "\x7f")], ValueError),
        ("200 OK", [("A", "\u20ac")], ValueError),
        ("200 OK", [("A", "\ud800")], ValueError),
        ("200 OK", [("Content-Length", "")], ValueError),
        ("200 OK", [("Content-Length", "1.0")], ValueError),
        ("200 OK", [("Content-Length", "\u0663")], ValueError),
        ("200 OK", [("Content-Length", "3"), ("Content-Length", "4")], ValueError),
    ],
)
def test_refused(status: Any, headers: Any, error: type[Exception]) -> None:
    for _ in range(2):  # also when it has been seen before
        with pytest.raises(error):
            Head(status, headers)


def test_subclasses_of_str_are_strings() -> None:
    class Text(str):
        pass

    assert Head(Text("200 OK"), [(Text("A"), Text("b"))]).lines == ["200 OK", "A: b"]


def test_the_caches_are_bounded() -> None:
    for number in range(3000):
        Head(f"200 {number}", [(f"X-{number}", "y")])
    assert len(head._names) <= head._MAX_CACHED
    assert len(head._statuses) <= head._MAX_CACHED


@pytest.mark.parametrize(
    ("now", "line"),
    [
        (0.9, "Date: Thu, 01 Jan 1970 00:00:00 GMT"),
        (784111777.5, "Date: Sun, 06 Nov 1994 08:49:37 GMT"),  # the example of RFC 9110 section 5.6.7
        (784111778.0, "Date: Sun, 06 Nov 1994 08:49:38 GMT"),
    ],
)
def test_dates(now: float, line: str) -> None:
    assert date_line(now) == line
    assert date_line(now) == line
