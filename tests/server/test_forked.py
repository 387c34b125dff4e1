"""An application that forks in a request: its children come back into the server, and end before their parent looks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest
import requests

from tests.harness.programs import ROOT
from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

APPLICATION = """
import os, sys
import gevent

def application(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/started":
        gevent.spawn(fork, "/exit").join()
        return [b"spawned"]
    pid = os.fork()
    if pid:
        return [str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode()]
    return fork_child(path)

def fork(path):
    if not os.fork():
        fork_child(path)

def fork_child(path):
    if path == "/exit":
        sys.exit()
    elif path == "/status":
        sys.exit(3)
    elif path == "/text":
        sys.exit("a farewell")
    elif path == "/raise":
        raise LookupError("in the child")
    elif path == "/killed":
        raise KeyboardInterrupt
    return [b"the child's answer"]
"""

LOGGED = ["Traceback", "LookupError", "KeyboardInterrupt"]


@pytest.mark.parametrize("options", [(), ("--threads", "2"), ("--master", "--processes", "2")], ids=" ".join)
def test_a_child_ends_where_it_comes_back(options: tuple[str, ...], server: Callable[..., Geuwsgi], tmp_path: Path) -> None:
    (tmp_path / "forking.py").write_text(APPLICATION)
    # gevent's loop keeps what tells it of children.
    running = server(None, "--wsgi-file", str(tmp_path / "forking.py"), *options, expect_log=LOGGED, lasting=1)
    processes = len(running.relatives())
    expected = {"/exit": "0", "/status": "3", "/text": "1", "/raise": "1", "/killed": "1", "/return": "1", "/started": "spawned"}
    if "--threads" in options:
        del expected["/started"]  # a thread that the application has started is its own business
    for path, answer in expected.items():
        assert requests.get(running.url + path, timeout=20).text == answer, path
    wait_until(lambda: len(running.relatives()) == processes, 20, "the end of the child of a greenlet")
    assert running.log.count("LookupError: in the child\n") == 1
    assert running.log.count("came back from it: it ends") == 1


QUICK = """
from gevent import monkey
monkey.patch_all()
import os
import gevent.os
from geuwsgi.server.forked import hear_of_every_end

def fork():
    pid = monkey.get_original("os", "fork")()
    if pid:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # it has ended, and may still be waited for
    return pid

os.fork = hear_of_every_end(lambda: gevent.os.fork_and_watch(fork=fork))
pid = os.fork()
if not pid:
    os._exit(3)
print(os.waitpid(pid, 0) == (pid, 3 << 8))
"""


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="this system has no waitid()")
def test_a_child_that_ends_before_its_parent_goes_on() -> None:
    run = subprocess.run([sys.executable, "-c", QUICK], capture_output=True, text=True, timeout=20, check=False, cwd=ROOT)
    assert (run.stdout, run.stderr) == ("True\n", "")
