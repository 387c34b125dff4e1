"""Rules for responses: when they come, and what becomes of an application's response that a rule replaces."""

from __future__ import annotations

import gzip
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from gevent.event import Event

from geuwsgi.server.filewrapper import FileWrapper
from geuwsgi.server.loader import Mount
from geuwsgi.server.routing import application_for
from geuwsgi.server.threads import ThreadPool, in_threads
from tests.server.routes.rules import compiled, echo, ruled
from tests.server.serving import PLAIN, serving


class Body:
    """An iterable that tells how far it was read, and whether it was closed."""

    def __init__(self, *pieces: bytes) -> None:
        self.left = list(pieces)
        self.closed = 0

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        return self.left.pop(0)

    def close(self) -> None:
        self.closed += 1


def replying(result: Any, *headers: tuple[str, str], status: str = "200 OK") -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, [PLAIN, *headers])
        return result() if callable(result) else result

    return application


def generator(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [PLAIN, ("X-App", "lazy")])
    yield b"one"
    yield b"two"


def writer(environ: dict[str, Any], start_response: Any) -> Any:
    write = start_response("200 OK", [PLAIN, ("X-App", "written")])
    write(b"one")
    write(b"two")
    return [b"three"]


def second_thoughts(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [PLAIN])
    try:
        raise ValueError
    except ValueError:
        start_response("503 Sorry", [PLAIN], sys.exc_info())
    return [b"sorry"]


KINDS = [
    (replying([b"one"]), b"one"),
    (replying([]), b""),
    (replying([b"one", b"two"], ("Content-Length", "6")), b"onetwo"),
    (replying(lambda: iter([b"one", b"two"])), b"onetwo"),
    (generator, b"onetwo"),
    (writer, b"onetwothree"),
    (lambda environ, start_response: replying(FileWrapper(open(__file__, "rb")))(environ, start_response), Path(__file__).read_bytes()),  # noqa: SIM115
]
KIND_NAMES = ["list", "empty", "length", "iterator", "generator", "write", "file"]


@pytest.mark.parametrize(("application", "body"), KINDS, ids=KIND_NAMES)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_every_kind_of_response(application: Any, body: bytes, version: str) -> None:
    with ruled("response-route-run = addheader:X-Rule: yes", application) as server:
        found = server.connect()
        found.send(f"GET / HTTP/{version}\r\nHost: a\r\n\r\n".encode())
        plain = found.answer()
    assert (plain.headers["x-rule"], plain.body) == ("yes", body)
    with ruled("response-route-run = send:text,", application) as server:
        found = server.connect()
        found.send(f"GET / HTTP/{version}\r\nHost: a\r\n\r\n".encode())
        assert found.answer().body == b"text," + body
    for rule in ("response-route-run = redirect:/x", "error-route-run = redirect:/x", "error-route-status = 200 redirect:/x"):
        with ruled(rule, application) as server:
            client = server.connect()
            client.send(f"GET / HTTP/{version}\r\nHost: a\r\n\r\n".encode())
            found = client.answer()
            assert (found.code, found.headers["location"], found.body) == (302, "/x", b"Moved")
            assert "x-app" not in found.headers


def test_a_connection_goes_on_after_a_replaced_response() -> None:
    with ruled("response-route = ^/x redirect:/y", generator) as server:
        client = server.connect()
        assert client.ask("/x").code == 302
        assert client.ask("/z").body == b"onetwo"


def test_what_was_replaced_is_closed() -> None:
    body = Body(b"one", b"two")
    with ruled("response-route-run = return:404", replying(body)) as server:
        assert server.ask("/").body == b"Not Found"
    assert body.closed == 1


def test_error_rules_know_the_last_status() -> None:
    with ruled("error-route-status = 503 addheader:X-Sorry: yes\nerror-route-status = 200 redirect:/x", second_thoughts) as server:
        found = server.ask("/")
    assert (found.status, found.headers["x-sorry"], found.body) == ("HTTP/1.1 503 Sorry", "yes", b"sorry")


def test_error_rules_see_exceptions(capfd: pytest.CaptureFixture[str]) -> None:
    with ruled("error-route-status = 500 redirect:/sorry\nresponse-route-run = addheader:X-Late: ${uwsgi[status]}") as server:
        found = server.ask("/fail")
        assert (found.code, found.headers["location"], found.headers["x-late"]) == (302, "/sorry", "302")
        assert server.ask("/y").headers["x-late"] == "200"
    assert "on purpose" in capfd.readouterr().err


def test_a_page_for_an_error(tmp_path: Path) -> None:
    page = tmp_path / "404.html"
    page.write_text("<h1>gone")
    with ruled(f"error-route-status = 404 file:filename={page},status=404 Not Found") as server:
        found = server.ask("/missing")
        assert (found.code, found.headers["content-type"], found.body) == (404, "text/html", b"<h1>gone")


def test_an_answer_passes_the_rules_for_responses_once() -> None:
    rules = """
    route = ^/x redirect:/a
    error-route-status = 302 redirect-301:/b
    error-route-status = 301 redirect:/c
    response-route-status = 301 addheader:X-Seen: yes
    response-route-status = 301 clearheaders:404 Odd
    """
    with ruled(rules) as server:
        found = server.ask("/x")
    assert (found.status, found.headers["x-seen"], found.body) == ("HTTP/1.1 404 Odd", "yes", b"Moved Permanently")
    assert "location" not in found.headers


@pytest.mark.parametrize("phase", ["error", "response"])
def test_break_sends_the_head_alone(phase: str) -> None:
    with ruled(f"{phase}-route-run = break:") as server:
        found = server.ask("/missing")
        assert (found.code, found.headers["x-app"], found.headers["content-length"], found.body) == (404, "yes", "0", b"")


def test_disconnect() -> None:
    with ruled("response-route = ^/x disconnect:", generator) as server:
        assert server.talk(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n") == b""


def test_responses_without_a_body() -> None:
    with ruled("response-route-run = send:text", replying([], status="204 No Content")) as server:
        found = server.ask("/")
        assert (found.code, found.body, "content-length" in found.headers) == (204, b"", False)
    with ruled("response-route-run = send:text", generator) as server:
        assert server.ask("/", "HEAD").code == 200


# -- headers that become variables


def test_collecting_headers() -> None:
    rules = """
    collect-header = X-Kind KIND
    pull-header = x-secret SECRET
    response-route-run = addheader:X-Told: ${KIND} ${SECRET}
    response-route-if = equal:${KIND};special addheader:X-Special: yes
    """
    with ruled(rules, replying([b"ok"], ("X-Kind", "special"), ("X-Secret", "s"))) as server:
        found = server.ask("/").headers
    assert (found["x-told"], found["x-special"], found["x-kind"], "x-secret" in found) == ("special s", "yes", "special", False)


def sendfile_rules(action: str) -> str:
    return f"""
    collect-header = X-Sendfile X_SENDFILE
    collect-header = X-Accel-Redirect X_ACCEL
    response-route-if-not = empty:${{X_SENDFILE}} {action}:${{X_SENDFILE}}
    response-route-if-not = empty:${{X_ACCEL}} {action}:${{X_ACCEL}}
    """


@pytest.mark.parametrize("name", ["X-Sendfile", "x-accel-redirect"])
def test_x_sendfile(name: str, tmp_path: Path) -> None:
    file = tmp_path / "a.css"
    file.write_bytes(b"0123456789" * 20000)
    with ruled(sendfile_rules("static"), replying(lambda: iter([b"never"]), (name, str(file)))) as server:
        client = server.connect()
        found = client.ask("/")
        assert (found.headers["content-type"], found.body) == ("text/css", file.read_bytes())
        assert name.lower() not in found.headers
        found = client.ask("/", "GET", "Range: bytes=1-2")
        assert (found.code, found.body) == (206, b"12")
        assert client.ask("/", "HEAD").headers["content-length"] == "200000"
        assert client.ask("/", "POST", body=b"x").body == file.read_bytes()
    with ruled(sendfile_rules("sendfile"), replying([], (name, str(file)))) as server:
        assert server.ask("/").body == file.read_bytes()
    with ruled(sendfile_rules("static"), replying([b"never"], (name, str(file) + ".gone"))) as server:
        found = server.ask("/")
        assert (found.code, found.body) == (404, b"Not Found")


def test_in_threads() -> None:
    rules = "error-route-status = 404 redirect:/x\nresponse-route = ^/late addheader:X-Late: yes\nroute = ^/early return:403"
    for application in (echo, generator, writer):
        mounts = in_threads([Mount("", application)], ThreadPool(2))
        with serving(application_for(mounts, None, False, compiled(rules)), threads=2, cores=2) as server:
            client = server.connect()
            assert client.ask("/late").headers["x-late"] == "yes"
            assert client.ask("/early").code == 403
            assert client.ask("/missing").code == (302 if application is echo else 200)
            assert client.ask("/late").code == 200


# -- compression


@pytest.mark.parametrize(("application", "body"), KINDS, ids=KIND_NAMES)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("option", ["route", "response-route"])
def test_compressing_every_kind_of_response(application: Any, body: bytes, version: str, option: str) -> None:
    with ruled(f"{option}-run = gzip:\n{option} = ^/text send:text,", application) as server:
        for path, text in (("/", b""), ("/text", b"text,")):
            client = server.connect()
            client.send(f"GET {path} HTTP/{version}\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n".encode())
            found = client.answer()
            assert (found.headers.get("content-encoding"), found.headers.get("vary")) == ("gzip", "Accept-Encoding")
            assert gzip.decompress(found.body) == text + body
            if version == "1.1":
                assert client.ask("/", "GET", "Accept-Encoding: gzip;q=0").body == body


def test_what_is_not_compressed() -> None:
    for application in (
        replying([b"x"], ("Content-Encoding", "br")),
        replying([b"x"], ("Cache-Control", "public, no-transform")),
        replying([b"x"], status="206 Partial Content"),
        replying([], status="204 No Content"),
        replying([], ("Content-Length", "0")),
    ):
        with ruled("route-run = gzip:", application) as server:
            found = server.ask("/", "GET", "Accept-Encoding: gzip")
            assert found.headers.get("content-encoding") in (None, "br")
            assert found.body in (b"", b"x")


def test_compression_does_not_wait_for_more() -> None:
    again = Event()

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [PLAIN, ("ETag", '"a"'), ("Accept-Ranges", "bytes")])
        yield b"event\n"
        again.wait(60)
        yield b"last\n"

    with ruled("route-run = gzip:", application) as server:
        client = server.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
        head = client.until(b"\r\n\r\n")
        assert b'ETag: W/"a"\r\n' in head
        assert b"Accept-Ranges" not in head
        size = int(client.until(b"\r\n"), 16)
        inflater = zlib.decompressobj(31)
        assert inflater.decompress(client.exactly(size)) == b"event\n"
        again.set()
        assert client.until(b"\r\n0\r\n\r\n")


def test_answers_are_compressed_too(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("a{}" * 50000)
    rules = f"route-run = gzip:\nroute = ^/a static:{tmp_path}/a.css\nroute = ^/b return:404\nresponse-route = ^/c return:410"
    with ruled(rules) as server:
        client = server.connect()
        for path, body in {"/a": b"a{}" * 50000, "/b": b"Not Found", "/c": b"Gone"}.items():
            found = client.ask(path, "GET", "Accept-Encoding: gzip")
            assert (found.headers["content-encoding"], gzip.decompress(found.body)) == ("gzip", body)
        assert client.ask("/a", "HEAD", "Accept-Encoding: gzip").headers["content-encoding"] == "gzip"
        part = client.ask("/a", "GET", "Accept-Encoding: gzip", "Range: bytes=0-2")
        assert (part.code, part.body, "content-encoding" in part.headers) == (206, b"a{}", False)
