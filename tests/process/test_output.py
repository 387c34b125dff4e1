"""What the application prints, when the log cannot take it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Callable

import pytest
import requests

from geuwsgi.process.output import open_output
from tests.harness.pipes import FullPipe
from tests.harness.servers import Geuwsgi, server_environment
from tests.harness.wait import wait_until


def test_a_full_disk_costs_what_was_printed_and_nothing_else(tmp_path: Path) -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    log = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    try:
        stream = open_output(fd, "utf-8")
        print("one", file=stream)
        print("two", file=stream)
        os.dup2(log, fd)  # there is room again
        print("three é \udcff", file=stream)
        print("four", file=stream)
    finally:
        os.close(fd)
        os.close(log)
    text = "2 writes to this log were lost: No space left on device\nthree é \\udcff\nfour\n"
    assert (tmp_path / "log").read_text("utf-8") == text


def test_a_pipe_that_does_not_block() -> None:
    with FullPipe() as pipe:
        os.set_blocking(pipe.end, False)
        stream = open_output(pipe.end, "utf-8")
        print("one", file=stream)
        print("two", file=stream)
        pipe.make_room(8192)
        print("three", file=stream)
        assert pipe.rest() == b"2 writes to this log were lost: its reader stands still\nthree\n"


def test_an_application_that_prints_goes_on(server: Callable[..., Geuwsgi], tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import sys\n"
        "def application(environ, start_response):\n"
        "    print('said')\n"
        "    print('said', file=sys.stderr)\n"
        "    start_response('200 OK', [])\n"
        "    return [b'served']\n"
    )
    running = server(None, "--wsgi-file", str(tmp_path / "app.py"), "--logto", "/dev/full")
    for _ in range(3):
        assert requests.get(running.url, timeout=10).text == "served"


@pytest.mark.parametrize("master", [[], ["--master", "--processes", "2"]], ids=["alone", "master"])
def test_a_reader_that_stands_still_holds_up_nobody(tmp_path: Path, master: list[str]) -> None:
    """As `geuwsgi ... | logger` with a logger that hangs, or Ctrl-S in a terminal."""
    (tmp_path / "app.py").write_text("def application(e, s):\n    print('said')\n    s('200 OK', [])\n    return [b'served']\n")
    ready = tmp_path / "ready"
    command = [sys.executable, "-m", "geuwsgi", "--http-socket", "127.0.0.1:0", "--wsgi-file", "app.py", "--die-on-term", *master]
    with (
        FullPipe() as pipe,
        subprocess.Popen(
            [*command, "--ready-file", str(ready)], cwd=tmp_path, env=server_environment(None), stdout=pipe.end, stderr=pipe.end
        ) as process,
    ):
        try:
            wait_until(ready.exists, 30, "the ready file")
            url = "http://" + ready.read_text().split()[0]
            for _ in range(5):
                assert requests.get(url, timeout=20).text == "served"
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
