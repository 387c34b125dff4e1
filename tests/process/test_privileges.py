"""Users, groups, roots, names, and servers in the background. Most of it needs root, as the server does."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import psutil
import pytest
import requests

from geuwsgi.config.config import load
from geuwsgi.process.privileges import privileges
from tests.harness.process import Program
from tests.harness.programs import ROOT
from tests.harness.servers import Geuwsgi, server_environment
from tests.harness.wait import wait_until

from .probing import PROBE, ask, other_workers, workers

StartServer = Callable[..., Geuwsgi]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the user")

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that everybody may read and write."""
    with tempfile.TemporaryDirectory(prefix="gp") as name:
        path = Path(name).resolve()
        path.chmod(0o777)
        (path / "app.py").write_text(PROBE)
        yield path


@pytest.fixture
def open_server(folder: Path) -> Iterator[StartServer]:
    """As `server`, with all its files in `folder`, where everybody may write."""
    running: list[Geuwsgi] = []

    def start(*arguments: str) -> Geuwsgi:
        running.append(Geuwsgi(folder, None, *arguments, cwd=folder, env={"PYTHONDONTWRITEBYTECODE": "1"}))
        return running[-1]

    yield start
    for server in running:
        server.finish()


def interpreter_for(user: str) -> str:
    """A Python that a user may run, with gevent and this source tree: not one below /root. "" without one."""

    def become() -> None:
        os.setuid(pwd.getpwnam(user).pw_uid)

    for candidate in (sys.executable, "/usr/bin/python3"):
        try:
            tried = subprocess.run(
                [candidate, "-c", "import gevent, geuwsgi.process.run"], preexec_fn=become, env=FOR_EVERYBODY, cwd="/", check=False
            )
        except OSError:
            continue
        if not tried.returncode:
            return candidate
    return ""


#: Where such a Python finds the packages of this one.
FOR_EVERYBODY = {"PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("platlib")]), "PYTHONDONTWRITEBYTECODE": "1"}


class TestUsers:
    @needs_root
    @pytest.mark.parametrize("master", [[], ["--master"]], ids=["alone", "master"])
    def test_user_and_group(self, open_server: StartServer, folder: Path, master: list[str]) -> None:
        log, pidfile = folder / "log", folder / "pid"
        running = open_server(
            "--wsgi-file", "app.py", "--uid", "nobody", "--gid", str(NOBODY.pw_gid), "--logto", str(log), *master,
            "--pidfile", str(pidfile), "--http-socket", "app.sock", "--http-socket", "127.0.0.1:0",
            "--chown-socket", f"nobody:{NOBODY.pw_gid}",
            "--attach-daemon", "id -un > user; exec sleep 1000",
        )  # fmt: skip
        running.addresses.reverse()
        wanted = (NOBODY.pw_uid, NOBODY.pw_uid, NOBODY.pw_gid, os.getgrouplist("nobody", NOBODY.pw_gid))
        assert ask(running, "os.getuid(), os.geteuid(), os.getgid(), os.getgroups()") == wanted
        assert log.stat().st_uid == pidfile.stat().st_uid == 0
        assert (folder / "app.sock").stat().st_uid == NOBODY.pw_uid
        wait_until(lambda: (folder / "user").exists() and (folder / "user").read_text(), 20, "the daemon's user")
        assert (folder / "user").read_text() == "nobody\n"
        assert f"setgid() to {NOBODY.pw_gid}\nsetuid() to {NOBODY.pw_uid}\n" in log.read_text()

    @needs_root
    def test_a_reload_as_somebody(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who may not write the files of before, nor give sockets away, does not need to."""
        interpreter = interpreter_for("nobody")
        if not interpreter:
            pytest.skip("nobody may run a Python with gevent")
        monkeypatch.setenv("GEUWSGI_INTERPRETER", interpreter)
        private = folder / "private"
        private.mkdir()
        options = ["--wsgi-file", "app.py", "--uid", "nobody", "--gid", str(NOBODY.pw_gid), "--http-socket", "127.0.0.1:0"]
        options += ["--pidfile", "private/pid", "--logto", "private/log", "--master-fifo", "private/fifo"]
        options += ["--http-socket", "private/sock", "--chown-socket", "daemon:daemon"]
        running = Geuwsgi(folder, None, "--master", *options, cwd=folder, env=FOR_EVERYBODY)
        try:
            before = workers(running)
            for _ in range(2):
                with open(private / "fifo", "w") as fifo:
                    fifo.write("r")
                before = other_workers(running, before, 1)
            assert ask(running, "os.getuid()") == NOBODY.pw_uid
            assert (private / "pid").read_text() == f"{running.pid}\n"
            log = (private / "log").read_text()
            assert log.count("gracefully (RE)spawned") == 2
            assert "cannot be" not in log
        finally:
            running.finish()

    @needs_root
    def test_a_reload_of_who_may_not_run_python(self, open_server: StartServer) -> None:
        if interpreter_for("nobody") == sys.executable:
            pytest.skip("nobody may run this Python")
        running = open_server("--master", "--wsgi-file", "app.py", "--uid", "nobody", "--gid", str(NOBODY.pw_gid))
        running.signal(signal.SIGHUP)
        running.wait_log(f"cannot execute {sys.executable}: Permission denied; no reload, the workers go on")
        assert ask(running, "os.getuid()") == NOBODY.pw_uid

    @needs_root
    def test_what_is_handed_to_the_user(self, folder: Path) -> None:
        asked = privileges(load(["--uid", "nobody", "--gid", str(NOBODY.pw_gid)], {}))
        for mode, owner in ((0o600, (NOBODY.pw_uid, NOBODY.pw_gid)), (0o660, (0, 0))):
            path = folder / f"{mode:o}"
            path.touch(mode)
            path.chmod(mode)
            with open(path) as file:
                asked.hand(file.fileno())
            assert (path.stat().st_uid, path.stat().st_gid) == owner

    def test_groups_without_a_group(self) -> None:
        config = load(["--uid", "0", "--add-gid", "0"], {})
        assert privileges(config).groups == (0,)
        assert config.warnings == ["add-gid (command line) has no effect: as in uWSGI, groups change only with gid"]

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["--uid", "no-such-user"], "--uid = no-such-user: there is no user 'no-such-user'"),
            (["--uid", "4294967295"], "--uid = 4294967295: there is no user '4294967295'"),
            (["--uid", "9" * 5000], "there is no user"),
            (["--uid", "²"], "--uid = ²: there is no user '²'"),
            (["--gid", "99999999999"], "--gid = 99999999999: there is no group '99999999999'"),
            (["--gid", "no-such-group"], "--gid = no-such-group: there is no group 'no-such-group'"),
            (["--umask", "9"], "--umask = 9: must be octal digits, as in 022"),
            (["--chroot", "/gone"], "command line: --chroot = /gone: cannot become the root directory: "),
        ],
    )
    def test_what_cannot_be(self, run_geuwsgi: Run, folder: Path, arguments: list[str], complaint: str) -> None:
        result = run_geuwsgi("--http", "127.0.0.1:0", "--wsgi-file", "app.py", *arguments, cwd=folder)
        assert result.returncode == 1
        assert complaint in result.stderr

    def test_umask(self, server: StartServer, folder: Path) -> None:
        running = server(None, "--wsgi-file", "app.py", "--umask", "027", cwd=folder)
        assert ask(running, "open('made', 'w').close()") is None
        assert stat.S_IMODE((folder / "made").stat().st_mode) == 0o640

    @needs_root
    def test_another_root(self, folder: Path) -> None:
        inside = folder / "inside"
        inside.mkdir()
        # What it needs of Python has been imported by then.
        (inside / "app.py").write_text(
            "import os, uwsgi\n"
            "def application(environ, start_response):\n"
            "    start_response('200 OK', [])\n"
            "    return [repr((os.getcwd(), sorted(os.listdir('/')))).encode()]\n"
        )
        # /ready is the file `ready` inside.
        argv = [
            "-m",
            "geuwsgi",
            "--http-socket",
            "127.0.0.1:0",
            "--wsgi-file",
            "/app.py",
            "--chroot",
            str(inside),
            "--ready-file",
            "/ready",
        ]
        program = Program([sys.executable, *argv], folder / "log", folder, server_environment())
        try:
            wait_until((inside / "ready").exists, 20, "the ready file")
            url = "http://" + (inside / "ready").read_text().strip()
            assert requests.get(url, timeout=10).text == "('/', ['app.py', 'ready'])"
            assert program.interrupt()[0] == 0
        finally:
            program.kill()


class TestNames:
    @pytest.mark.parametrize(
        ("arguments", "master", "worker"),
        [
            (["--auto-procname"], "uWSGI master", "uWSGI worker 1"),
            (["--auto-procname", "--procname-prefix-spaced", "game"], "game uWSGI master", "game uWSGI worker 1"),
            (["--procname", "all", "--procname-append", "!"], "all!", "all!"),
            (["--auto-procname", "--procname-master", "boss", "--procname-prefix", "my-"], "my-boss", "my-uWSGI worker 1"),
        ],
    )
    def test_of_processes(self, server: StartServer, folder: Path, arguments: list[str], master: str, worker: str) -> None:
        running = server(None, "--master", "--wsgi-file", "app.py", *arguments, cwd=folder)

        def title(pid: int) -> str:
            return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0")

        assert title(running.pid) == master
        (child,) = psutil.Process(running.pid).children()
        assert title(child.pid) == worker
        assert ask(running, "uwsgi.setprocname('by the application')") is None
        assert title(child.pid) == "by the application"
        assert ask(running, "os.environ['PATH']") == os.environ["PATH"]
        running.signal(signal.SIGHUP)
        running.wait_log("gracefully (RE)spawned")
        wait_until(lambda: title(running.pid) == master, 20, "the name after the reload")


class TestDaemonize:
    def start(self, folder: Path, *arguments: str) -> tuple[int, str]:
        """Start it, as a shell does, and wait for the shell's prompt; exit status and output."""
        argv = ["-m", "geuwsgi", "--http-socket", "127.0.0.1:0", "--ready-file", "ready", "--pidfile", "pid", "--wsgi-file", "app.py"]
        self.program = Program([sys.executable, *argv, *arguments], folder / "terminal", folder, server_environment())
        return self.program.wait(20), self.program.log

    @pytest.fixture(autouse=True)
    def end(self, folder: Path) -> Iterator[None]:
        yield
        self.program.kill()

    @pytest.mark.parametrize("option", ["--daemonize", "--daemonize2"])
    @pytest.mark.parametrize("master", [[], ["--master"]], ids=["alone", "master"])
    def test_in_the_background(self, folder: Path, option: str, master: list[str]) -> None:
        status, output = self.start(folder, option, "log", *master)
        assert status == 0
        assert (output == "") == (option == "--daemonize")
        wait_until((folder / "ready").exists, 20, "the ready file")
        pid = int((folder / "pid").read_text())
        assert os.getsid(pid) == pid
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
        url = "http://" + (folder / "ready").read_text().strip()
        assert requests.get(url, params="print('hello'), 7", timeout=10).text == "(None, 7)"
        assert "hello" in (folder / "log").read_text()
        assert "hello" not in self.program.log
        os.kill(pid, signal.SIGHUP)
        # Without a master, too: the old image could still answer, and the new one would be ended in the middle of its start.
        wait_until(lambda: (folder / "log").read_text().count("serving http") == 2, 20, "the reload")
        assert int((folder / "pid").read_text()) == pid
        assert requests.get(url, params="7", timeout=10).text == "7"
        os.kill(pid, signal.SIGINT)
        wait_until(lambda: not self.program.relatives(), 20, "the end")
        assert (folder / "log").read_text().endswith("goodbye to geuwsgi.\n")

    def test_a_failure_is_seen_before_it_lets_go_of_the_terminal(self, folder: Path) -> None:
        (folder / "app.py").write_text("import not_there\n")
        status, output = self.start(folder, "--daemonize2", "log")
        assert status == 1
        assert "geuwsgi: app.py cannot be loaded: ModuleNotFoundError" in output

    def test_a_log_that_cannot_be_written(self, folder: Path) -> None:
        status, output = self.start(folder, "--daemonize", "gone/log")
        assert status == 1
        assert "command line: --daemonize = " in output
        status, output = self.start(folder, "--daemonize", "udp:127.0.0.1:514")
        assert status == 1
        assert "logging over the network is not there yet" in output
