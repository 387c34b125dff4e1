"""Reloading: nothing is lost, the new code is live, and what cannot be loaded changes nothing."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Callable, Optional

import psutil
import pytest
import requests
import websocket

from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

from .load import Load
from .probing import PROBE, ask, ask_all, other_workers, workers

StartServer = Callable[..., Geuwsgi]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app.py"
    path.write_text(PROBE + "version = 1\n")
    return path


def change(app: Path, code: str = "version = 2\n") -> None:
    """Write a new version; never one that a cached .pyc or a coarse clock takes for the old one."""
    app.write_text(PROBE + code)


def reload(server: Geuwsgi, count: int, number: int = signal.SIGHUP) -> list[psutil.Process]:
    """Reload, and wait until only new workers run."""
    before = workers(server)
    served = server.log.count("geuwsgi 0.1.0 serving")
    server.signal(number)
    wait_until(lambda: server.log.count("geuwsgi 0.1.0 serving") > served, 20, "the new workers")
    return other_workers(server, before, count)


def sleepers(server: Geuwsgi) -> list[int]:
    return [process.pid for process in psutil.Process(server.pid).children(recursive=True) if process.name() == "sleep"]


@pytest.mark.alone
class TestUnderLoad:
    @pytest.mark.parametrize("lazy", [[], ["--lazy-apps"]], ids=["", "lazy"])
    def test_ten_in_a_row(self, server: StartServer, app: Path, lazy: list[str]) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app), "-L", "--websockets-drain", "1", *lazy)
        with Load(running.address, rate=200, websockets=500) as load:
            wait_until(lambda: load.connected == 500 or load.failures, 20, "500 websockets")
            for _ in range(10):
                reload(running, 2)
            wait_until(lambda: load.connected == 500 or load.failures, 20, "500 websockets")
            done = sum(load.answers.values())
            wait_until(lambda: sum(load.answers.values()) > done + 100, 20, "answers")
        assert load.failures == []
        assert set(load.closes) == {1012}
        assert load.closes[1012] >= 5000

    def test_nothing_grows(self, server: StartServer, app: Path) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app), "--attach-daemon", "sleep 1000", "--touch-reload", str(app))
        reload(running, 2)
        wait_until(lambda: running.log.count("buried after") == 2, 20, "the end of the old ones")
        daemon = sleepers(running)
        before = running.descriptors(), psutil.Process(running.pid).memory_info().rss
        for _ in range(5):
            reload(running, 2)
        wait_until(lambda: running.descriptors() == before[0], 20, "the same descriptors")
        assert psutil.Process(running.pid).memory_info().rss < before[1] + 4_000_000
        # The daemon has not noticed.
        assert sleepers(running) == daemon != []
        assert running.log.count("[uwsgi-daemons]") == 1

    @pytest.mark.parametrize("option", [["--max-requests", "30"], ["--max-worker-lifetime", "1"]], ids=lambda option: option[0])
    def test_workers_that_are_replaced_one_by_one(self, server: StartServer, app: Path, option: list[str]) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app), *option, "--min-worker-lifetime", "0", "-L")
        with Load(running.address, rate=200) as load:
            wait_until(lambda: running.log.count("Respawned uWSGI worker") >= 6, 20, "six replacements")
        assert load.failures == []
        assert f"({option[0]}): it will be replaced" in running.log
        assert "DAMN" not in running.log


class TestNewCode:
    def test_an_import_that_runs_programs(self, server: StartServer, app: Path) -> None:
        """Which waits for children with gevent's means, and takes the exit status of ours."""
        code = "import subprocess\nassert subprocess.check_output(['echo', 'x']) == b'x\\n'\ntime.sleep(0.5)\n"
        change(app, code)
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app))
        change(app, code + "print('at import', flush=True)\ntime.sleep(0.5)\nsubprocess.check_output(['true'])\n")
        before = workers(running)
        running.signal(signal.SIGHUP)
        running.wait_log("at import")
        before[0].kill()
        other_workers(running, before, 2)
        assert running.interrupt()[0] == 0

    @pytest.mark.alone
    def test_the_new_version_is_live_in_the_same_process(self, server: StartServer, app: Path, tmp_path: Path) -> None:
        ready = tmp_path / "pid"
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app), "--pidfile", str(ready))
        assert ask_all(running, "version, uwsgi.is_a_reload", 2) == [(1, False)] * 2
        change(app)
        start = time.monotonic()
        running.signal(signal.SIGHUP)
        wait_until(lambda: ask(running, "version") == 2, 20, "the new version")
        assert time.monotonic() - start < 5
        other_workers(running, [], 2)
        assert ask_all(running, "version, uwsgi.is_a_reload, uwsgi.masterpid()", 2) == [(2, True, running.pid)] * 2
        assert ready.read_text() == f"{running.pid}\n"

    @pytest.mark.parametrize(
        ("broken", "trouble"),
        [
            ("this is no Python\n", ["SyntaxError: invalid syntax", "cannot be loaded: SyntaxError"]),
            ("import not_there\n", ["Traceback.*not_there", "cannot be loaded: ModuleNotFoundError"]),
            ("del application\n", []),
        ],
    )
    @pytest.mark.parametrize("lazy", [[], ["--lazy-apps"]], ids=["", "lazy"])
    def test_code_that_cannot_be_loaded_changes_nothing(
        self, server: StartServer, app: Path, broken: str, trouble: list[str], lazy: list[str]
    ) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app), *lazy, expect_log=trouble)
        assert ask_all(running, "version", 2) == [1, 1]  # with lazy-apps the second may still be loading it
        before = workers(running)
        change(app, broken)
        running.signal(signal.SIGHUP)
        running.wait_log("the reload has failed: 2 workers of before it go on")
        wait_until(lambda: workers(running) == before, 20, "the old workers")
        assert ask_all(running, "version", 2) == [1, 1]
        change(app)
        reload(running, 2)
        assert ask_all(running, "version", 2) == [2, 2]

    def test_workers_that_die_at_every_start_are_no_reason_to_wait(self, server: StartServer, app: Path) -> None:
        running = server(None, "--master", "--wsgi-file", str(app), expect_log=["DAMN ! worker 1 .* died, exit status 3"])
        before = workers(running)
        change(app, "uwsgi.post_fork_hook = lambda: os._exit(3)\n")
        running.signal(signal.SIGHUP)
        running.wait_log("worker 1 dies at every start (3 times so far)")
        assert ask(running, "version") == 1
        change(app)
        running.signal(signal.SIGHUP)
        other_workers(running, before, 1)
        assert ask(running, "version") == 2

    def test_a_stop_after_a_failed_reload(self, server: StartServer, app: Path) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app), expect_log=["Traceback.*not_there", "cannot be loaded"])
        change(app, "import not_there\n")
        client = websocket.create_connection(running.ws_url, timeout=10)
        running.signal(signal.SIGHUP)
        running.wait_log("the reload has failed")
        running.signal(signal.SIGINT)
        assert client.recv_data()[1][:2] == (1001).to_bytes(2, "big")
        client.shutdown()
        assert running.wait() == 0

    def test_when_the_last_old_worker_dies_it_is_tried_again(self, server: StartServer, app: Path) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app), expect_log=["Traceback.*not_there", "cannot be loaded"])
        change(app, "import not_there\n")
        running.signal(signal.SIGHUP)
        running.wait_log("the reload has failed")
        change(app)
        for process in workers(running):
            process.kill()
        running.wait_log("nobody serves any more: trying to load the application again")
        assert ask(running, "version") == 2  # it waited in the backlog

    def test_a_configuration_that_is_none(self, server: StartServer, app: Path, tmp_path: Path) -> None:
        ini = tmp_path / "x.ini"
        text = f"[uwsgi]\nhttp-socket = 127.0.0.1:0\nmaster = 1\nprocesses = 2\nwsgi-file = {app}\n"
        ini.write_text(text)
        running = server(None, "--ini", str(ini), lasting=3)  # a third worker has a line and a queue
        before = workers(running)
        for mistake, complaint in (
            ("gevent = many", "N must be a whole number"),
            ("cheaper = 2", "must be less than the number of workers (--processes 2)"),  # right by itself, wrong beside another
            ("forwarded-allow-ips = nginx", "'nginx' is no IP address"),
            ("hook-post-fork = dance:", "write it as VERB:ARGUMENT"),
            ("http-to = ftp://x", "backends speak HTTP"),
        ):
            ini.write_text(f"{text}{mistake}\n" + ("http = 127.0.0.1:0\n" if mistake.startswith("http") else ""))
            running.signal(signal.SIGHUP)
            running.wait_log(f"geuwsgi: {ini}:6: {mistake}: {complaint}")
            assert workers(running) == before
        ini.write_text(text.replace("processes = 2", "processes = 3") + "gevent = 7\nenv = NEW=1\n")
        reload(running, 3)
        assert ask_all(running, "uwsgi.cores, uwsgi.numproc, os.environ['NEW']", 3) == [(7, 3, "1")] * 3

    @pytest.mark.parametrize("log", [False, True], ids=["pid", "log"])
    def test_files_that_cannot_be_written_any_more(self, server: StartServer, app: Path, tmp_path: Path, log: bool) -> None:
        folder = tmp_path / "files"
        folder.mkdir()
        names = ["logto"] if log else ["pidfile", "safe-pidfile"]
        running = server(None, "--master", "--wsgi-file", str(app), *(f"--{name}={folder / name}" for name in names), lasting=2 * log)
        before = workers(running)
        shutil.rmtree(folder)
        running.signal(signal.SIGHUP)
        other_workers(running, before, 1)
        if not log:
            for name in names:
                running.wait_log(
                    f"geuwsgi: command line: --{name} = {folder / name}: the file cannot be written: No such file or directory"
                )

    @pytest.mark.parametrize("master", [True, False])
    def test_addresses_that_come_and_go(self, server: StartServer, app: Path, tmp_path: Path, master: bool) -> None:
        ini = tmp_path / "x.ini"
        text = f"[uwsgi]\nhttp-socket = 127.0.0.1:0\nmaster = {master}\nvacuum = 1\nwsgi-file = {app}\n"
        name = f"gt-reload-{os.getpid()}"  # of the whole machine
        ini.write_text(text + f"http-socket = @{name}\nhttp-socket = {tmp_path}/a\nhttp-socket = {tmp_path}/b\n")
        running = server(None, "--ini", str(ini), lasting=1)
        address = running.addresses[0]
        ini.write_text(text + f"http-socket = @{name}-2\nhttp-socket = {tmp_path}/b\n")
        running.signal(signal.SIGHUP)
        wait_until(lambda: running.log.count("geuwsgi 0.1.0 serving") == 2, 20, "the new image")
        wait_until(lambda: not (tmp_path / "a").exists(), 20, "the end of an address")
        assert requests.get(f"http://{address}", params="1", timeout=20).text == "1"
        for path in (f"\0{name}-2", f"{tmp_path}/b"):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(path)
        with socket.socket(socket.AF_UNIX) as sock, pytest.raises(ConnectionRefusedError):
            sock.connect(f"\0{name}")


class TestTriggers:
    def test_the_applications_own_wish(self, server: StartServer, app: Path) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app))
        before = workers(running)
        assert ask(running, "uwsgi.reload()") is True
        other_workers(running, before, 2)
        assert ask(running, "uwsgi.stop()") is True
        assert running.wait() == 0

    def test_sigterm_without_die_on_term(self, server: StartServer, app: Path) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app))
        reload(running, 2, signal.SIGTERM)

    def test_sighup_of_a_worker_replaces_it_alone(self, server: StartServer, app: Path) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app))
        first, second = workers(running)
        first.send_signal(signal.SIGHUP)
        wait_until(lambda: first not in workers(running) and len(workers(running)) == 2, 20, "another worker")
        assert second in workers(running)

    @pytest.mark.parametrize("option", ["--touch-reload", "--touch-workers-reload", "--fs-reload"])
    def test_a_file_that_is_touched(self, server: StartServer, app: Path, tmp_path: Path, option: str) -> None:
        path = tmp_path / "touched"
        if option != "--touch-reload":
            path.touch()
        running = server(None, "-p", "2", "--wsgi-file", str(app), option, str(path))
        before = workers(running)
        path.touch()  # not write_text, which changes it twice
        other_workers(running, before, 2)
        assert f"[uwsgi-check-touches] {path} was touched" in running.log
        assert running.log.count("*** Starting") == (1 if "workers" in option else 2)

    def test_a_chain(self, server: StartServer, app: Path, tmp_path: Path) -> None:
        path = tmp_path / "touched"
        running = server(None, "--master", "-p", "3", "--lazy-apps", "--wsgi-file", str(app), "--touch-chain-reload", str(path))
        before = workers(running)
        change(app)
        path.touch()
        other_workers(running, before, 3)
        steps = ("chain reloading", "Respawned uWSGI", "Gracefully killing")
        order = re.findall(rf"^((?:{'|'.join(steps)}) worker \d)", running.log, re.MULTILINE)
        assert order == [f"{step} worker {number}" for number in (1, 2, 3) for step in steps]
        assert ask_all(running, "version", 3) == [2, 2, 2]

    @pytest.mark.alone
    def test_python_autoreload(self, server: StartServer, app: Path, tmp_path: Path) -> None:
        (tmp_path / "part.py").write_text("value = 1\n")
        change(app, "import part\nversion = 1\n")
        arguments = ("--wsgi-file", str(app), "--pp", str(tmp_path), "--py-autoreload", "1")
        running = server(None, *arguments, expect_log=["SyntaxError: ", "cannot be loaded"])
        assert ask(running, "part.value") == 1
        start = time.monotonic()
        (tmp_path / "part.py").write_text("value = 22\n")
        wait_until(lambda: ask(running, "part.value") == 22, 20, "the new value")
        assert time.monotonic() - start < 4
        # Of another length each time: to Python compiled code is fresh when second and length of the source are the same.
        (tmp_path / "part.py").write_text("value = (((\n")
        running.wait_log("the reload has failed")
        assert ask(running, "part.value") == 22
        (tmp_path / "part.py").write_text("value = 4444\n")
        wait_until(lambda: ask(running, "part.value") == 4444, 20, "the mended value")

    def test_memory(self, server: StartServer, app: Path) -> None:
        # Two servers: what grows to the larger limit passes the smaller one, where it may be seen on its way.
        for option, what in (("--reload-on-rss", "it will be replaced"), ("--evil-reload-on-rss", "killed")):
            running = server(None, "--wsgi-file", str(app), option, "200", "--min-worker-lifetime", "0")
            before = workers(running)
            assert ask(running, "seen.append(bytearray(200 * 1024 * 1024))") is None
            other_workers(running, before, 1)
            assert f"MB of memory ({option}): {what}" in running.log


class TestMercy:
    def test_a_long_request_is_served_to_its_end(self, server: StartServer, app: Path) -> None:
        running = server(None, "--master", "-p", "1", "--wsgi-file", str(app))
        end = app.with_name("end")
        with socket.create_connection(("127.0.0.1", running.port), timeout=20) as client:
            wait = f"print('asked',flush=True),[gevent.sleep(0.05)+for+_+in+iter(lambda:os.path.exists({str(end)!r}),True)][:0]"
            client.sendall(f"GET /?{wait} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            running.wait_log("asked")
            before = workers(running)
            running.signal(signal.SIGHUP)
            wait_until(lambda: len(workers(running)) == 2, 20, "both")
            wait_until(lambda: ask(running, "uwsgi.is_a_reload"), 20, "the new one's answer")
            assert before[0] in workers(running)
            end.touch()
            data = b""
            while chunk := client.recv(4096):
                data += chunk
        assert data.endswith(b"(None, [])")
        assert b"Connection: close" in data
        wait_until(lambda: before[0] not in workers(running), 20, "the old one's end")

    def test_but_not_for_ever(self, server: StartServer, app: Path) -> None:
        running = server(None, "--master", "--wsgi-file", str(app), "--worker-reload-mercy", "1", expect_log=[])
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as client:
            client.sendall(b"GET /?print('asked',flush=True),gevent.sleep(60) HTTP/1.1\r\nHost: x\r\n\r\n")
            running.wait_log("asked")
            reload(running, 1)

    def test_one_that_never_yields(self, server: StartServer, app: Path) -> None:
        running = server(None, "--master", "--wsgi-file", str(app), "--worker-reload-mercy", "0.1")
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as client:
            client.sendall(b"GET /?print(%22busy%22,flush=True),all(True+for+_+in+iter(int,1)) HTTP/1.1\r\nHost: x\r\n\r\n")
            running.wait_log("busy")
            reload(running, 1)
        assert "is taking too much time to die...NO MERCY !!!" in running.log

    def test_websockets_are_not_told_all_at_once(self, server: StartServer, app: Path) -> None:
        running = server(None, "--master", "--wsgi-file", str(app), "--websockets-drain", "2")
        clients = [websocket.create_connection(running.ws_url, timeout=10) for _ in range(100)]
        running.signal(signal.SIGHUP)
        select.select(clients, [], [], 10)
        first = time.monotonic()
        for client in clients:
            assert client.recv_data() == (websocket.ABNF.OPCODE_CLOSE, (1012).to_bytes(2, "big") + b"service restart")
            client.shutdown()
        assert time.monotonic() - first > 0.2


class TestWithoutAMaster:
    def test_sighup(self, server: StartServer, app: Path) -> None:
        running = server(None, "--wsgi-file", str(app))
        client = websocket.create_connection(running.ws_url, timeout=10)
        change(app)
        running.signal(signal.SIGHUP)
        assert client.recv_data()[1] == (1012).to_bytes(2, "big") + b"service restart"
        client.shutdown()
        assert ask(running, "version, os.getpid(), uwsgi.is_a_reload") == (2, running.pid, True)
        for number in range(3):
            assert ask(running, "uwsgi.reload()") is True
            # Not only an answer, which could be the old image's: the next one would be ended in the middle of its start.
            wait_until(lambda number=number: running.log.count("geuwsgi 0.1.0 serving") == 3 + number, 20, "the new image")
            assert ask(running, "1") == 1

    @pytest.mark.parametrize("mistake", [None, "route = ^/x dance:"])
    def test_a_configuration_that_is_none(self, server: StartServer, app: Path, tmp_path: Path, mistake: Optional[str]) -> None:
        ini = tmp_path / "x.ini"
        ini.write_text(f"[uwsgi]\nhttp-socket = 127.0.0.1:0\nwsgi-file = {app}\n")
        running = server(None, "--ini", str(ini))
        if mistake is None:
            ini.unlink()
        else:
            ini.write_text(ini.read_text() + mistake)
        running.signal(signal.SIGHUP)
        running.wait_log("no reload with this configuration, everything goes on as before")
        assert ask(running, "os.getpid()") == running.pid


@pytest.mark.parametrize("master", [["--master"], []], ids=["master", "alone"])
def test_a_directory_that_is_replaced(server: StartServer, tmp_path: Path, master: list[str]) -> None:
    """As deployments do it: away with the old version, in with the new one, reload."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "app.py").write_text(PROBE + "version = 1\n")
    running = server(None, "--wsgi-file", "app.py", *master, cwd=site)
    shutil.rmtree(site)
    running.signal(signal.SIGHUP)
    running.wait_log(f"No such file or directory: '{site}'")
    running.wait_log("no reload with this configuration, everything goes on as before")
    assert ask(running, "version") == 1
    site.mkdir()
    (site / "app.py").write_text(PROBE + "version = 2\n")
    running.signal(signal.SIGHUP)
    wait_until(lambda: ask(running, "version") == 2, 20, "the new version")


def test_a_signal_in_the_middle_of_a_reload(server: StartServer, app: Path) -> None:
    """Two more SIGHUPs and then Ctrl-C, while the new image starts: nothing is lost or left."""
    running = server(None, "--master", "-p", "2", "--wsgi-file", str(app))
    change(app, "print('at import', flush=True)\ntime.sleep(0.3)\nversion = 2\n")
    running.signal(signal.SIGHUP)
    running.wait_log("at import")
    running.signal(signal.SIGHUP)
    running.signal(signal.SIGHUP)
    wait_until(lambda: running.log.count("geuwsgi 0.1.0 serving") >= 3, 20, "the second reload")
    assert ask(running, "version") == 2
    loads = running.log.count("at import")
    running.signal(signal.SIGHUP)
    wait_until(lambda: running.log.count("at import") > loads, 20, "one more")
    running.signal(signal.SIGINT)
    assert running.wait(10) == 0
    assert not running.relatives()
