"""Locks and shared areas among real workers."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable

import pytest
import websocket

from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

from .probing import PROBE, ask, ask_all

StartServer = Callable[..., Geuwsgi]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def probe(tmp_path: Path) -> str:
    path = tmp_path / "probe.py"
    path.write_text(PROBE)
    return str(path)


def test_a_lock_is_one_for_all_and_ends_with_its_holder(server: StartServer, probe: str) -> None:
    running = server(None, "--master", "-p", "2", "--locks", "2", "--wsgi-file", probe, expect_log=[r"worker \d .*(died|killed|signal)"])
    pid, _ = ask(running, "os.getpid(), uwsgi.lock(2)")
    assert ask_all(running, "uwsgi.is_locked(2), uwsgi.is_locked(1)", 2) == [(True, False)] * 2
    # The waiter of the other worker lets its requests go on, and gets the lock when its holder is killed.
    (waiting,) = [
        other
        for other, _ in ask_all(running, f"os.getpid(), os.getpid() == {pid} or bool(seen or seen.append(gevent.spawn(uwsgi.lock, 2)))", 2)
        if other != pid
    ]
    assert len(ask_all(running, "1", 2)) == 2
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len({*ask_all(running, "os.getpid()", 2)} - {pid}) == 2, 20, "another worker")
    # Who waits looks now and then.
    wait_until(lambda: ask_all(running, "uwsgi.is_locked(2)", 2) == [True] * 2, 20, "the waiter's having it")
    wait_until(lambda: ask(running, f"os.getpid() == {waiting} and (uwsgi.unlock(2), 1)"), 20, "the waiter's worker")
    assert ask_all(running, "uwsgi.is_locked(2)", 2) == [False] * 2


def test_counting_together(server: StartServer, probe: str) -> None:
    running = server(None, "--master", "-p", "2", "--sharedarea", "1", "--sharedarea", "size=5000", "--wsgi-file", probe)
    counts = ask_all(running, "[uwsgi.sharedarea_inc64(0, 8) for _ in range(2000)] and len(uwsgi.sharedarea_memoryview(1))", 2)
    assert counts == [8192, 8192]
    total = ask(running, "uwsgi.sharedarea_read64(0, 8)")
    assert total >= 4000
    assert total % 2000 == 0


def test_a_file(server: StartServer, probe: str, tmp_path: Path) -> None:
    file = tmp_path / "area"
    file.write_bytes(bytes(10000))
    running = server(None, "--sharedarea", f"file={file},size=10000", "--wsgi-file", probe)
    ask(running, "uwsgi.sharedarea_write(0, 9990, 'at the end')")
    assert file.read_bytes()[9990:] == b"at the end"


@pytest.mark.parametrize("value", ["x", "0", "pages=", "size=1,ptr=5", "color=1", "file=/nonexistent,size=10", "fd=99999,size=10"])
def test_what_cannot_be_had_is_said(run_geuwsgi: Run, probe: str, value: str) -> None:
    done = run_geuwsgi("--http-socket", "127.0.0.1:0", "--sharedarea", value, "--wsgi-file", probe)
    assert done.returncode == 1
    assert "--sharedarea" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_websockets_stream_what_one_process_writes(server: StartServer) -> None:
    running = server("sharedarea_stream.py", "--master", "-p", "2", "--sharedarea", "17", "--locks", "1")
    clients = [websocket.create_connection(f"{running.ws_url}/5", timeout=20) for _ in range(100)]
    begun = time.monotonic()
    for client in clients:
        for _ in range(5):
            frame = client.recv()
            assert len(frame) == 65536
            assert frame == frame[:1] * 65536  # never half of one and half of the next
        client.close()
    assert time.monotonic() - begun < 20
