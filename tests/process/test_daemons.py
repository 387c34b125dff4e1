"""Attached daemons: real ones, under a real server."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, Optional

import psutil
import pytest

from geuwsgi.process.daemonspec import DaemonSpec
from geuwsgi.process.smart import SmartDaemon
from tests.harness.programs import find_program
from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

StartServer = Callable[..., Geuwsgi]

#: For writing only, to root as well.
UNREADABLE = Path("/proc/sys/vm/compact_memory")

APP = "blocking_echo.py"


def children(server: Geuwsgi, word: str) -> list[psutil.Process]:
    """Living descendants whose program is called `word`."""
    found = []
    for process in psutil.Process(server.pid).children(recursive=True):
        try:
            if process.name() == word and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def one_child(server: Geuwsgi, word: str) -> psutil.Process:
    return wait_until(lambda: children(server, word), 20, f"a process named {word}")[0]


def gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_redis_runs_as_long_as_the_server(server: StartServer, tmp_path: Path) -> None:
    socket_path = f"/tmp/gd-{os.getpid()}.sock"
    command = f"{find_program('redis-server')} --port 0 --unixsocket {socket_path} --save '' --dir {tmp_path} --logfile redis.log"
    running = server(APP, "--attach-daemon", command)
    log = running.log
    # Before the application is loaded, so that it can be connected to from there.
    assert log.index(f'[uwsgi-daemons] spawning "{command}"') < log.index("WSGI app 0")
    redis = one_child(running, "redis-server")
    wait_until(lambda: os.path.exists(socket_path), 20, "Redis's socket")
    status, _ = running.interrupt()
    assert status == 0
    assert "did not end in" not in running.log
    assert gone(redis)
    assert not os.path.exists(socket_path)  # it had the time to tidy up
    assert "[uwsgi-daemons] stopping daemon (pid: " in running.log


def test_several(server: StartServer) -> None:
    running = server(APP, "--attach-daemon", "sleep 1001", "--attach-daemon", "sleep 1002; true")
    wait_until(lambda: len(children(running, "sleep")) == 2, 20, "both")
    assert {process.cmdline()[1] for process in children(running, "sleep")} == {"1001", "1002"}


def test_its_surroundings(server: StartServer, tmp_path: Path) -> None:
    report = tmp_path / "report"
    command = f"(readlink /proc/self/fd/*; echo value=$VALUE; pwd) > {report}.tmp; mv {report}.tmp {report}; sleep 1000"
    running = server(APP, "--attach-daemon", command, "--env", "VALUE=set", "--chdir", str(tmp_path))
    wait_until(report.exists, 20, "the daemon's report")
    lines = report.read_text().splitlines()
    assert lines[0] == "/dev/null"
    assert not any(line.startswith(("socket:", "pipe:", "anon_inode")) for line in lines), lines
    assert lines[-2:] == ["value=set", str(tmp_path)]
    sleeper = one_child(running, "sleep")
    assert os.getsid(sleeper.pid) not in (os.getsid(running.pid), sleeper.pid)  # a session of its own: Ctrl-C does not reach it


def test_it_is_started_again_with_a_growing_pause(server: StartServer) -> None:
    running = server(APP, "--attach-daemon", "echo here; exit 3")
    log = running.wait_log('throttling "echo here; exit 3" for 4 seconds', 20)
    assert re.findall(r"throttling .* for (\d+) seconds", log) == ["1", "2", "4"]
    assert len(re.findall(r'"echo here; exit 3" \(pid: \d+\) ended with status 3', log)) == 3
    assert len(re.findall(r"^here$", log, re.MULTILINE)) == 3


def test_one_that_is_killed_comes_back(server: StartServer) -> None:
    running = server(APP, "--attach-daemon", "exec sleep 1000")
    first = one_child(running, "sleep")
    first.send_signal(signal.SIGSEGV)
    running.wait_log("was killed by SIGSEGV")
    second = wait_until(lambda: [process for process in children(running, "sleep") if process.pid != first.pid], 20, "the second one")[0]
    running.wait_log('respawning "exec sleep 1000"')
    assert second.pid != first.pid


def test_what_it_leaves_behind_goes_before_it_is_started_again(server: StartServer) -> None:
    running = server(APP, "--attach-daemon", "sleep 1003 & exit 0")
    running.wait_log("respawning")
    # Whoever is killed needs the processor once more to end.
    wait_until(lambda: len(children(running, "sleep")) <= 1, 20, "the end of what was left behind")
    wait_until(lambda: len([1 for process in running.relatives() if process.name() == "sleep"]) <= 1, 20, "the end of what was left behind")


def test_a_command_that_is_not_there(server: StartServer) -> None:
    running = server(APP, "--attach-daemon", "/no/such/program")
    running.wait_log('"/no/such/program" (pid: ')
    running.wait_log("was not found (exit status 127)")


def test_a_stubborn_one_is_killed_after_three_seconds(server: StartServer) -> None:
    running = server(APP, "--attach-daemon", "trap '' TERM; sleep 1000 & sleep 1000; true")
    wait_until(lambda: len(children(running, "sleep")) == 2, 20, "both sleepers")
    start = time.monotonic()
    status, _ = running.interrupt()
    assert status == 0
    assert time.monotonic() - start > 2.5
    assert "[uwsgi-daemons] daemon did not end in 3 seconds, killing it" in running.log


@pytest.mark.parametrize("command", ["exec sleep 1000", "sleep 1000", "true; sleep 1000; true", "(sleep 1000 & sleep 1000; wait)"])
def test_a_server_that_is_killed_leaves_no_orphan(server: StartServer, command: str) -> None:
    running = server(APP, "--attach-daemon", command, expect_status=-signal.SIGKILL)
    one_child(running, "sleep")
    running.signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    wait_until(lambda: not running.relatives(), 20, "the daemon's end")


def test_it_makes_the_server_its_own_master(server: StartServer) -> None:
    # As in uWSGI, where only a master starts daemons.
    running = server(APP, "--attach-daemon", "sleep 1000")
    assert f"spawned uWSGI master process (pid: {running.pid})" in running.log


class TestAttachDaemon2:
    def test_keys(self, server: StartServer, tmp_path: Path) -> None:
        touched = tmp_path / "touched"
        command = "trap 'echo bye\\, USR1 > ended; exit 3' USR1; trap 'echo reloaded >> reloads' USR2; pwd; while :; do sleep 0.1; done"
        daemon = f"cmd={command},stopsignal=USR1,reloadsignal=12,chdir={tmp_path},touch={touched}"
        running = server(APP, "--attach-daemon2", daemon)
        running.wait_log(str(tmp_path) + "\n")
        running.signal(signal.SIGHUP)
        wait_until((tmp_path / "reloads").exists, 20, "the signal of the reload")
        running.wait_log("Gracefully killing worker 1")
        touched.touch()
        running.wait_log("ended with status 3")
        assert (tmp_path / "ended").read_text() == "bye, USR1\n"
        running.wait_log("respawning")
        assert running.log.count('] spawning "') == 1

    @pytest.mark.parametrize(
        ("value", "complaint"),
        [
            ("cmd=", "there is no command: write it as cmd=COMMAND,key=value"),
            ("sleep 5", "'sleep 5' is not known here"),
            ("cmd=x,colour=red", "'colour' is not known here"),
            ("cmd=x,stopsignal=NONE", "there is no signal NONE"),
            ("cmd=x,freq=0", "freq= takes a number of seconds"),
            ("cmd=x,uid=no-such-user", "there is no user 'no-such-user'"),
        ],
    )
    def test_what_cannot_be(self, run_geuwsgi: Callable[..., Any], value: str, complaint: str) -> None:
        result = run_geuwsgi("--http", "127.0.0.1:0", "--attach-daemon2", value)
        assert result.returncode == 1
        assert f"geuwsgi: command line: --attach-daemon2 = {value}: {complaint}" in result.stderr


class TestSmartDaemons:
    """They outlive the server: the test ends them."""

    @pytest.fixture
    def pidfile(self, tmp_path: Path) -> Iterator[Path]:
        path = tmp_path / "daemon.pid"
        yield path
        if path.exists():
            try:
                os.kill(int(path.read_text()), signal.SIGKILL)
            except ProcessLookupError:
                pass

    # The file's fixture comes first, so that the server is finished before the daemon: it would start another one.

    def test_started_once_and_left_alone(self, pidfile: Path, server: StartServer) -> None:
        # Without the mark of the test in its environment, by which the harness finds what a server has left behind.
        command = f"{pidfile} echo $$ > {pidfile}; exec env -i sleep 1004"
        running = server(APP, "--smart-attach-daemon2", command)
        wait_until(lambda: pidfile.exists() and pidfile.read_text(), 20, "the pidfile")
        daemon = psutil.Process(int(pidfile.read_text()))
        wait_until(lambda: daemon.name() == "sleep", 20, "its command")
        assert daemon.ppid() != running.pid
        assert running.interrupt()[0] == 0
        again = server(APP, "--smart-attach-daemon2", command)
        assert f'found valid/active pidfile for "{command.partition(" ")[2]}" (pid: {daemon.pid})' in again.log
        assert "] spawning" not in again.log
        assert daemon.is_running()

    def test_one_that_has_gone_is_started_again(self, pidfile: Path, server: StartServer) -> None:
        command = f"echo $$ > {pidfile}; exec env -i sleep 1005"
        running = server(APP, "--attach-daemon2", f"cmd={command},pidfile={pidfile},freq=0.2")
        first = int(wait_until(lambda: pidfile.exists() and pidfile.read_text(), 20, "the pidfile"))
        running.wait_log(f"(pid: {first})")
        os.kill(first, signal.SIGKILL)
        running.wait_log("respawning")
        wait_until(lambda: int(pidfile.read_text() or first) != first, 20, "another one")

    @pytest.mark.parametrize("text", ["", "x", "0", "-1", "99999999999999999999", None])
    def test_what_is_no_process(self, tmp_path: Path, text: Optional[str]) -> None:
        """Nor one that may not be read, where the server has become somebody else."""
        path = tmp_path / "pid"
        if text is None:
            path = UNREADABLE
            with pytest.raises(PermissionError):
                path.read_bytes()
        else:
            path.write_text(text)
        daemon = SmartDaemon(DaemonSpec("", "true", pidfile=str(path)))
        assert daemon.pid() is None
        daemon.signal(signal.SIGTERM)  # to nobody

    def test_a_command_is_missing(self, run_geuwsgi: Callable[..., Any]) -> None:
        result = run_geuwsgi("--http", "127.0.0.1:0", "--smart-attach-daemon", "/tmp/pid")
        assert result.returncode == 1
        assert "write it as PIDFILE COMMAND" in result.stderr
