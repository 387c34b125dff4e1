"""The master and its workers, as processes: what the application sees, and what happens when one of them dies."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Callable

import psutil
import pytest
import requests
import websocket

from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

from .probing import PROBE, ask, ask_all, workers

StartServer = Callable[..., Geuwsgi]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def probe(tmp_path: Path) -> str:
    path = tmp_path / "probe.py"
    path.write_text(PROBE)
    return str(path)


def append(path: str, code: str) -> None:
    with open(path, "a") as file:
        file.write(code)


class TestWhatTheApplicationSees:
    def test_numbers(self, server: StartServer, probe: str) -> None:
        running = server(None, "--master", "--processes", "3", "--wsgi-file", probe)
        answers = ask_all(running, "os.getpid(), os.getppid(), uwsgi.masterpid(), uwsgi.numproc, environ['wsgi.multiprocess']", 3)
        assert len({answer[0] for answer in answers}) == 3
        assert {answer[1:] for answer in answers} == {(running.pid, running.pid, 3, True)}
        # Loaded once, in the master, before there were workers.
        assert {str(answer) for answer in ask_all(running, "at_import", 3)} == {str((running.pid, 0, running.pid, [0, 0, 0]))}
        lines = [f"spawned uWSGI worker {number} (pid: {answer[0]}, cores: 20000)" for number, answer in enumerate(answers, 1)]
        assert "\n".join([f"spawned uWSGI master process (pid: {running.pid})", *lines]) in running.log

    def test_without_a_master_nobody_sees_one(self, server: StartServer, probe: str) -> None:
        running = server(None, "-p", "2", "--wsgi-file", probe)
        assert ask_all(running, "uwsgi.masterpid(), uwsgi.numproc, at_import[1:3]", 2) == [(0, 2, (0, 0))] * 2

    def test_a_master_of_one(self, server: StartServer, probe: str) -> None:
        running = server(None, "--master", "--wsgi-file", probe)
        assert ask(running, "uwsgi.worker_id(), uwsgi.numproc, environ['wsgi.multiprocess'], os.getppid()") == (1, 1, False, running.pid)

    def test_lazy_apps(self, server: StartServer, probe: str) -> None:
        running = server(None, "--master", "-p", "2", "--lazy-apps", "--wsgi-file", probe)
        for number, (pid, loaded) in enumerate(ask_all(running, "os.getpid(), at_import", 2), 1):
            assert loaded[:3] == (pid, number, running.pid)

    def test_imports_besides_the_application(self, server: StartServer, probe: str, tmp_path: Path) -> None:
        for name in ("each", "once"):
            (tmp_path / f"{name}.py").write_text(f"import os, uwsgi\nprint('{name}', os.getpid(), uwsgi.worker_id(), flush=True)\n")
        options = ["--chdir", str(tmp_path), "--import", "each", "--shared-import", "once", "--wsgi-file", probe]
        running = server(None, "--master", "-p", "2", "--lazy-apps", *options)
        pids = ask_all(running, "os.getpid()", 2)
        said = [line for line in running.log.splitlines() if line.startswith(("each", "once"))]
        assert said[0] == f"once {running.pid} 0"
        assert sorted(said[1:]) == sorted(f"each {pid} {number}" for number, pid in enumerate(pids, 1))

    def test_workers_tell_of_each_other(self, server: StartServer, probe: str) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", probe)
        for _ in range(10):
            ask(running, "1")
        pids = [process.pid for process in workers(running)]
        told = ask(running, "uwsgi.workers(), uwsgi.worker_id()")
        assert [(worker["id"], worker["pid"], worker["respawn_count"]) for worker in told[0]] == [(1, pids[0], 0), (2, pids[1], 0)]
        assert told[0][told[1] - 1]["status"] == b"busy"

        def requests_of_both() -> bool:
            told = ask(running, "[worker['requests'] for worker in uwsgi.workers()], [worker['rss'] for worker in uwsgi.workers()]")
            return sum(told[0]) >= 11 and min(told[1]) > 1_000_000

        wait_until(requests_of_both, 20, "what both have served")

    def test_post_fork_hooks(self, server: StartServer, probe: str) -> None:
        append(
            probe,
            "import uwsgidecorators\n"
            "@uwsgidecorators.postfork\ndef everybody(): seen.append((uwsgi.worker_id(), os.getpid()))\n"
            "@uwsgidecorators.postfork(2)\ndef second(): seen.append('second')\n",
        )
        running = server(None, "--master", "-p", "2", "--wsgi-file", probe)
        first, second = ask_all(running, "seen, os.getpid()", 2)
        assert first == ([(1, first[1])], first[1])
        assert second == ([(2, second[1]), "second"], second[1])

    def test_what_the_import_has_started_runs_in_every_worker(self, server: StartServer, probe: str) -> None:
        append(
            probe,
            "beats = [0]\n"
            "def beat():\n    while True:\n        beats[0] += 1\n        time.sleep(0.01)\n"
            "threading.Thread(target=beat, daemon=True).start()\n"
            "gevent.spawn(lambda: seen.append(os.getpid()))\n"
            "time.sleep(0.03)\n"  # lets the hub run in the master
            "gevent.get_hub().threadpool.apply(os.getpid)\n",  # and a real thread
        )
        running = server(None, "--master", "-p", "2", "--wsgi-file", probe)
        for _ in range(2):
            for beats, _ in ask_all(running, "beats[0], time.sleep(0.05)", 2):
                assert beats > 0
        first = ask_all(running, "beats[0]", 2)
        wait_until(lambda: all(now > then for now, then in zip(ask_all(running, "beats[0]", 2), first)), 20, "the thread's going on")
        assert ask_all(running, "gevent.get_hub().threadpool.apply(os.getpid) == os.getpid()", 2) == [True, True]
        assert ask_all(running, "__import__('subprocess').check_output(['echo', 'x'])", 2) == [b"x\n"] * 2


class TestDeaths:
    def test_a_killed_worker_is_replaced_at_once(self, server: StartServer, probe: str) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", probe)
        victim, other = workers(running)
        victim.kill()
        running.wait_log("Respawned uWSGI worker 1 (new pid: ")
        assert f"DAMN ! worker 1 (pid: {victim.pid}) died, killed by signal 9 (SIGKILL) :( trying respawn ..." in running.log
        wait_until(lambda: len(workers(running)) == 2, 20, "two workers")
        assert other in workers(running)
        told = ask_all(running, "[(worker['pid'], worker['respawn_count']) for worker in uwsgi.workers()]", 2)[0]
        (newcomer,) = {process.pid for process in workers(running)} - {other.pid}
        assert told == [(newcomer, 1), (other.pid, 0)]

    def test_one_that_exits_is_replaced_too(self, server: StartServer, probe: str) -> None:
        running = server(None, "--master", "--wsgi-file", probe)
        (victim,) = workers(running)
        with pytest.raises(requests.ConnectionError):
            ask(running, "os._exit(7)")
        running.wait_log("Respawned uWSGI worker 1")
        assert f"DAMN ! worker 1 (pid: {victim.pid}) died, exit status 7 :(" in running.log
        assert ask(running, "1") == 1

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_worker_that_is_asked_to_go_says_goodbye_and_is_replaced(self, server: StartServer, probe: str, number: int) -> None:
        running = server(None, "--master", "--wsgi-file", probe)
        client = websocket.create_connection(running.ws_url, timeout=10)
        (old,) = workers(running)
        old.send_signal(number)
        assert client.recv_data() == (websocket.ABNF.OPCODE_CLOSE, (1001).to_bytes(2, "big") + b"server is shutting down")
        client.shutdown()
        running.wait_log(f"worker 1 killed successfully (pid: {old.pid})\nRespawned uWSGI worker 1")
        assert ask(running, "1") == 1

    @pytest.mark.alone
    def test_killed_under_load(self, server: StartServer, probe: str) -> None:
        """The port never refuses, only the killed worker's connections are lost, and nothing grows."""
        running = server(None, "--master", "-p", "3", "--wsgi-file", probe, "-L")
        stop = threading.Event()
        refused: list[str] = []
        answered = [0]

        def load() -> None:
            while not stop.is_set():
                try:
                    requests.get(running.url, params="1", timeout=10)
                    answered[0] += 1
                except requests.RequestException as error:
                    if "refused" in str(error):
                        refused.append(str(error))

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            before = (running.descriptors(), psutil.Process(running.pid).memory_info().rss)
            for turn in range(6):
                victims = wait_until(lambda: workers(running) if len(workers(running)) == 3 else [], 20, "three workers")
                victims[turn % 3].kill()
                done = answered[0]
                wait_until(lambda: answered[0] > done + 20, 20, "answers")  # noqa: B023 - called at once
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not refused
        wait_until(lambda: running.log.count("Respawned") == 6, 20, "the last one")
        wait_until(lambda: running.descriptors() == before[0], 20, f"the descriptors of before: {before[0]}")
        assert psutil.Process(running.pid).memory_info().rss < before[1] + 2_000_000

    def test_one_that_dies_at_every_start_waits_longer_each_time(self, server: StartServer, probe: str, tmp_path: Path) -> None:
        append(probe, "def die():\n    if uwsgi.worker_id() == 2 and os.path.exists('bad'): os._exit(9)\nuwsgi.post_fork_hook = die\n")
        (tmp_path / "bad").touch()
        running = server(None, "--master", "-p", "2", "--wsgi-file", probe, cwd=tmp_path, lasting=1)
        log = running.wait_log("worker 2 dies at every start (4 times so far): the next one comes in 1 seconds")
        assert re.findall(r"the next one comes in (\S+) seconds", log) == ["0.25", "0.5", "1"]
        assert ask(running, "uwsgi.worker_id()") == 1
        (tmp_path / "bad").unlink()
        ask_all(running, "1", 2)

    def test_no_orphans(self, server: StartServer, probe: str) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", probe, expect_status=-signal.SIGKILL)
        client = websocket.create_connection(running.ws_url, timeout=10)
        running.signal(signal.SIGKILL)
        assert client.recv_data()[1][:2] == (1001).to_bytes(2, "big")
        client.shutdown()
        assert running.wait() == -signal.SIGKILL
        wait_until(lambda: not running.relatives(), 20, "the workers' end")
        assert running.log.count("the master is gone, ending") == 2


class TestApplicationsThatDoNotLoad:
    BAD = "import not_there\n"

    @pytest.mark.parametrize("lazy", [[], ["--lazy-apps"]])
    def test_the_server_ends_with_the_traceback_once(self, run_geuwsgi: Run, tmp_path: Path, lazy: list[str]) -> None:
        (tmp_path / "bad.py").write_text(self.BAD)
        result = run_geuwsgi("--http", "127.0.0.1:0", "--master", "-p", "4", "--wsgi-file", "bad.py", *lazy)
        assert result.returncode == 1
        assert result.stderr.count("Traceback") == 1
        assert result.stderr.endswith("geuwsgi: bad.py cannot be loaded: ModuleNotFoundError: No module named 'not_there'\n")
        assert "espawned" not in result.stderr

    def test_one_that_breaks_later_does_not_end_the_others(self, server: StartServer, tmp_path: Path) -> None:
        path = tmp_path / "app.py"
        path.write_text(PROBE)
        running = server(
            None, "--master", "-p", "2", "--lazy-apps", "--wsgi-file", str(path),
            expect_log=["Traceback.*No module named 'not_there'", "app.py cannot be loaded"],
        )  # fmt: skip
        ask_all(running, "1", 2)  # the second may still be loading it
        path.write_text(self.BAD)
        workers(running)[1].kill()
        running.wait_log("worker 2 cannot load the application")
        assert ask(running, "uwsgi.worker_id()") == 1
        path.write_text(PROBE)
        ask_all(running, "1", 2)


class TestEnd:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
    def test_all_websockets_are_told(self, server: StartServer, probe: str, number: int) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", probe, "--die-on-term")
        clients = [websocket.create_connection(running.ws_url, timeout=10) for _ in range(10)]
        running.signal(number)
        for client in clients:
            opcode, data = client.recv_data()
            assert (opcode, data[:2]) == (websocket.ABNF.OPCODE_CLOSE, (1001).to_bytes(2, "big"))
            client.shutdown()
        assert running.wait(4.5) == 0
        assert running.log.endswith("goodbye to geuwsgi.\n")

    def test_the_log_says_how_long_a_worker_took_to_go_not_how_long_it_lived(self, server: StartServer, probe: str) -> None:
        running = server(None, "--master", "--wsgi-file", probe)
        born = workers(running)[0].create_time()
        wait_until(lambda: time.time() > born + 3, 20, "three seconds of its life")
        told = time.monotonic()
        running.signal(signal.SIGINT)
        assert running.wait(20) == 0
        found = re.search(r"worker 1 buried after (\d+) seconds", running.log)
        assert found is not None
        assert 1 <= int(found[1]) <= max(1, round(time.monotonic() - told))

    def test_ctrl_c_in_a_terminal_reaches_all_processes(self, server: StartServer, probe: str) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", probe)
        for process in [*workers(running), psutil.Process(running.pid)]:
            process.send_signal(signal.SIGINT)
        assert running.wait(4.5) == 0
        assert "spawned uWSGI worker 1 (pid" in running.log
        assert "DAMN" not in running.log

    def busy(self, running: Geuwsgi) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", running.port))
        client.sendall(b"GET /?print(%22busy%22,flush=True),all(True+for+_+in+iter(int,1)) HTTP/1.1\r\nHost: x\r\n\r\n")
        running.wait_log("busy")
        return client

    def test_a_worker_that_never_yields_is_killed(self, server: StartServer, probe: str) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", probe)
        with self.busy(running):
            running.signal(signal.SIGINT)
            assert running.wait() == 0
        assert "is taking too much time to die...NO MERCY !!!" in running.log

    def test_at_once_after_a_second_ctrl_c(self, server: StartServer, probe: str, tmp_path: Path) -> None:
        pidfile = tmp_path / "pid"
        running = server(
            None, "--master", "-p", "2", "--wsgi-file", probe, "--attach-daemon", "sleep 1000",
            "--pidfile", str(pidfile), "--vacuum", expect_status=1,
        )  # fmt: skip
        with self.busy(running):
            running.signal(signal.SIGINT)
            running.wait_log("SIGINT received, stopping")
            running.signal(signal.SIGINT)
            assert running.wait() == 1
        wait_until(lambda: not running.relatives(), 20, "everybody's end")
        assert not pidfile.exists()

    def test_while_workers_load_the_application(self, server: StartServer, probe: str, tmp_path: Path) -> None:
        append(probe, "if uwsgi.worker_id() == 2:\n    print('loading', flush=True)\n    time.sleep(60)\n")
        running = server(None, "--master", "-p", "2", "--lazy-apps", "--wsgi-file", probe)
        running.wait_log("loading")
        assert running.interrupt()[0] == 0


def test_descriptors_are_not_shared_more_than_needed(server: StartServer, probe: str) -> None:
    running = server(None, "--master", "-p", "3", "--wsgi-file", probe)
    ask_all(running, "1", 3)  # the ready file comes with the first
    lines = sockets(running.pid)
    for process in workers(running):
        # The listening socket, its two queues of signals, and nobody else's line to the master.
        assert len(sockets(process.pid) & lines) == 3


def sockets(pid: int) -> set[str]:
    """The open ones of a process; a client's may go while it is looked at."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.add(os.readlink(entry))
        except FileNotFoundError:
            continue
    return {link for link in found if link.startswith("socket:")}
