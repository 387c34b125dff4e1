"""Things done at certain moments."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
from pathlib import Path
from typing import Callable

import pytest

from geuwsgi.config.config import load
from geuwsgi.errors import ConfigError
from geuwsgi.process.hooks import PHASES, HookFailed, Hooks
from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

from .probing import PROBE, ask, workers

StartServer = Callable[..., Geuwsgi]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def app(tmp_path: Path) -> str:
    path = tmp_path / "app.py"
    path.write_text(PROBE)
    return str(path)


def hooks(*arguments: str) -> Hooks:
    return Hooks(load(arguments, {}))


class TestMoments:
    def test_in_their_order(self, server: StartServer, app: str) -> None:
        arguments = [argument for phase in reversed(PHASES) for argument in (f"--hook-{phase}", f"print:now {phase}")]
        running = server(None, "--master", "-p", "2", "--wsgi-file", app, "--exec-as-user", "echo from a command; pwd", *arguments)
        running.wait_log("now accepting1-once")
        wait_until(lambda: running.log.count("now accepting\n") == 2, 20, "both workers")
        running.wait_log("now master-start")
        said = re.findall(r"^now (.*)", running.log, re.MULTILINE)
        # What the master says once its workers run, and what they say, come in either order.
        once = [phase for phase in PHASES if phase not in ("post-fork", "master-start", "accepting", "accepting-once", "as-user-atexit")]
        assert [phase for phase in said if phase in once] == once
        assert said.index("master-start") > said.index("post-app")
        assert (said.count("post-fork"), said.count("accepting"), said.count("accepting-once")) == (2, 2, 2)
        assert (
            'running "print:now as-user" (as user)...\nnow as-user\nrunning "echo from a command; pwd" (as user)...\nfrom a command\n/'
            in running.log
        )
        workers(running)[0].kill()
        wait_until(lambda: running.log.count("now accepting\n") == 3, 20, "its successor")
        assert running.log.count("now accepting-once\n") == 2
        running.interrupt()
        assert "now as-user-atexit" in running.log

    def test_touched(self, server: StartServer, app: str, tmp_path: Path) -> None:
        running = server(
            None, "--wsgi-file", app, "--hook-touch", f"{tmp_path}/a print:hello", "--touch-exec", f"{tmp_path}/b echo $((40 + 2)); exit 3"
        )
        (tmp_path / "a").touch()
        running.wait_log('running "print:hello" (touch)...\nhello')
        (tmp_path / "b").touch()
        running.wait_log("\n42\ngeuwsgi: the hook 'exec:echo $((40 + 2)); exit 3' has failed: exit status 3")
        assert ask(running, "1") == 1

    def test_one_that_fails_ends_the_start(self, run_geuwsgi: Run, app: str) -> None:
        result = run_geuwsgi(
            "--http", "127.0.0.1:0", "--wsgi-file", app, "--exec-pre-app", "exit 3", "--hook-as-user-atexit", "print:the end"
        )
        assert result.returncode == 1
        assert result.stderr.endswith(
            "geuwsgi: the hook 'exit 3' has failed: exit status 3\nrunning \"print:the end\" (atexit)...\nthe end\n"
        )

    def test_one_that_fails_in_a_worker(self, server: StartServer, app: str, tmp_path: Path) -> None:
        (tmp_path / "there").touch()
        running = server(None, "--master", "--wsgi-file", app, "--hook-post-fork", "unlink:there", cwd=tmp_path, lasting=1)
        workers(running)[0].kill()
        running.wait_log("geuwsgi: the hook 'unlink:there' has failed: No such file or directory\nDAMN ! worker 1 (pid: ")

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (("--hook-asap", "dance:now"), "write it as VERB:ARGUMENT; the verbs are append appendn cd"),
            (("--hook-asap", "print"), "write it as VERB:ARGUMENT"),
            (("--hook-touch", "file"), "write it as FILE and what to do"),
            (("--hook-touch", "file dance:now"), "write it as VERB:ARGUMENT"),
        ],
    )
    def test_what_cannot_be(self, run_geuwsgi: Run, app: str, arguments: tuple[str, str], complaint: str) -> None:
        result = run_geuwsgi("--http", "127.0.0.1:0", "--wsgi-file", app, *arguments)
        assert result.returncode == 1
        assert f"geuwsgi: command line: {arguments[0]} = {arguments[1]}: {complaint}" in result.stderr


class TestSignals:
    """`hook-master-start = unix_signal:15 gracefully_kill_them_all`, which stands in many a published ini file for containers."""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
    def test_the_master_does_it(self, server: StartServer, app: str, number: signal.Signals) -> None:
        running = server(
            None, "--master", "--wsgi-file", app, "--hook-master-start", f"unix_signal:{int(number)} gracefully_kill_them_all", lasting=1
        )
        assert ask(running, "1") == 1
        running.signal(number)
        assert running.wait() == 0
        assert f"{number.name} received: doing what hook-master-start says" in running.log
        assert "gracefully reloading" not in running.log

    def test_another_function(self, server: StartServer, app: str) -> None:
        running = server(None, "--master", "--wsgi-file", app, "--hook-master-start", "unix_signal:12 reap_them_all")
        running.signal(signal.SIGUSR2)
        running.wait_log("...gracefully reloading...")

    @pytest.mark.parametrize(
        ("option", "action", "complaint"),
        [
            ("--hook-asap", "unix_signal:15 kill_them_all", "so it belongs into hook-master-start"),
            ("--hook-touch", "file unix_signal:15 kill_them_all", "so it belongs into hook-master-start"),
            ("--hook-master-start", "unix_signal:99 kill_them_all", "write it as unix_signal:NUMBER FUNCTION; the numbers are "),
            ("--hook-master-start", "unix_signal:15", "the functions gracefully_kill_them_all kill_them_all grace_them_all reap_them_all"),
        ],
    )
    def test_what_cannot_be(self, option: str, action: str, complaint: str) -> None:
        with pytest.raises(ConfigError, match=f"^command line: {option} = {re.escape(action)}: .*{complaint}"):
            hooks(option, action)


class TestVerbs:
    def run(self, *actions: str) -> None:
        hooks(*(argument for action in actions for argument in ("--hook-asap", action))).run("asap")

    def test_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        self.run("write:a hello you", "append:a , and", "writen:b x y", "appendn:b z", "create:c", "mkdir:d", "chmod:a 640", "sticky:d")
        assert (tmp_path / "a").read_text() == "hello you, and"
        assert (tmp_path / "b").read_text() == "x y\nz\n"
        assert (tmp_path / "c").read_text() == ""
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
        assert (tmp_path / "d").stat().st_mode & stat.S_ISVTX
        self.run(
            f"chown:a {os.getuid()} {os.getgid()}", "unlink:b", "chdir:d", "wait_for_fs:../a", "wait_for_file:../a", "wait_for_dir:../d"
        )
        assert not (tmp_path / "b").exists()
        assert os.getcwd() == str(tmp_path / "d")

    def test_the_environment_is_seen_by_commands(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("GT_HOOK", "old")
        self.run("putenv:GT_HOOK=a=b", "exec:echo $GT_HOOK", "safeexec:exit 4")
        out, err = capfd.readouterr()
        assert out == "a=b\n"
        assert 'command "exit 4" exited with non-zero code: 4' in err

    def test_a_pipe(self, tmp_path: Path) -> None:
        path = tmp_path / "fifo"
        os.mkfifo(path)
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.run(f"writefifo:{path} hello")
        assert os.read(fd, 100) == b"hello"
        os.close(fd)

    @pytest.mark.parametrize(
        ("action", "why"),
        [
            ("exec:exit 3", "exit status 3"),
            ("exec:kill -9 $$", "killed by signal 9"),
            ("mkdir:/", "File exists"),
            ("chdir:/gone", "No such file"),
            ("write:/tmp/file", "its argument must be <file> <string>"),
            ("chmod:/tmp", "its argument must be <file> <mode>"),
            ("chown:/tmp/gone no-such-user 0", "no-such-user"),
            ("putenv:X", "write it as NAME=VALUE"),
            ("wait_for_socket:/gone 0.05", "/gone has not come"),
        ],
    )
    def test_failures(self, action: str, why: str) -> None:
        with pytest.raises(HookFailed, match=re.escape(why)):
            self.run(action)


def test_exit(run_geuwsgi: Run, app: str) -> None:
    assert run_geuwsgi("--http", "127.0.0.1:0", "--wsgi-file", app, "--hook-post-app", "exit:7").returncode == 7
