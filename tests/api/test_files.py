"""`uwsgi.sendfile` and `uwsgi.offload`: a file in the response."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from .conftest import Requests

CONTENT = bytes(range(256)) * 2000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "f\xe4le"
    found.write_bytes(CONTENT)
    return found


def serve(requests: Requests, send: Any, headers: Any = (), rest: Any = (b"",)) -> list[Any]:
    """The results of `send()` in a request whose body it makes."""
    results: list[Any] = []

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain"), *headers])
        results.append(send())
        return list(rest)

    requests.server.application = application
    return results


@pytest.mark.parametrize("kind", ["str", "bytes", "descriptor", "file"])
def test_what_can_be_sent(requests: Requests, path: Path, kind: str) -> None:
    def send() -> Any:
        if kind == "file":
            with open(path, "rb") as file:
                result = requests.uwsgi.sendfile(file)
                assert not file.closed
                assert os.fstat(file.fileno())
                return result
        if kind == "descriptor":
            fd = os.open(path, os.O_RDONLY)
            result = requests.uwsgi.sendfile(fd)
            with pytest.raises(OSError):
                os.fstat(fd)
            return result
        return requests.uwsgi.sendfile(str(path) if kind == "str" else os.fsencode(path))

    results = serve(requests, send)
    answer = requests.ask()
    assert (answer.body, results) == (CONTENT, [True])
    assert answer.headers["transfer-encoding"] == "chunked"


def test_a_length_is_kept(requests: Requests, path: Path) -> None:
    results = serve(requests, lambda: requests.uwsgi.sendfile(str(path)), [("Content-Length", str(len(CONTENT)))])
    client = requests.connect()
    for _ in range(2):  # the connection lives on
        assert client.ask().body == CONTENT
    assert results == [True, True]


def test_more_than_the_length_is_cut(requests: Requests, path: Path, capfd: Any) -> None:
    serve(requests, lambda: requests.uwsgi.sendfile(str(path)), [("Content-Length", "300")])
    client = requests.connect()
    for _ in range(2):
        assert client.ask().body == CONTENT[:300]
    assert "more bytes than its Content-Length" in capfd.readouterr().err


def test_a_part_among_other_pieces(requests: Requests, path: Path) -> None:
    def send() -> Any:
        return [requests.uwsgi.sendfile(str(path), 0, 10, 5), requests.uwsgi.sendfile(str(path), 0, len(CONTENT) - 2, 99)]

    assert serve(requests, send, rest=[b"end"]) == []
    assert requests.ask().body == CONTENT[10:15] + CONTENT[-2:] + b"end"


def test_head_and_http_1_0(requests: Requests, path: Path) -> None:
    serve(requests, lambda: requests.uwsgi.sendfile(str(path)))
    assert requests.ask("/", "HEAD").body == b""
    assert requests.talk(b"GET / HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\n" + CONTENT)


def test_what_cannot_be_sent(requests: Requests, path: Path, tmp_path: Path, capfd: Any) -> None:
    uwsgi = requests.uwsgi
    results = serve(requests, lambda: [uwsgi.sendfile(str(path) + ".not"), uwsgi.sendfile(str(tmp_path))])
    assert requests.ask().body == b""
    assert results == [[None, None]]
    log = capfd.readouterr().err
    assert "No such file" in log
    assert "is not a regular file" in log
    with pytest.raises(TypeError, match="a path, a descriptor or a file expected, not NoneType"):
        requests.call(lambda environ: uwsgi.sendfile(None))


def test_without_start_response(requests: Requests, path: Path, capfd: Any) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        requests.uwsgi.sendfile(str(path))
        return []

    requests.server.application = application
    assert requests.ask().code == 500
    assert "the application has not called start_response" in capfd.readouterr().err


def test_offload(requests: Requests, path: Path) -> None:
    results = serve(requests, lambda: requests.uwsgi.offload(str(path)))
    assert requests.ask().body == CONTENT
    assert results == [b""]
    with pytest.raises(ValueError, match="unable to offload the request"):
        requests.call(lambda environ: requests.uwsgi.offload(str(path) + ".not"))


def test_a_file_that_shrinks_breaks_the_response(requests: Requests, path: Path, capfd: Any) -> None:
    """Its end must not look like the end of a whole response."""

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        with open(path, "rb") as file:
            response = requests.uwsgi.request_context().connection.response
            response.write_file(file.fileno(), 0, len(CONTENT) + 1)
        return []

    requests.server.application = application
    with pytest.raises((ConnectionError, AssertionError)):
        requests.ask()
    assert "1 bytes before its time" in capfd.readouterr().err
