"""Files: which are served, which never, and how."""

from __future__ import annotations

import os
import re
import time
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional
from wsgiref.util import setup_testing_defaults

import pytest

from geuwsgi.server.loader import Mount
from geuwsgi.server.routing import application_for
from geuwsgi.server.settings import Expiry, StaticSettings
from geuwsgi.server.static import StaticFiles
from tests.harness.exhaustion import no_descriptors
from tests.server.serving import serving

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
        ({"if_match": "ETAG"}, 200),
        ({"if_match": '"other", ETAG'}, 200),
        ({"if_match": "*"}, 200),
        ({"if_match": '"other"'}, 412),
        ({"if_match": "W/ETAG"}, 412),
        ({"if_match": '"other"', "range": "bytes=0-1"}, 412),
        ({"if_match": "ETAG", "range": "bytes=0-1"}, 206),
        ({"if_match": "ETAG", "if_none_match": "ETAG"}, 304),
        ({"if_unmodified_since": MODIFIED}, 200),
        ({"if_unmodified_since": "Tue, 14 Nov 2023 22:13:19 GMT"}, 412),
        ({"if_unmodified_since": "yesterday"}, 200),
        # RFC 9110, section 13.2.2: If-Unmodified-Since counts only without If-Match.
        ({"if_match": "ETAG", "if_unmodified_since": "Tue, 14 Nov 2023 22:13:19 GMT"}, 200),
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
        ("bytes=7-" + "9" * 5000, b"789", "bytes 7-9/10"),
        ("bytes=-" + "9" * 5000, b"0123456789", "bytes 0-9/10"),
        ("bytes=" + "0" * 5000 + "7-", b"789", "bytes 7-9/10"),
    ],
)
def test_ranges(get: Get, value: str, body: bytes, content_range: str) -> None:
    answer = get("/s/a.txt", range=value)
    assert answer is not None
    assert answer.status == "206 Partial Content"
    assert answer.headers["Content-Range"] == content_range
    assert answer.headers["Content-Length"] == str(len(body))
    assert answer.body == body


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=" + "9" * 5000 + "-"])
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


def test_a_file_for_which_no_descriptor_is_left(get: Get) -> None:
    """Not 404, which says that it is gone, and may be remembered."""
    with no_descriptors():
        answer = get("/s/a.txt")
    assert answer is not None
    assert (answer.status, answer.body) == ("503 Service Unavailable", b"Service Unavailable")


def serve(tree: Path, path: str, settings: dict[str, Any], **headers: str) -> Optional[Answer]:
    """Ask a file server for root/ with these settings."""
    return fetch(StaticFiles(StaticSettings(**{"check": (str(tree),), **settings})), path, **headers)


def test_a_map_that_keeps_the_whole_path(tree: Path) -> None:
    static = StaticFiles(StaticSettings(maps2=(("/sub", str(tree)), ("/a.txt", str(tree)))))
    for path, body in {"/sub/b.js": b"1", "/a.txt": b"0123456789"}.items():
        answer = fetch(static, path)
        assert answer is not None
        assert answer.body == body
    assert fetch(static, "/none") is None
    assert fetch(static, "/subs/b.js") is None


def test_the_front_servers_document_root(tree: Path) -> None:
    static = StaticFiles(StaticSettings(check_docroot=True))
    environ: dict[str, Any] = {"PATH_INFO": "/a.txt", "REQUEST_METHOD": "GET"}
    assert static.find(environ) is None
    for root, found in {str(tree): True, str(tree) + "/": True, str(tree / "sub"): False, "relative": False, "/": False}.items():
        assert (static.find({**environ, "DOCUMENT_ROOT": root}) is not None) is found


def test_skipped_names(tree: Path) -> None:
    assert serve(tree, "/a.txt", {"skip": (".txt",)}) is None
    assert serve(tree, "/inside", {"skip": (".txt",)}) is None  # what it leads to counts, too
    assert serve(tree, "/sub/", {"skip": (".html",), "index": ("index.html",)}) is None
    assert serve(tree, "/sub/b.js", {"skip": (".txt",)}) is not None


def test_safe_directories(tree: Path) -> None:
    (tree / "secret-folder").symlink_to("../root-secret")
    assert serve(tree, "/sibling", {}) is None
    for path in ("/sibling", "/folder/s.txt", "/secret-folder/s.txt"):
        answer = serve(tree, path, {"safe": (str(tree.parent / "root-secret"),)})
        assert answer is not None
        assert answer.body == b"secret"
    assert serve(tree, "/sibling", {"safe": (str(tree.parent / "root-sec"),)}) is None
    assert serve(tree, "/../root-secret/s.txt", {"safe": (str(tree.parent / "root-secret"),)}) is None


def test_remembered_links(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    static = StaticFiles(StaticSettings(check=(str(tree),), cache_seconds=60))
    now = [1000.0]
    monkeypatch.setattr("geuwsgi.server.static.time.monotonic", lambda: now[0])
    assert fetch(static, "/inside") is not None
    (tree / "inside").unlink()
    (tree / "inside").symlink_to("../secret.txt")
    answer = fetch(static, "/inside")
    assert answer is not None
    assert answer.body == b"0123456789"  # as it was
    now[0] += 61
    assert fetch(static, "/inside") is None


def test_a_remembered_file_that_has_become_a_link(tree: Path) -> None:
    static = StaticFiles(StaticSettings(check=(str(tree),), cache_seconds=60))
    assert fetch(static, "/a.txt") is not None
    (tree / "a.txt").unlink()
    (tree / "a.txt").symlink_to("../secret.txt")
    assert fetch(static, "/a.txt") is None
    (tree / "a.txt").unlink()
    (tree / "a.txt").mkdir()
    assert fetch(static, "/a.txt") is None


def test_a_file_of_media_types(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mime = tree / "mime.types"
    mime.write_text("# comment\ntext/special\tspecial txt\n")
    static = StaticFiles(StaticSettings(mime_files=(str(mime), str(tree / "gone"))))
    assert static.content_type("a.txt") == static.content_type("a.special") == "text/special"
    assert static.content_type("a.css") == "text/css"
    assert static.known_type("a.unknown") is None
    assert "cannot be read" in capfd.readouterr().err


IN_A_MINUTE = "Tue, 14 Nov 2023 22:14:20 GMT"


@pytest.mark.parametrize(
    ("rule", "expires"),
    [
        (Expiry("file", re.compile(r"/root/a\."), 60, True), IN_A_MINUTE),
        (Expiry("file", re.compile("^/a"), 60, True), None),
        (Expiry("path-info", re.compile("^/a"), 60, True), IN_A_MINUTE),
        (Expiry("uri", re.compile(r"\?q$"), 60, True), IN_A_MINUTE),
        (Expiry("type", re.compile("text/plain"), 60, True), IN_A_MINUTE),
        (Expiry("type", re.compile("text"), 60, True), None),
        (Expiry("file", re.compile(""), -60, True), "Tue, 14 Nov 2023 22:12:20 GMT"),
    ],
)
def test_expires(tree: Path, rule: Expiry, expires: Optional[str]) -> None:
    static = StaticFiles(StaticSettings(check=(str(tree),), expires=(rule, Expiry("type", re.compile("none"), 1))))
    seen: list[Any] = []
    for headers in ({}, {"HTTP_IF_MODIFIED_SINCE": MODIFIED}):
        environ: dict[str, Any] = {"PATH_INFO": "/a.txt", "REQUEST_URI": "/a.txt?q", "REQUEST_METHOD": "GET", **headers}
        body: Any = static(environ, lambda status, fields: seen.append(dict(fields)))
        assert seen[-1].get("Expires") == expires
        if hasattr(body, "close"):
            body.close()


def test_expires_from_now(tree: Path) -> None:
    answer = serve(tree, "/a.txt", {"expires": (Expiry("file", re.compile("txt"), 3600), Expiry("file", re.compile("a"), 1))})
    assert answer is not None
    assert abs(parsedate_to_datetime(answer.headers["Expires"]).timestamp() - time.time() - 3600) < 60


@pytest.fixture
def compressed(tree: Path) -> Path:
    (tree / "sub" / "b.js.gz").write_text("gz")
    (tree / "sub" / "b.js.br").write_text("br")
    (tree / "a.txt.gz").write_text("gz")
    (tree / "none.gz").symlink_to("../secret.txt")
    return tree


@pytest.mark.parametrize(
    ("path", "accepted", "encoding"),
    [
        ("/sub/b.js", "gzip", "gzip"),
        ("/sub/b.js", "gzip, br", "br"),
        ("/sub/b.js", "br;q=0, gzip", "gzip"),
        ("/sub/b.js", "GZIP;q=0.5", "gzip"),
        ("/sub/b.js", "*", "br"),
        ("/sub/b.js", "gzip;q=0", ""),
        ("/sub/b.js", "gzip;q=x", ""),
        ("/sub/b.js", "deflate", ""),
        ("/sub/b.js", "", ""),
        ("/a.txt", "br", ""),
        ("/a.txt", "br, gzip", "gzip"),
        ("/none", "gzip", ""),  # a link
    ],
)
def test_compressed_files(compressed: Path, path: str, accepted: str, encoding: str) -> None:
    answer = serve(compressed, path, {"gzip_all": True}, accept_encoding=accepted)
    plain = serve(compressed, path, {})
    assert answer is not None
    assert plain is not None
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers.get("Content-Encoding", "") == encoding
    assert answer.headers["Content-Type"] == plain.headers["Content-Type"]
    assert answer.body == ({"gzip": b"gz", "br": b"br"}[encoding] if encoding else plain.body)
    assert (answer.headers["ETag"] == plain.headers["ETag"]) is (not encoding)


def test_which_files_may_be_compressed(compressed: Path) -> None:
    def encoding(path: str, **settings: Any) -> Optional[str]:
        answer = serve(compressed, path, settings, accept_encoding="gzip")
        assert answer is not None
        return answer.headers.get("Content-Encoding")

    sub = str(compressed / "sub")
    assert encoding("/sub/b.js", gzip_prefixes=(sub,)) == "gzip"
    assert encoding("/a.txt", gzip_prefixes=(sub,)) is None
    assert encoding("/a.txt", gzip_suffixes=(".txt",)) == "gzip"
    assert encoding("/sub/b.js", gzip_suffixes=(".txt",)) is None
    assert encoding("/sub/b.js", gzip_patterns=(re.compile(r"/sub/.*\.js$"),)) == "gzip"
    assert encoding("/a.txt", gzip_patterns=(re.compile("^/sub"),)) is None


def test_the_front_server_sends_the_file(tree: Path) -> None:
    answer = serve(tree, "/a.txt", {"redirect_header": "X-Accel-Redirect"})
    assert answer is not None
    assert (answer.headers["X-Accel-Redirect"], answer.body) == (str(tree / "a.txt"), b"")


def test_a_name_that_no_header_can_hold(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tree / "a\nX-Evil: 1").write_text("x")
    answer = serve(tree, "/a\nX-Evil: 1", {"redirect_header": "X-Accel-Redirect"})
    assert answer is not None
    assert (answer.status[:3], "X-Accel-Redirect" in answer.headers) == ("404", False)
    assert "a control character cannot stand in X-Accel-Redirect" in capfd.readouterr().err


def test_a_client_that_takes_its_time_holds_no_core(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(8 * 1024 * 1024))
    static = StaticFiles(StaticSettings(check=(str(tmp_path),)))
    mounts = [Mount("", lambda environ, start_response: (start_response("200 OK", []), [b"served"])[1])]
    with serving(application_for(mounts, static, False), cores=1) as server:
        slow = server.connect()
        slow.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        slow.until(b"\r\n\r\n")
        for _ in range(3):
            assert server.ask("/").body == b"served"
        assert len(slow.exactly(8 * 1024 * 1024)) == 8 * 1024 * 1024
        assert slow.ask("/").body == b"served"
        assert server.server.cores.waiting == 0
        assert not server.server.running


def test_a_file_that_is_cut_while_it_is_sent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    size = 256 * 1024 * 1024  # more than the kernel takes from a sender on its way
    with open(tmp_path / "big", "wb") as file:
        file.truncate(size)
    static = StaticFiles(StaticSettings(check=(str(tmp_path),)))
    with serving(application_for([], static, False)) as server:
        client = server.connect()
        client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        client.until(b"\r\n\r\n")
        os.truncate(tmp_path / "big", 10)
        assert len(client.rest()) < size  # and then the connection is closed
    assert re.search(r"GET /big: a file that became shorter meanwhile sent \d+ bytes less than its", capfd.readouterr().err)
