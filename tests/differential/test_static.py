"""Static files: the same options and requests under the real uWSGI and under geuwsgi.

A request whose answer may differ says why; when it does not differ, the test fails.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any, Callable, NamedTuple

import pytest

from tests.harness.servers import Server

pytestmark = pytest.mark.differential

APP = Path(__file__).with_name("routes_app.py")
WHEN = 1_700_000_000
MODIFIED = "Tue, 14 Nov 2023 22:13:20 GMT"

OPTIONS = """
check-static = FOLDER/checked
check-static = FOLDER/second
static-map = /m=FOLDER/mapped
static-map = /one=FOLDER/mapped/a.txt
static-map2 = /sub=FOLDER/mapped
static-index = home.html
static-index = index.html
static-skip-ext = .skip
static-safe = FOLDER/safe
static-expires = /mapped/e1 60
static-expires-mtime = /mapped/e2 60
static-expires-path-info-mtime = ^/m/e3 120
static-expires-uri-mtime = \\?e4$ 180
static-expires-type-mtime = text/css=240
static-gzip-ext = .js
static-gzip-dir = FOLDER/second
static-gzip = /zipped/
mimefile = FOLDER/mime.types
honour-range = true
"""


class Case(NamedTuple):
    """A request, and why its answer may differ from uWSGI's."""

    target: str
    headers: tuple[str, ...] = ()
    differs: str = ""
    method: str = "GET"


_TYPE = "a file of unknown type has one here: bytes"
_ONE_VARY = "what is negotiated says so (Vary), so that caches do not mix it up"
_NOT_MODIFIED = "a 304 tells when the file was changed, as RFC 9110 wants it"

#: Requests without a header of their own, answered alike.
_ALIKE = """
    /a.txt /gone /folder /folder/ /empty /empty/ /both.txt /m/a.txt /m /m/ /m/gone /m/sub/b.txt /m/sub /sub/b.txt /sub/gone
    /one /x.skip /m/x.skip /link /safe-link /m/folder-link/s.txt /outside /m/e2.txt /m/e3.txt /m/a.txt?e4 /m/e.css
    /m/%2e%2e/secret.txt
"""

CASES = [
    *map(Case, _ALIKE.split()),
    Case("/m/e1.txt"),
    Case("/unknown", differs=_TYPE),
    Case("/ma.txt", differs="a prefix ends at a slash here"),
    Case("/one/below"),
    Case("/checked-secret"),
    Case("/a.txt", method="HEAD"),
    Case("/a.txt", method="POST"),
    Case("/a.txt", (f"If-Modified-Since: {MODIFIED}",), _NOT_MODIFIED),
    Case("/a.txt", ("If-Modified-Since: Tue, 14 Nov 2023 22:13:21 GMT",), _NOT_MODIFIED),
    Case("/a.txt", ("If-Modified-Since: Tue, 14 Nov 2023 22:13:19 GMT",)),
    Case("/a.txt", ("If-Modified-Since: never",)),
    Case("/a.txt", ("Range: bytes=2-4",)),
    Case("/a.txt", ("Range: bytes=7-",)),
    Case("/a.txt", ("Range: bytes=-3",)),
    Case("/a.txt", ("Range: bytes=5-100",)),
    Case("/a.txt", ("Range: bytes=50-60",), "the status is called Range Not Satisfiable since RFC 7233"),
    Case("/a.txt", ("Range: bytes=4-2",), "a range that makes no sense is ignored, as RFC 9110 wants it"),
    Case("/a.txt", ("Range: lines=1-2",), "a range of another unit is ignored, as RFC 9110 wants it"),
    Case("/a.txt", ("Range: bytes=1-2", f"If-Range: {MODIFIED}")),
    Case("/second.txt", (), _ONE_VARY),
    Case("/m/../a.txt"),
    Case("/m/sub/../a.txt"),
    Case("/a.txt", ("Range: bytes=1-2", "If-Range: Tue, 14 Nov 2023 22:13:19 GMT"), "uWSGI compares the wrong way round"),
    Case("/m/z.js", ("Accept-Encoding: gzip",), _ONE_VARY),
    Case("/m/z.js", (), _ONE_VARY),
    Case("/m/z.js", ("Accept-Encoding: gzip;q=0",), "uWSGI looks for the word"),
    Case("/m/a.txt", ("Accept-Encoding: gzip",)),
    Case("/second.txt", ("Accept-Encoding: gzip, deflate",), _ONE_VARY),
    Case("/m/zipped/q.txt", ("Accept-Encoding: gzip",), _ONE_VARY),
]

#: Headers that are each server's own affair.
_OWN = {"date", "connection", "etag", "accept-ranges", "keep-alive"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "files"
    files = {
        "checked/a.txt": "0123456789",
        "checked/both.txt": "first",
        "checked/folder/index.html": "index",
        "checked/x.skip": "skip",
        "checked/unknown": "?",
        "second/both.txt": "second",
        "second/second.txt": "second",
        "second/second.txt.gz": "zipped second",
        "mapped/a.txt": "mapped",
        "mapped/x.skip": "skip",
        "mapped/e1.txt": "e1",
        "mapped/e2.txt": "e2",
        "mapped/e3.txt": "e3",
        "mapped/e.css": "css",
        "mapped/z.js": "js",
        "mapped/z.js.gz": "zipped js",
        "mapped/a.txt.gz": "never",
        "mapped/sub/b.txt": "sub b",
        "mapped/zipped/q.txt": "q",
        "mapped/zipped/q.txt.gz": "zipped q",
        "safe/s.txt": "safe",
        "secret.txt": "secret",
        "checked-secret": "secret",
        "mime.types": "text/plain txt\ntext/html html\ntext/css css\ntext/javascript js\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
        os.utime(root / name, (WHEN, WHEN))
    (root / "checked/empty").mkdir()
    (root / "checked/link").symlink_to("a.txt")
    (root / "checked/safe-link").symlink_to("../safe/s.txt")
    (root / "checked/outside").symlink_to("../secret.txt")
    (root / "mapped/folder-link").symlink_to("../safe")
    return root


def transcript(server: Server, case: Case) -> Any:
    """Status, headers and body, or what came if it is no response."""
    lines = [f"{case.method} {case.target} HTTP/1.1", "Host: h.example", "Connection: close", *case.headers]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        data = b"".join(iter(lambda: client.recv(65536), b""))
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        return data
    status, *fields = head.decode("latin-1").split("\r\n")
    found = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    if "x-app" in found:
        return "the application"
    return status.partition(" ")[2], sorted(pair for pair in found.items() if pair[0] not in _OWN and pair[0] != "expires"), body


def expires(server: Server, target: str) -> str:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
        data = b"".join(iter(lambda: client.recv(65536), b"")).decode("latin-1")
    found = re.search("^Expires: (.*)\r$", data, re.MULTILINE)
    return found[1] if found else ""


def test_same_answers(server: Callable[..., Server], uwsgi_server: Callable[..., Server], folder: Path) -> None:
    given: list[str] = []
    for line in OPTIONS.replace("FOLDER", str(folder)).strip().splitlines():
        name, _, value = line.partition(" = ")
        given += ["--" + name] if value == "true" else ["--" + name, value]
    theirs = uwsgi_server(str(APP), *given, debian=True)
    ours = server(str(APP), *given, expect_log=["is not served: it leads to"])
    wrong = []
    for case in CASES:
        mine, real = transcript(ours, case), transcript(theirs, case)
        if (mine == real) is bool(case.differs):
            wrong.append(f"{case.method} {case.target} {case.headers} {case.differs}\n    uWSGI:   {real}\n    geuwsgi: {mine}")
    assert not wrong, "\n".join(wrong)
    for target in ("/m/e2.txt", "/m/e3.txt", "/m/a.txt?e4", "/m/e.css", "/m/a.txt"):
        assert expires(ours, target) == expires(theirs, target)
    assert expires(ours, "/m/e1.txt")
    assert expires(theirs, "/m/e1.txt")
