"""The signal framework held against the real one: the same handlers, the same signals, and who has handled what in the end."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Callable

import pytest
import requests

from tests.harness.servers import Server
from tests.harness.wait import wait_until

pytestmark = pytest.mark.differential

APP = Path(__file__).with_name("signals_app.py")
Start = Callable[..., Server]

ARGUMENTS = ["--master", "--processes", "2", "--wsgi-file", str(APP), "--gevent", "10"]

#: Rows that may differ, and why.
KNOWN = {
    "an unknown target": "uWSGI notices when the signal comes",
    "256": "uWSGI takes numbers modulo 256",
}


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "watched").write_text("x")
    return {"WATCHED": str(tmp_path / "watched")}


def wait_handled(server: Server, wanted: dict[str, int]) -> None:
    """Wait until the lines of these handlers are exactly these."""
    names = {line.partition(" ")[0] for line in wanted}

    def lines() -> Counter[str]:
        return Counter(re.findall(rf"^handled ((?:{'|'.join(names)}) .*)$", server.log, re.MULTILINE))

    try:
        wait_until(lambda: lines() == wanted, 20)
    except AssertionError:
        raise AssertionError(f"{lines()} is not {wanted}\n{server.log}") from None


def _check(server: Server, watched: Path) -> None:
    for number in (101, 101, 101, 102, 103, 104, 113, 105, 106, 199):
        assert requests.get(f"{server.url}/uwsgi.signal({number})", timeout=20).json() == "None"
    wait_handled(server, {"any 101": 3, "zero 106": 1, "second 103 by 2": 1, "decorated 113 by 2": 1, "bad 105 by 1": 1})
    wait_handled(server, {"all 102 by 1": 1, "all 102 by 2": 1, "active 104 by 1": 1, "active 104 by 2": 1})
    server.wait_log("error managing signal 105 on worker 1")
    server.wait_log("error managing signal 199 on worker ")
    wait_until(lambda: server.log.count("handled timer 110") >= 2, 20, "the timer")
    wait_handled(server, {"twice 112 by 1": 2, "twice 112 by 2": 2})
    server.wait_log("handled cron ")  # of the minute of the start
    watched.write_text("y")
    server.wait_log("handled path 115 by 1")
    assert "handled path 115 by 2" not in server.log


def test_who_handles_what(server: Start, uwsgi_server: Start, environ: dict[str, str], tmp_path: Path) -> None:
    _check(server(None, *ARGUMENTS, env=environ, expect_log=["ZeroDivisionError: on purpose"]), tmp_path / "watched")
    _check(uwsgi_server(None, *ARGUMENTS, env=environ, fresh=True), tmp_path / "watched")


def test_rows(server: Start, uwsgi_server: Start, environ: dict[str, str]) -> None:
    both = server(None, *ARGUMENTS, env=environ), uwsgi_server(None, *ARGUMENTS, env=environ, fresh=True)
    ours, theirs = (requests.get(f"{one.url}/rows", timeout=20).json() for one in both)
    assert ours.keys() == theirs.keys()
    wrong = {row: (ours[row], theirs[row]) for row in theirs if (ours[row] == theirs[row]) is (row in KNOWN)}
    assert wrong == {}


def test_signals_between_servers(server: Start, uwsgi_server: Start, environ: dict[str, str]) -> None:
    """To each other, and what servers without a master say. uWSGI has one worker here, and cannot answer while it asks."""
    given = ["--wsgi-file", str(APP), "--http-socket", "127.0.0.1:0", "--socket", "127.0.0.1:0"]
    ours, theirs = server(None, "--master", *given, env=environ), uwsgi_server(None, "--master", *given, env=environ, fresh=True)
    alone = server(None, *given, env=environ), uwsgi_server(None, *given, env=environ, fresh=True)

    def ask(sender: Server, receiver: Server) -> str:
        return str(requests.get(f"{sender.url}/uwsgi.signal(101, '{receiver.addresses[1]}')", timeout=20).json())

    assert [ask(ours, theirs), ask(theirs, ours), ask(ours, ours)] == ["None"] * 3
    wait_handled(theirs, {"any 101": 1})
    wait_handled(ours, {"any 101": 2})
    for sender in (ours, theirs):
        for receiver in alone:
            assert ask(sender, receiver) == f"ValueError: node {receiver.addresses[1]} rejected signal 101"


def test_the_action_of_the_internal_routing(server: Start, uwsgi_server: Start, environ: dict[str, str]) -> None:
    rules = ("^/all signal:102", "^/second signal:103", "^/both signal:103", "^/both signal:101")
    given = ["--master", "--processes", "2", "--wsgi-file", str(APP), *(word for rule in rules for word in ("--route", rule))]
    for one in (server(None, *given, env=environ), uwsgi_server(None, *given, env=environ, fresh=True, debian=True)):
        for path in ("all", "second", "both", "nothing"):
            assert requests.get(f"{one.url}/{path}", timeout=20).json() == "ok"
        wait_handled(one, {"all 102 by 1": 1, "all 102 by 2": 1, "second 103 by 2": 2, "any 101": 1})
