"""Files: which are served, which never, and how."""

from __future__ import annotations

import os
from email.utils import formatdate
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional
from wsgiref.util import setup_testing_defaults

import pytest

from geuwsgi.server.settings import StaticSettings
from geuwsgi.server.static import StaticFiles

WHEN = 1_700_000_000
MODIFIED = "Tue, 14 Nov 2023 22:13:20 GMT"


class Answer(NamedTuple):
    status: str
    headers: dict[str, str]
    body: bytes


Get = Callable[..., Optional[Answer]]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """root/ with files, and around it what must never be served."""
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "empty").mkdir()
    (tmp_path / "root-secret").mkdir()
    for name, text in {
        "root/a.txt": "0123456789",
        "root/none": "",
        "root/sub/index.html": "<p>index",
        "root/sub/b.js": "1",
        "root/ü ?.txt": "umlaut",
        "secret.txt": "secret",
        "root-secret/s.txt": "secret",
    }.items():
        (tmp_path / name).write_text(text)
    os.utime(root / "a.txt", (WHEN, WHEN))
    (root / "inside").symlink_to("a.txt")
    (root / "outside").symlink_to("../secret.txt")
    (root / "sibling").symlink_to("../root-secret/s.txt")
    (root / "folder").symlink_to("../root-secret")
    (root / "loop").symlink_to("loop")
    (root / "nowhere").symlink_to("gone")
    os.mkfifo(root / "fifo")
    return root


def fetch(static: StaticFiles, path: str, method: str = "GET", **headers: str) -> Optional[Answer]:
    environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": method}
    setup_testing_defaults(environ)
    environ.update(("HTTP_" + name.upper(), value) for name, value in headers.items())
    started: list[tuple[str, dict[str, str]]] = []
    body = static(environ, lambda status, fields, exc_info=None: started.append((status, dict(fields))))
    if body is None:
        assert not started
        return None
    try:
        return Answer(*started[0], b"".join(body))
    finally:
        if hasattr(body, "close"):
            body.close()


@pytest.fixture
def get(tree: Path) -> Get:
    """Ask a file server with root/ on /s and index.html as index."""
    static = StaticFiles(StaticSettings(maps=(("/s", str(tree)),), index=("home.html", "index.html")))
    return lambda path, method="GET", **headers: fetch(static, path, method, **headers)


def test_a_file(get: Get) -> None:
    answer = get("/s/a.txt")
    assert answer is not None
    assert answer.status == "200 OK"
    assert answer.body == b"0123456789"
    assert answer.headers == {
        "Content-Type": "text/plain",
        "Content-Length": "10",
        "Last-Modified": MODIFIED,
        "ETag": f'"{WHEN * 10**9:x}-a"',
        "Accept-Ranges": "bytes",
    }


@pytest.mark.parametrize("path", ["/s/inside", "/s//a.txt", "/s/./a.txt", "/s/sub", "/s/sub/", "/s/none"])
def test_served(get: Get, path: str) -> None:
    answer = get(path)
    assert answer is not None
    assert answer.status == "200 OK"


def test_a_name_that_is_not_ascii(get: Get) -> None:
    answer = get("/s/" + "ü ?.txt".encode().decode("latin-1"))  # PATH_INFO of PEP 3333
    assert answer is not None
    assert answer.body == b"umlaut"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/s",  # no index in root
        "/s/",
        "/s/gone",
        "/s/empty",
        "/s/empty/",
        "/s/a.txt/",
        "/s/a.txt/b",
        "/sa.txt",  # a prefix ends at a slash
        "/other/a.txt",
        "/s/../secret.txt",
        "/s/sub/../a.txt",
        "/s/..",
        "/s/sub/..",
        "/s/outside",
        "/s/sibling",
        "/s/folder/s.txt",
        "/s/../root-secret/s.txt",
        "/s/loop",
        "/s/nowhere",
        "/s/fifo",
        "/s/a.txt\0",
        "/s/\0",
        "/s/" + "x" * 5000,
        "/s/\xff\xfe",
    ],
)
def test_left_to_the_application(get: Get, path: str) -> None:
    assert get(path) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_other_methods_are_the_applications(get: Get, method: str) -> None:
    assert get("/s/a.txt", method) is None


def test_a_link_that_leads_outside_is_told_in_the_log(get: Get, tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    get("/s/outside")
    assert f"leads to {tree.parent}/secret.txt, outside of {tree}" in capfd.readouterr().err


def test_a_root_that_is_a_link(tree: Path) -> None:
    link = tree.parent / "current"
    link.symlink_to("root")
    answer = fetch(StaticFiles(StaticSettings(check=(str(link),))), "/a.txt")
    assert answer is not None
    assert answer.body == b"0123456789"


def test_directories_to_check_come_before_maps(tree: Path) -> None:
    other = tree.parent / "other"
    (other / "x").mkdir(parents=True)
    (other / "x" / "a.txt").write_text("checked")
    static = StaticFiles(StaticSettings(check=(str(tree), str(other)), maps=(("/x", str(tree)),)))
    for path, body in {"/a.txt": b"0123456789", "/x/a.txt": b"checked", "/x/none": b""}.items():
        answer = fetch(static, path)
        assert answer is not None
        assert answer.body == body


def test_a_map_to_one_file(tree: Path) -> None:
    static = StaticFiles(StaticSettings(maps=(("/favicon.ico", str(tree / "a.txt")),)))
    for path in ("/favicon.ico", "/favicon.ico/below"):
        answer = fetch(static, path)
        assert answer is not None
        assert answer.body == b"0123456789"
    assert fetch(static, "/favicon.icons") is None
    assert fetch(static, "/") is None


def test_a_map_of_everything_to_one_page(tree: Path) -> None:
    static = StaticFiles(StaticSettings(maps=(("/s", str(tree)), ("/", str(tree / "sub" / "index.html")))))
    for path, body in {"/": b"<p>index", "/any/where": b"<p>index", "/s/a.txt": b"0123456789"}.items():
        answer = fetch(static, path)
        assert answer is not None
        assert answer.body == body


def test_a_place_that_is_not_there(tree: Path) -> None:
    static = StaticFiles(StaticSettings(check=(str(tree / "gone"),), maps=(("/s", str(tree / "gone")),)))
    assert fetch(static, "/s/a.txt") is None


def test_head(get: Get) -> None:
    answer = get("/s/a.txt", "HEAD")
    assert answer is not None
    assert answer.status == "200 OK"
    assert answer.headers["Content-Length"] == "10"
    assert answer.body == b""


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if_modified_since": MODIFIED}, 304),
        ({"if_modified_since": "Tue, 14 Nov 2023 22:13:21 GMT"}, 304),
        ({"if_modified_since": "Tue, 14 Nov 2023 22:13:19 GMT"}, 200),
        ({"if_modified_since": "Tuesday, 14-Nov-23 22:13:20 GMT"}, 304),
        ({"if_modified_since": "yesterday"}, 200),
        ({"if_modified_since": ""}, 200),
        ({"if_modified_since": "Tue, 14 Nov 99999 22:13:20 GMT"}, 200),
        ({"if_none_match": "ETAG"}, 304),
        ({"if_none_match": "W/ETAG"}, 304),
        ({"if_none_match": '"other", ETAG'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"other"'}, 200),
        # RFC 9110, section 13.2.2: If-Modified-Since counts only without If-None-Match.
        ({"if_none_match": '"other"', "if_modified_since": MODIFIED}, 200),
    ],
)
def test_conditions(get: Get, headers: dict[str, str], status: int) -> None:
    etag = f'"{WHEN * 10**9:x}-a"'
    answer = get("/s/a.txt", **{name: value.replace("ETAG", etag) for name, value in headers.items()})
    assert answer is not None
    assert int(answer.status[:3]) == status
    if status == 304:
        assert answer.headers == {"Last-Modified": MODIFIED, "ETag": etag}
        assert answer.body == b""


@pytest.mark.parametrize(
    ("value", "body", "content_range"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=7-100", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-100", b"0123456789", "bytes 0-9/10"),
        ("Bytes = 2-4", b"234", "bytes 2-4/10"),
    ],
)
def test_ranges(get: Get, value: str, body: bytes, content_range: str) -> None:
    answer = get("/s/a.txt", range=value)
    assert answer is not None
    assert answer.status == "206 Partial Content"
    assert answer.headers["Content-Range"] == content_range
    assert answer.headers["Content-Length"] == str(len(body))
    assert answer.body == body


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_ranges_outside_the_file(get: Get, value: str) -> None:
    answer = get("/s/a.txt", range=value)
    assert answer == Answer("416 Range Not Satisfiable", {"Content-Range": "bytes */10", "Content-Length": "0"}, b"")


@pytest.mark.parametrize(
    "value", ["bytes=0-1,3-4", "bytes=4-2", "bytes=-", "bytes=a-b", "lines=1-2", "bytes", "bytes=\u0661-\u0662", "bytes=0-1x"]
)
def test_ranges_that_are_ignored(get: Get, value: str) -> None:
    answer = get("/s/a.txt", range=value)
    assert answer is not None
    assert answer.status == "200 OK"
    assert answer.body == b"0123456789"


def test_a_range_of_an_empty_file(get: Get) -> None:
    answer = get("/s/none", range="bytes=0-")
    assert answer is not None
    assert answer.status == "416 Range Not Satisfiable"


def test_only_get_knows_ranges(get: Get) -> None:
    answer = get("/s/a.txt", "HEAD", range="bytes=0-1")
    assert answer is not None
    assert answer.status == "200 OK"


@pytest.mark.parametrize(
    ("condition", "status"), [("ETAG", 206), (MODIFIED, 206), ("W/ETAG", 200), ('"other"', 200), (formatdate(WHEN + 1, usegmt=True), 200)]
)
def test_if_range_wants_the_very_same_version(get: Get, condition: str, status: int) -> None:
    answer = get("/s/a.txt", range="bytes=0-1", if_range=condition.replace("ETAG", f'"{WHEN * 10**9:x}-a"'))
    assert answer is not None
    assert int(answer.status[:3]) == status


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.html", "text/html"),
        ("a.js", "text/javascript"),
        ("a.MJS", "text/javascript"),
        ("a.css", "text/css"),
        ("a.wasm", "application/wasm"),
        ("a.svg", "image/svg+xml"),
        ("a.json", "application/json"),
        ("a.png", "image/png"),
        ("a.woff2", "font/woff2"),
        ("a.webp", "image/webp"),
        ("a.tar.gz", "application/gzip"),
        ("a.js.br", "application/x-brotli"),
        ("README", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
    ],
)
def test_content_types(name: str, expected: str) -> None:
    assert StaticFiles(StaticSettings()).content_type("/some/where.html/" + name) == expected


def test_the_file_goes_out_through_the_servers_wrapper(tree: Path) -> None:
    seen: list[Any] = []

    def wrapper(file: Any, size: int) -> list[bytes]:
        seen.append((file.name, file.tell(), size))
        file.close()
        return [b"sent"]

    environ: dict[str, Any] = {"PATH_INFO": "/a.txt", "REQUEST_METHOD": "GET", "wsgi.file_wrapper": wrapper, "HTTP_RANGE": "bytes=4-5"}
    static = StaticFiles(StaticSettings(check=(str(tree),)))
    assert static(environ, lambda status, headers: None) == [b"sent"]
    assert seen == [(str(tree / "a.txt"), 4, 65536)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(get: Get, tree: Path) -> None:
    (tree / "a.txt").chmod(0)
    answer = get("/s/a.txt")
    assert answer is not None
    assert answer.status == "403 Forbidden"
