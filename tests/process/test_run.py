"""The life of a real server process: order of the start, what it says and writes, how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import psutil
import pytest
import requests
import websocket

import geuwsgi
from tests.harness.process import Program
from tests.harness.programs import APPS, ROOT, find_program
from tests.harness.servers import Geuwsgi, server_environment
from tests.harness.wait import wait_until

StartServer = Callable[..., Geuwsgi]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

#: Answers with the repr of an expression that it is asked for; what the expressions need is imported.
PROBE = """
import gc, os, resource, signal, socket, sys, time, urllib.parse
import gevent
import uwsgi
at_import = {"worker": uwsgi.worker_id(), "cwd": os.getcwd(), "patched": socket.socket.__module__, "env": os.environ.get("PROBE")}
print("printed at import")

def application(environ, start_response):
    answer = repr(eval(urllib.parse.unquote_plus(environ["QUERY_STRING"]))).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
"""


@pytest.fixture
def probe(tmp_path: Path) -> str:
    path = tmp_path / "probe.py"
    path.write_text(PROBE)
    return str(path)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory whose name leaves room for the path of a unix socket."""
    with tempfile.TemporaryDirectory(prefix="gr") as name:
        yield Path(name).resolve()


def ask(server: Geuwsgi, expression: str) -> Any:
    response = requests.get(server.url, params=expression, timeout=10)
    assert response.status_code == 200, response.text
    return eval(response.text)


class TestStart:
    def test_what_it_says(self, server: StartServer, probe: str) -> None:
        running = server(None, "--wsgi-file", probe, "--gevent", "7")
        wanted = [
            rf"\*\*\* Starting geuwsgi {re.escape(geuwsgi.__version__)} \(emulating uWSGI 2\.0\.31\) on \[.*\], \S+ 3\..*, gevent .*",
            "printed at import",
            rf"WSGI app 0 \(mountpoint=''\) ready in \d+ seconds on interpreter \S+ pid: {running.pid} \(default app\)",
            rf"spawned uWSGI worker 1 \(and the only\) \(pid: {running.pid}, cores: 7\)",
            rf"geuwsgi {re.escape(geuwsgi.__version__)} serving http://127\.0\.0\.1:{running.port}",
        ]
        lines = running.log.splitlines()
        assert len(lines) == len(wanted), running.log
        for line, pattern in zip(lines, wanted):
            assert re.fullmatch(pattern, line)

    def test_what_the_application_finds_at_import(self, server: StartServer, probe: str) -> None:
        running = server(None, "--wsgi-file", probe, "--env", "PROBE=value", "--chdir", "/")
        found = ask(running, "at_import")
        assert found == {"worker": 0, "cwd": "/", "patched": "gevent._socket3", "env": "value"}
        assert ask(running, "uwsgi.worker_id()") == 1
        assert ask(running, "uwsgi.masterpid()") == 0
        assert ask(running, "uwsgi.loop") == b"gevent"
        assert ask(running, "sys.argv") == ["uwsgi"]
        assert ask(running, "sys.path[0]") == "/"
        soft, hard = ask(running, "resource.getrlimit(resource.RLIMIT_NOFILE)")
        assert soft == hard

    @pytest.mark.parametrize("arguments", [[], ["--lazy-apps"], ["--master", "--processes", "2"], ["--master", "--lazy-apps"]])
    def test_no_garbage_collection_looks_at_what_was_imported(self, server: StartServer, probe: str, arguments: list[str]) -> None:
        running = server(None, "--wsgi-file", probe, *arguments)
        seen, frozen = ask(running, "any(each is application for each in gc.get_objects()), gc.get_freeze_count()")
        assert not seen
        assert frozen > 1000

    def test_env_without_a_value_removes(self, server: StartServer, probe: str) -> None:
        running = server(None, "--wsgi-file", probe, "--env", "PROBE=a=b", "--env", "GONE", env={"GONE": "1"})
        assert ask(running, "os.environ['PROBE'], 'GONE' in os.environ") == ("a=b", False)

    def test_where_imports_come_from(self, server: StartServer, tmp_path: Path, probe: str) -> None:
        for name in ("one", "two", "three"):
            (tmp_path / "libs" / name).mkdir(parents=True)
        running = server(
            None, "--wsgi-file", probe, "--chdir", str(tmp_path), "--pythonpath", "libs/t*", "--pp", "libs/one", "--pp", "libs/none"
        )
        libs = tmp_path / "libs"
        expected = [str(libs / "none"), str(libs / "one"), str(libs / "two"), str(libs / "three"), str(tmp_path)]
        assert ask(running, "sys.path")[:5] == expected

    def test_several_addresses_and_the_ready_file(self, server: StartServer, folder: Path) -> None:
        running = server(
            "hello_bottle.py", "--http", "127.0.0.1:0", "--http-socket", "app.sock", "--http-socket", "localhost:0",
            "--chdir", str(folder), "--chmod-socket=660",
        )  # fmt: skip
        first, sock, last = running.addresses
        assert sock == str(folder / "app.sock")
        assert os.stat(sock).st_mode & 0o777 == 0o660
        for address in (first, last):
            assert requests.get(f"http://{address}/", timeout=10).status_code == 200
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(sock)
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(12).startswith(b"HTTP/1.")

    def test_a_ready_file_of_an_earlier_run_is_gone_before_anything_else(self, run_geuwsgi: Run, tmp_path: Path) -> None:
        ready = tmp_path / "ready"
        ready.write_text("127.0.0.1:1\n")
        assert run_geuwsgi("--http", "127.0.0.1:0", "--wsgi-file", "gone.py", "--ready-file", str(ready)).returncode == 1
        assert not ready.exists()

    def test_an_inherited_descriptor(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as parent:
            port = parent.getsockname()[1]
            os.set_inheritable(parent.fileno(), True)
            starter = (
                "import os, sys; os.dup2(int(sys.argv[1]), 9); os.execv(sys.executable, [sys.executable, '-m', 'geuwsgi', *sys.argv[2:]])"
            )
            process = subprocess.Popen(
                [sys.executable, "-c", starter, str(parent.fileno()), "--http", "fd://9", "--wsgi-file", str(APPS / "hello_flask.py")],
                env={**os.environ, **server_environment()}, cwd=tmp_path, stdin=subprocess.DEVNULL, pass_fds=(parent.fileno(),),
            )  # fmt: skip
            try:
                assert requests.get(f"http://127.0.0.1:{port}/", timeout=20).status_code == 200
            finally:
                process.send_signal(signal.SIGINT)
                assert process.wait(10) == 0

    def test_sockets_of_systemd(self, tmp_path: Path) -> None:
        starter = (
            "import os, sys; os.dup2(int(sys.argv[1]), 103); os.dup2(int(sys.argv[2]), 104); os.dup2(103, 3); os.dup2(104, 4); "
            "os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid())); "
            "os.execv(sys.executable, [sys.executable, '-m', 'geuwsgi', *sys.argv[3:]])"
        )
        with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
            ports = [first.getsockname()[1], second.getsockname()[1]]
            numbers = (first.fileno(), second.fileno())
            # The second one is named by its address as well, as in a configuration that also starts by hand.
            process = subprocess.Popen(
                [
                    sys.executable, "-c", starter, *map(str, numbers), "--http", f"127.0.0.1:{ports[1]}",
                    "--wsgi-file", str(APPS / "hello_flask.py"), "--ready-file", "ready",
                ],
                env={**os.environ, **server_environment()}, cwd=tmp_path, stdin=subprocess.DEVNULL, pass_fds=numbers,
            )  # fmt: skip
            try:
                wait_until((tmp_path / "ready").exists, 20, "the ready file")
                assert (tmp_path / "ready").read_text() == f"127.0.0.1:{ports[1]}\n127.0.0.1:{ports[0]}\n"
                for port in ports:
                    assert requests.get(f"http://127.0.0.1:{port}/", timeout=20).status_code == 200
            finally:
                process.send_signal(signal.SIGINT)
                assert process.wait(10) == 0

    def test_the_log_in_a_file(self, server: StartServer, tmp_path: Path, probe: str) -> None:
        target = tmp_path / "app.log"
        target.write_text("earlier\n")
        running = server(None, "--wsgi-file", probe, "--logto", str(target))
        ask(running, "1")
        assert running.log == ""
        wait_until(lambda: "GET /?1 => generated 1 bytes" in target.read_text(), 20, "the request's line")
        text = target.read_text()
        assert text.startswith("earlier\n*** Starting geuwsgi")
        assert "printed at import\n" in text

    def test_a_queue_that_the_kernel_does_not_grant(self, server: StartServer) -> None:
        assert "--listen 99999999 is more than the kernel's limit" in server("hello_bottle.py", "--listen", "99999999").log
        assert "kernel's limit" not in server("hello_bottle.py", "--listen", "100").log

    def test_mounts_and_files(self, server: StartServer, tmp_path: Path, probe: str) -> None:
        (tmp_path / "static").mkdir()
        (tmp_path / "static" / "a.txt").write_text("0123456789")
        running = server(
            None, "--wsgi-file", probe, "--mount", f"/x={probe}", "--manage-script-name", "--static-map", f"/s={tmp_path / 'static'}"
        )
        response = requests.get(running.url + "/x/y?environ['SCRIPT_NAME'],environ['PATH_INFO']", timeout=10)
        assert response.text == "('/x', '/y')"
        with requests.Session() as session:
            partial = session.get(running.url + "/s/a.txt", headers={"Range": "bytes=2-4"}, timeout=10)
            assert (partial.status_code, partial.text, partial.headers["Content-Range"]) == (206, "234", "bytes 2-4/10")
            head = session.head(running.url + "/s/a.txt", timeout=10)
            assert (head.status_code, head.headers["Content-Length"]) == (200, "10")
            same = session.get(running.url + "/s/a.txt", headers={"If-None-Match": head.headers["ETag"]}, timeout=10)
            assert (same.status_code, same.text) == (304, "")
            assert session.get(running.url + "/s/a.txt", headers={"Range": "bytes=10-"}, timeout=10).status_code == 416
            assert session.get(running.url + "/s/a.txt", timeout=10).text == "0123456789"

    def test_files_without_an_application(self, server: StartServer, tmp_path: Path) -> None:
        (tmp_path / "index.html").write_text("<p>index")
        running = server(None, "--check-static", str(tmp_path), "--static-index", "index.html")
        response = requests.get(running.url + "/", timeout=10)
        assert (response.text, response.headers["Content-Type"]) == ("<p>index", "text/html")
        assert requests.get(running.url + "/none", timeout=10).status_code == 404

    def test_without_fork_one_process_serves_and_says_so(self, server: StartServer, tmp_path: Path) -> None:
        # gevent looks for it too, on systems that are not Windows.
        (tmp_path / "sitecustomize.py").write_text("import gevent.subprocess, os\ndel os.fork\n")
        running = server(
            "models.py", "--master", "--processes", "3", "--attach-daemon", "sleep 60",
            env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        )  # fmt: skip
        assert requests.get(running.url + "/", timeout=10).json()["multiprocess"] is False
        assert "this system has no fork(): one process serves, without master, processes, attach-daemon" in running.log
        assert "spawned uWSGI worker 1 (and the only)" in running.log
        assert len(running.relatives()) == 1

    def test_an_ini_file_as_games_have_it(self, server: StartServer, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
        (folder / "static").mkdir()
        (folder / "static" / "index.html").write_text("<p>the game")
        (folder / "game.py").write_text(PROBE)
        (folder / "game.ini").write_text(
            "[uwsgi]\n"
            "http-socket = 127.0.0.1:0\n"
            "module = game:application\n"
            "gevent = 100\n"
            "gevent-monkey-patch\n"
            "offload-threads = 1\n"
            "master = true\n"
            "virtualenv = %d/env\n"
            "check-static = %d/static\n"
            "static-index = index.html\n"
            f"attach-daemon = {find_program('redis-server')} --port 0 --unixsocket %d/redis.sock --save '' --dir %d\n"
        )
        running = server(None, "--ini", str(folder / "game.ini"), cwd=folder)
        assert requests.get(running.url + "/", timeout=10).text == "<p>the game"
        response = requests.get(running.url + "/other?sys.prefix, uwsgi.cores, uwsgi.opt['gevent'], uwsgi.masterpid()", timeout=10)
        assert response.text == repr((str(folder / "env"), 100, b"100", running.pid))
        wait_until((folder / "redis.sock").exists, 20, "Redis")
        status, _ = running.interrupt()
        assert status == 0
        assert "did not end in" not in running.log
        assert not (folder / "redis.sock").exists()


class TestFailures:
    """One clear message, exit status 1, no traceback of ours."""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--http", "127.0.0.1:0"], "no application: name one with --wsgi-file FILE or --module MODULE:CALLABLE"),
            (["--http", "127.0.0.1:0", "--check-static", ".", "--need-app"], "no application: name one with"),
            (["--wsgi-file", "app.py"], "nowhere to listen: give an address, such as --http :8080"),
            (["--http", ":http", "--wsgi-file", "app.py"], "command line: --http = :http: the port 'http' is not a number from 0 to 65535"),
            (["--http", ":0", "--wsgi-file", "gone.py"], "gone.py: No such file or directory"),
            (["--http", ":0", "--module", "gone"], "there is no module named 'gone' in /"),
            (["--http", ":0", "--wsgi-file", "empty.py"], "no callable named 'application' in empty.py"),
            (["--http", ":0", "--mount", "x=empty.py"], "command line: --mount = x=empty.py: write it as /mountpoint=file.py"),
            (["--http", ":0", "--static-map", "/x"], "command line: --static-map = /x: write it as /prefix=directory"),
            (["--http", ":0", "--env", "=x"], "command line: --env = =x: has no name before the equals sign; write it as NAME=VALUE"),
            (["--http", ":0", "--chdir", "/gone"], "command line: --chdir = /gone: cannot change to this directory: No such file"),
            (["--http", ":0", "--logto", "/gone/log"], "command line: --logto = /gone/log: the log file cannot be opened: No such file"),
            (["--http", ":0", "--pidfile", "/gone/pid"], "command line: --pidfile = /gone/pid: the file cannot be written: No such file"),
            (
                ["--http", ":0", "--wsgi-file", "app.py", "--ready-file", "/gone/ready"],
                "command line: --ready-file = /gone/ready: the file cannot be written: No such file",
            ),
            # Not by each worker, again and again.
            (
                ["--http", ":0", "--wsgi-file", "app.py", "--master", "--forwarded-allow-ips", "nginx"],
                "command line: --forwarded-allow-ips = nginx: 'nginx' is no IP address",
            ),
            (["--http", ":0", "--virtualenv", "/gone"], "/gone: there is no such directory"),
            (["--http", ":0", "--virtualenv", "."], "this is no virtual environment: it has neither pyvenv.cfg nor lib/pythonX.Y"),
            (["--http", ":0", "--virtualenv", "old"], "this environment is for Python 3.4, and geuwsgi runs on 3."),
        ],
    )
    def test_what_cannot_be(self, run_geuwsgi: Run, tmp_path: Path, arguments: list[str], message: str) -> None:
        (tmp_path / "empty.py").touch()
        (tmp_path / "app.py").write_text("def application(environ, start_response): ...")
        (tmp_path / "old").mkdir()
        (tmp_path / "old" / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.4.2\n")
        result = run_geuwsgi(*arguments)
        assert result.returncode == 1
        lines = [line for line in result.stderr.splitlines() if line.startswith("geuwsgi: ")]
        assert len(lines) == 1
        assert message in lines[0]
        assert "Traceback" not in result.stderr

    def test_a_port_in_use(self, server: StartServer, run_geuwsgi: Run, tmp_path: Path) -> None:
        pidfile = tmp_path / "pid"
        app = str(APPS / "blocking_echo.py")
        running = server("blocking_echo.py", "--pidfile", str(pidfile))
        result = run_geuwsgi("--http", running.address, "--wsgi-file", app, "--pidfile", str(pidfile), "--vacuum")
        assert result.returncode == 1
        assert f"geuwsgi: command line: --http = {running.address}: port {running.port} is already in use" in result.stderr
        assert pidfile.read_text() == f"{running.pid}\n"

    def test_an_import_that_fails_shows_the_applications_traceback_once(self, run_geuwsgi: Run, tmp_path: Path) -> None:
        (tmp_path / "bad.py").write_text("import threading\nthreading.Thread(target=threading.Event().wait).start()\nimport not_there\n")
        result = run_geuwsgi("--http", ":0", "--wsgi-file", "bad.py")
        assert result.returncode == 1
        assert result.stderr.count("Traceback") == 1
        assert f'File "{tmp_path}/bad.py", line 3, in <module>' in result.stderr
        assert "geuwsgi/" not in result.stderr
        assert result.stderr.endswith("geuwsgi: bad.py cannot be loaded: ModuleNotFoundError: No module named 'not_there'\n")

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGQUIT, 131)])
    @pytest.mark.parametrize("how", ["time.sleep(60)", "all(True for _ in iter(int, 1))"])
    def test_a_signal_while_the_application_is_loaded(self, tmp_path: Path, number: int, status: int, how: str) -> None:
        (tmp_path / "slow.py").write_text(f"import time\nprint('loading', flush=True)\ntry:\n    {how}\nexcept Exception: pass\n")
        argv = [sys.executable, "-m", "geuwsgi", "--http", "127.0.0.1:0", "--wsgi-file", "slow.py", "--attach-daemon", "sleep 1000"]
        program = Program(argv, tmp_path / "log", tmp_path, server_environment())
        try:
            program.wait_log("loading", 20)
            program.signal(number)
            assert program.wait() == status
            assert f"geuwsgi: {signal.Signals(number).name} during the start, nothing was served" in program.log
            assert "Traceback" not in program.log
            wait_until(lambda: not program.relatives(), 20, "the daemon's end")
        finally:
            program.kill()


class TestEnd:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
    def test_open_websockets_are_told_and_it_is_not_waited_for_them(self, server: StartServer, number: int) -> None:
        running = server("blocking_echo.py", "--die-on-term")
        clients = [websocket.create_connection(running.ws_url, timeout=10) for _ in range(20)]
        with socket.create_connection(("127.0.0.1", running.port)):
            running.signal(number)
            for client in clients:
                opcode, data = client.recv_data()
                assert (opcode, data[:2]) == (websocket.ABNF.OPCODE_CLOSE, (1001).to_bytes(2, "big"))
                client.shutdown()
            assert running.wait(4.5) == 0  # SIGTERM would give a request five
        assert f"{signal.Signals(number).name} received, stopping" in running.log
        assert running.log.endswith("goodbye to geuwsgi.\n")

    def test_sigusr1_and_sigusr2_do_not_end_it(self, server: StartServer, probe: str) -> None:
        running = server(None, "--wsgi-file", probe)
        ask(running, "1")
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            running.signal(number)
            line = f"worker 1 (pid: {running.pid}): 1 requests served in "
            wait_until(lambda: running.log.count(line) == (1 if number == signal.SIGUSR1 else 2), 20, line)  # noqa: B023 - called at once
        assert re.search(r" in \d+ seconds, 0 running, \d connections, 0 websockets, peak memory \d+ KiB\n", running.log)
        assert ask(running, "2") == 2

    def test_a_second_ctrl_c_ends_even_a_greenlet_that_never_yields(self, server: StartServer, probe: str, tmp_path: Path) -> None:
        pidfile = tmp_path / "pid"
        arguments = ("--wsgi-file", probe, "--attach-daemon", "sleep 1000", "--pidfile", str(pidfile), "--vacuum")
        running = server(None, *arguments, expect_status=1)
        with socket.create_connection(("127.0.0.1", running.port)) as client:
            client.sendall(b"GET /?print(%22busy%22,flush=True),all(True+for+_+in+iter(int,1)) HTTP/1.1\r\nHost: x\r\n\r\n")
            running.wait_log("busy")
            running.signal(signal.SIGINT)
            # The first one is only noted, so nothing in the log tells that it has arrived: wait until it is no longer pending.
            wait_until(lambda: not _pending(running.pid, signal.SIGINT), 20, "the first SIGINT to arrive")
            running.signal(signal.SIGINT)
            assert running.wait(20) == 1
        wait_until(lambda: not running.relatives(), what="the end of those that it killed")
        assert "SIGINT again: ending at once" in running.log
        assert not pidfile.exists()

    def test_a_running_request_gets_its_time_after_sigterm(self, server: StartServer, probe: str) -> None:
        running = server(None, "--wsgi-file", probe, "--die-on-term")
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as client:
            client.sendall(b"GET /?print('asked',flush=True),gevent.sleep(1.5) HTTP/1.1\r\nHost: x\r\n\r\n")
            running.wait_log("asked")
            running.signal(signal.SIGTERM)
            data = b""
            while chunk := client.recv(4096):
                data += chunk
        assert data.endswith(b"(None, None)")
        assert running.wait() == 0

    def test_a_running_request_is_cut_short_after_ctrl_c(self, server: StartServer, probe: str) -> None:
        running = server(None, "--wsgi-file", probe)
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as client:
            client.sendall(b"GET /?print('asked',flush=True),gevent.sleep(60) HTTP/1.1\r\nHost: x\r\n\r\n")
            running.wait_log("asked")
            status, seconds = running.interrupt()
        assert status == 0
        assert seconds < 4.5  # after SIGTERM it would have had five

    def test_vacuum(self, server: StartServer, folder: Path) -> None:
        running = server("blocking_echo.py", "--http-socket", "a.sock", "--pidfile", "pid", "--vacuum", cwd=folder)
        assert (folder / "pid").read_text() == f"{running.pid}\n"
        assert sorted(path.name for path in folder.iterdir()) == ["a.sock", "pid"]
        running.interrupt()
        assert list(folder.iterdir()) == []
        assert f"VACUUM: {folder}/a.sock removed." in running.log

    def test_without_vacuum_the_files_stay_and_do_not_matter(self, server: StartServer, folder: Path) -> None:
        arguments = ("--http-socket", "a.sock", "--pidfile", "pid")
        server("blocking_echo.py", *arguments, cwd=folder).interrupt()
        assert sorted(path.name for path in folder.iterdir()) == ["a.sock", "pid"]
        running = server("blocking_echo.py", *arguments, cwd=folder)
        assert (folder / "pid").read_text() == f"{running.pid}\n"

    def test_the_ready_file_goes_with_the_server(self, server: StartServer) -> None:
        running = server("blocking_echo.py")
        ready = Path(running.argv[-1])
        assert ready.exists()
        running.interrupt()
        assert not ready.exists()

    def test_hooks(self, server: StartServer, tmp_path: Path) -> None:
        (tmp_path / "hooks.py").write_text(
            "import atexit, threading, uwsgi\n"
            "uwsgi.post_fork_hook = lambda: print('post_fork_hook in worker', uwsgi.worker_id())\n"
            "uwsgi.atexit = lambda: print('uwsgi.atexit in worker', uwsgi.worker_id())\n"
            "atexit.register(lambda: print('python atexit'))\n"
            "threading.Thread(target=threading.Event().wait).start()  # would hold up a normal end\n"
            "def application(environ, start_response): ...\n"
        )
        running = server(None, "--wsgi-file", str(tmp_path / "hooks.py"))
        assert running.interrupt()[0] == 0
        log = running.log
        assert log.count("post_fork_hook in worker 1\n") == log.count("uwsgi.atexit in worker 1\n") == log.count("python atexit\n") == 1
        assert log.index("(mountpoint='') ready") < log.index("post_fork_hook") < log.index("serving") < log.index("uwsgi.atexit")

    def test_a_greenlet_that_calls_sys_exit_does_not_stop_the_server(self, server: StartServer, probe: str) -> None:
        running = server(None, "--wsgi-file", probe, expect_log=["a greenlet tried to end the process", "SystemExit"])
        ask(running, "gevent.spawn(sys.exit, 3) and None")
        running.wait_log("a greenlet tried to end the process, still serving")
        assert ask(running, "1") == 1

    def test_nothing_stays_open(self, server: StartServer) -> None:
        running = server("blocking_echo.py")
        assert psutil.Process(running.pid).children(recursive=True) == []
        assert running.interrupt()[0] == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", running.port), timeout=5)


def _pending(pid: int, number: int) -> bool:
    """Whether the kernel still holds a signal for a process. Source: proc_pid_status(5), ShdPnd and SigPnd."""
    status = Path(f"/proc/{pid}/status").read_text()
    masks = re.findall(r"^(?:Sig|Shd)Pnd:\s+([0-9a-f]+)$", status, re.MULTILINE)
    return any(int(mask, 16) & (1 << (number - 1)) for mask in masks)
