"""What people tell a running server: signals, the fifo, pidfiles. And how many workers run."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Callable

import psutil
import pytest
import requests

from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

from .probing import PROBE, ask, other_workers, workers

StartServer = Callable[..., Geuwsgi]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def app(tmp_path: Path) -> str:
    path = tmp_path / "app.py"
    path.write_text(PROBE)
    return str(path)


def number_of_workers(server: Geuwsgi, count: int) -> None:
    wait_until(lambda: len(workers(server)) == count, 20, f"{count} workers")


class TestSignals:
    def test_statistics(self, server: StartServer, app: str) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", app)
        ask(running, "1")
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            before = len(running.log)
            running.signal(number)
            wait_until(lambda: running.log[before:].count("peak memory") == 2, 20, "both workers")  # noqa: B023 - called at once
            log = running.log[before:]
            assert re.search(rf"master \(pid: {running.pid}\): 2 of 2 workers, 0 on their way out, \d requests served\n", log)

    def test_pause(self, server: StartServer, app: str) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", app)
        running.signal(signal.SIGTSTP)
        running.wait_log("paused: connections wait until the next SIGTSTP")

        # The order has gone out; that it has arrived shows when nobody answers any more.
        def unanswered() -> bool:
            try:
                requests.get(running.url, params="1", timeout=0.3)
            except requests.exceptions.ReadTimeout:
                return True
            return False

        wait_until(unanswered, 20, "the pause")
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as client:
            client.sendall(b"GET /?1 HTTP/1.1\r\nHost: x\r\n\r\n")
            running.signal(signal.SIGTSTP)
            assert client.recv(4096).startswith(b"HTTP/1.1 200 OK")

    def test_more_and_fewer_workers(self, server: StartServer, app: str) -> None:
        running = server(None, "--master", "-p", "3", "--wsgi-file", app, lasting=2)
        running.signal(signal.SIGTTOU)
        number_of_workers(running, 2)
        running.signal(signal.SIGTTOU)
        number_of_workers(running, 1)
        running.signal(signal.SIGTTOU)
        running.wait_log("the last worker stays")
        expected = [b"busy", b"cheap", b"cheap"]
        wait_until(lambda: [worker["status"] for worker in ask(running, "uwsgi.workers()")] == expected, what="the master's knowing of it")
        for count in (2, 3):
            running.signal(signal.SIGTTIN)
            number_of_workers(running, count)
        running.signal(signal.SIGTTIN)
        running.wait_log("all 3 workers run already")
        assert "DAMN" not in running.log


class TestFifo:
    def send(self, path: Path, letters: str) -> None:
        with open(path, "w") as fifo:
            fifo.write(letters)

    def test_commands(self, server: StartServer, app: str, tmp_path: Path) -> None:
        fifo, log, pidfile = tmp_path / "fifo", tmp_path / "log", tmp_path / "pid"
        running = server(
            None, "--master", "-p", "2", "--lazy-apps", "--wsgi-file", app, "--master-fifo", str(fifo),
            "--logto", str(log), "--pidfile", str(pidfile), lasting=2,
        )  # fmt: skip

        def logged(text: str) -> None:
            wait_until(lambda: text in log.read_text(), 20, text)

        before = workers(running)
        self.send(fifo, "w\n")
        before = other_workers(running, before, 2)
        self.send(fifo, "W")
        before = other_workers(running, before, 2)
        self.send(fifo, "c")
        before = other_workers(running, before, 2)
        assert log.read_text().count("*** Starting") == 1
        self.send(fifo, "r")
        before = other_workers(running, before, 2)
        logged("gracefully (RE)spawned")
        self.send(fifo, "-")
        number_of_workers(running, 1)
        self.send(fifo, "+")
        number_of_workers(running, 2)
        self.send(fifo, "s")
        logged("2 of 2 workers")
        self.send(fifo, "p")
        logged("paused: ")
        self.send(fifo, "p")
        logged("no longer paused")
        pidfile.unlink()
        self.send(fifo, "P")
        wait_until(pidfile.exists, 20, "the pidfile")
        log.rename(tmp_path / "log.1")
        self.send(fifo, "l")
        wait_until(log.exists, 20, "the new log file")
        # The master has it; a worker has when it has heard of it.
        wait_until(lambda: ask(running, "'after'") and "'after'" in log.read_text(), 20, "a request in the new log file")
        self.send(fifo, "L")
        wait_until(lambda: [path for path in tmp_path.glob("log.*") if path.name != "log.1"] and log.exists(), 20, "the rotated log")
        wait_until(lambda: ask(running, "'rotated'") and "'rotated'" in log.read_text(), 20, "a request in the log after the rotated one")
        self.send(fifo, "x")
        logged("master-fifo: no command 'x'")
        self.send(fifo, "q")
        assert running.wait(20) == 0

    @pytest.mark.parametrize("options", [(), ("--reuse-port",), ("--cheaper", "1", "--cheaper-initial", "2", "--cheaper-overload", "60")])
    def test_cheap_mode(self, options: tuple[str, ...], server: StartServer, app: str, tmp_path: Path) -> None:
        fifo = tmp_path / "fifo"
        running = server(None, "--master", "-p", "2", "--wsgi-file", app, "--master-fifo", str(fifo), *options)
        for _ in range(2):
            number_of_workers(running, 2)
            self.send(fifo, "C")
            running.wait_log("cheap mode enabled: waiting for socket connection...")
            number_of_workers(running, 0)
            if "--cheaper" in options:
                since = time.monotonic()  # it looks once a second how many there should be
                wait_until(lambda since=since: time.monotonic() > since + 1.5, 20, "the next look")
            assert ask(running, "6 * 7") == 42
        self.send(fifo, "CC+")
        # With sockets of their own all come, and stay: the kernel gives connections to each.
        own = "--reuse-port" in options
        number_of_workers(running, 2 if own else 1)
        assert ask(running, "6 * 7") == 42
        if own:
            self.send(fifo, "-")
            running.wait_log("with reuse-port all workers stay")
            assert [ask(running, "6 * 7") for _ in range(5)] == [42] * 5

    def test_several_pipes(self, server: StartServer, app: str, tmp_path: Path) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        running = server(None, "--wsgi-file", app, "--master-fifo", str(first), "--master-fifo", str(second))
        self.send(first, "1")
        wait_until(second.exists, 20, "the second pipe")
        self.send(second, "s")
        running.wait_log("1 of 1 workers")
        self.send(second, "7")
        running.wait_log("master-fifo: there is no pipe number 7")
        self.send(second, "Q")
        assert running.wait(20) == 0

    def test_what_cannot_be_done_ends_nothing(self, server: StartServer, app: str, tmp_path: Path) -> None:
        fifo, pidfile, gone = tmp_path / "fifo", tmp_path / "folder" / "pid", tmp_path / "gone" / "fifo"
        pidfile.parent.mkdir()
        running = server(None, "--wsgi-file", app, "--pidfile", str(pidfile), "--master-fifo", str(fifo), "--master-fifo", str(gone))
        before = workers(running)
        pidfile.unlink()
        pidfile.parent.rmdir()
        self.send(fifo, "P")
        running.wait_log(f"geuwsgi: command line: --pidfile = {pidfile}: the file cannot be written: No such file or directory")
        self.send(fifo, "1")
        running.wait_log(f"geuwsgi: command line: --master-fifo = {gone}: cannot be opened: No such file or directory")
        self.send(fifo, "s")  # the first pipe is still read
        running.wait_log("1 of 1 workers")
        assert workers(running) == before

    def test_a_file_that_is_no_pipe(self, run_geuwsgi: Run, app: str, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        result = run_geuwsgi("--http", "127.0.0.1:0", "--wsgi-file", app, "--master-fifo", "file")
        assert result.returncode == 1
        assert "a file of that name is there and is no pipe" in result.stderr


class TestPidfiles:
    def test_commands(self, server: StartServer, run_geuwsgi: Run, app: str, tmp_path: Path) -> None:
        pidfile = str(tmp_path / "pid")
        running = server(None, "--master", "--wsgi-file", app, "--pidfile", pidfile)
        before = workers(running)
        assert run_geuwsgi("--reload", pidfile).returncode == 0
        other_workers(running, before, 1)
        assert run_geuwsgi("--pause", pidfile).returncode == 0
        running.wait_log("paused: ")
        assert run_geuwsgi("--resume", pidfile).returncode == 0
        running.wait_log("no longer paused")
        assert run_geuwsgi(f"--stop={pidfile}").returncode == 0
        assert running.wait(20) == 0
        result = run_geuwsgi("--stop", pidfile)
        assert result.returncode == 1
        assert f"geuwsgi: command line: --stop = {pidfile}: there is no process {running.pid} any more" in result.stderr

    @pytest.mark.parametrize(
        ("text", "complaint"), [(None, "cannot be read: No such file"), ("", "no process id"), ("-1\n", "no process id")]
    )
    def test_bad_ones(self, run_geuwsgi: Run, tmp_path: Path, text: str, complaint: str) -> None:
        if text is not None:
            (tmp_path / "pid").write_text(text)
        result = run_geuwsgi("--stop", "pid")
        assert result.returncode == 1
        assert complaint in result.stderr

    def test_the_safe_one_is_written_when_requests_are_served(
        self, server: StartServer, run_geuwsgi: Run, app: str, tmp_path: Path
    ) -> None:
        pidfile = tmp_path / "pid"
        pidfile.write_text("7\n")
        bad = run_geuwsgi("--http", "127.0.0.1:0", "--module", "not_there", "--safe-pidfile", "pid", "--vacuum")
        assert (bad.returncode, pidfile.read_text()) == (1, "7\n")
        running = server(None, "--master", "--wsgi-file", app, "--safe-pidfile", str(pidfile), "--vacuum")
        assert pidfile.read_text() == f"{running.pid}\n"
        running.interrupt()
        assert not pidfile.exists()


class TestCheaper:
    def test_spare(self, server: StartServer, app: str) -> None:
        running = server(None, "--wsgi-file", app, "-p", "3", "--cheaper", "1", "--cheaper-overload", "0", lasting=3)
        assert len(workers(running)) == 1
        clients = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(6)]
        for client in clients:
            client.sendall(b"GET /?gevent.sleep(60) HTTP/1.1\r\nHost: x\r\n\r\n")
        number_of_workers(running, 2)
        for client in clients:
            client.close()
        assert os.path.exists(app)

    def test_backlog(self, server: StartServer, app: str) -> None:
        running = server(
            None, "--wsgi-file", app, "-p", "2", "--cheaper", "1", "--cheaper-algo", "backlog", "--cheaper-overload", "5", lasting=2
        )
        (first,) = workers(running)
        first.send_signal(signal.SIGSTOP)
        running.signal(signal.SIGSTOP)  # the master shall not look while only some of them have come
        clients = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(10)]
        running.signal(signal.SIGCONT)
        number_of_workers(running, 2)
        assert "10 connections wait to be accepted" in running.log
        assert ask(running, "uwsgi.worker_id()") == 2
        first.send_signal(signal.SIGCONT)
        for client in clients:
            client.close()
        number_of_workers(running, 1)

    def test_initial(self, server: StartServer, app: str) -> None:
        running = server(
            None, "--wsgi-file", app, "-p", "4", "--cheaper", "1", "--cheaper-initial", "2", "--cheaper-algo", "manual", lasting=2
        )
        number_of_workers(running, 2)
        psutil.Process(running.pid).send_signal(signal.SIGTTIN)
        number_of_workers(running, 3)

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["--cheaper", "2"], "--cheaper = 2: must be less than the number of workers (--processes 2)"),
            (["--cheaper", "1", "--cheaper-algo", "clever"], "expected one of spare, backlog, manual"),
            (["--cheaper", "1", "--reuse-port"], "a worker that does not run would keep the connections"),
        ],
    )
    def test_what_cannot_be(self, run_geuwsgi: Run, app: str, arguments: list[str], complaint: str) -> None:
        result = run_geuwsgi("--http", "127.0.0.1:0", "-p", "2", "--wsgi-file", app, *arguments)
        assert result.returncode == 1
        assert complaint in result.stderr


def test_the_length_of_the_queue(server: StartServer, app: str) -> None:
    running = server(None, "--master", "-p", "2", "--wsgi-file", app, expect_log=["ValueError: unable to find socket 7"])
    assert ask(running, "uwsgi.listen_queue()") == 0
    with pytest.raises(requests.HTTPError):
        requests.get(running.url, params="uwsgi.listen_queue(7)", timeout=10).raise_for_status()
