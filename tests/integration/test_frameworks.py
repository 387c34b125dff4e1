"""Hello-worlds of Flask, Django, Bottle and Falcon as they are, and an application behind `wsgiref.validate`."""

from __future__ import annotations

from typing import Callable

import pytest
import requests

from tests.harness.servers import Geuwsgi

FRAMEWORKS = ["Flask", "Django", "Bottle", "Falcon"]

StartServer = Callable[..., Geuwsgi]


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_hello_and_form(name: str, shared_server: StartServer) -> None:
    server = shared_server(f"hello_{name.lower()}.py")
    with requests.Session() as session:
        for _ in range(3):
            answer = session.get(server.url + "/", timeout=10)
            assert (answer.status_code, answer.text) == (200, f"hello from {name}")
        answer = session.post(server.url + "/form", data={"name": "Grüße & more"}, timeout=10)
        assert answer.json() == {"name": "Grüße & more", "remote": "127.0.0.1"}
        assert session.get(server.url + "/nowhere", timeout=10).status_code == 404


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_loaded_as_a_module(name: str, server: StartServer) -> None:
    """`--module pkg:callable` with `--chdir`, as most people start them."""
    from tests.harness.programs import APPS

    running = server(None, "--chdir", str(APPS), "--module", f"hello_{name.lower()}:application")
    assert requests.get(running.url + "/", timeout=10).text == f"hello from {name}"


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "body"),
    [
        ("GET", "/some/p%C3%A4th", None, 200, "/some/päth".encode()),
        ("POST", "/read", b"x" * 100_000, 200, b"x" * 100_000),
        ("POST", "/lines", b"one\ntwo\r\nthree", 200, b"one|two|three"),
        ("GET", "/empty", None, 204, b""),
        ("GET", "/write", None, 200, b"written, returned"),
        ("GET", "/exc-info", None, 503, b"replaced"),
    ],
)
def test_pep_3333_as_wsgiref_sees_it(shared_server: StartServer, method: str, path: str, data: bytes, status: int, body: bytes) -> None:
    server = shared_server("validated.py")
    with requests.Session() as session:
        answer = session.request(method, server.url + path, data=data, timeout=10)
        assert (answer.status_code, answer.content) == (status, body)
        assert session.get(server.url + "/again", timeout=10).content == b"/again"


def test_head_of_a_validated_application(shared_server: StartServer) -> None:
    with requests.Session() as session:
        answer = session.head(shared_server("validated.py").url + "/head", timeout=10)
        assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (200, b"", "5")


def test_an_exception_is_not_shown_to_the_client(server: StartServer) -> None:
    """Flask answers 500 by itself, and its logger writes the traceback."""
    running = server("hello_flask.py", expect_log=["a secret detail", "Exception on /boom"])
    answer = requests.get(running.url + "/boom", timeout=10)
    assert answer.status_code == 500
    assert "secret" not in answer.text
