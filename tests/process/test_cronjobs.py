"""Commands that run at certain times: how they are written, and what the master makes of them."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Callable

import pytest

from geuwsgi.config.config import load
from geuwsgi.errors import ConfigError
from geuwsgi.process.cronjobs import CronJobs
from geuwsgi.process.cronspec import CronSpec, cron_specs
from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

from .probing import PROBE, ask, other_workers, workers

StartServer = Callable[..., Geuwsgi]


@pytest.mark.parametrize(
    ("arguments", "spec"),
    [
        (["--cron", "59 2 -1 -1 7 cmd  --with  blanks"], CronSpec("cmd  --with  blanks", (59, 2, -1, -1, 7))),
        (["--cron", "-5 -1 -1 -1 -1 cmd", "--cron-harakiri", "10"], CronSpec("cmd", (-5, -1, -1, -1, -1), harakiri=10)),
        (["--unique-cron", "0 0 1 1 -1 cmd"], CronSpec("cmd", (0, 0, 1, 1, -1), unique=True)),
        (["--cron2", "my command"], CronSpec("my command", (-1, -1, -1, -1, -1))),
        (["--cron2", "minute=30,hour=5,unique=1 cmd a=b"], CronSpec("cmd a=b", (30, 5, -1, -1, -1), unique=True)),
        (["--cron2", "week=7,day=2,month=-3,unique=0 cmd"], CronSpec("cmd", (-1, -1, 2, -3, 7))),
        (["--cron2", "harakiri=0 cmd", "--cron-harakiri", "10"], CronSpec("cmd", (-1, -1, -1, -1, -1))),
    ],
)
def test_how_they_are_written(arguments: list[str], spec: CronSpec) -> None:
    assert cron_specs(load(arguments, {})) == (spec,)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--cron", "5 echo x"], "write it as MINUTE HOUR DAY MONTH WEEKDAY COMMAND"),
        (["--cron", "-1 -1 -1 -1 -1"], "write it as MINUTE HOUR DAY MONTH WEEKDAY COMMAND"),
        (["--unique-cron", "a b c d e cmd"], "write it as MINUTE HOUR DAY MONTH WEEKDAY COMMAND"),
        (["--cron2", "minutes=1 cmd"], "minutes=1 is not known here"),
        (["--cron2", "minute=x cmd"], "minute=x is not known here"),
        (["--cron2", "legion=a cmd"], "legion=a is not known here"),
        (["--cron2", "minute=1"], "there is no command"),
        (["--cron2", " "], "there is no command"),
    ],
)
def test_mistakes(arguments: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cron_specs(load(arguments, {}))
    assert str(caught.value).startswith(f"command line: {arguments[0]} = {arguments[1]}: {complaint}")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app.py"
    path.write_text(PROBE)
    return path


def test_they_run(server: StartServer, app: Path) -> None:
    running = server(
        *(None, "--wsgi-file", str(app), "--cron", "-1 -1 -1 -1 -1 echo ran by $PPID; exit 3", "--cron", "99 -1 -1 -1 -1 echo never"),
        *("--unique-cron", "-1 -1 -1 -1 -1 exec sleep 100", "--cron2", "harakiri=1 echo slow; sleep 100; echo too late"),
    )
    assert ask(running, "uwsgi.masterpid()") == running.pid
    running.wait_log(f"ran by {running.pid}\n")
    running.wait_log('[uwsgi-cron] command "echo ran by $PPID; exit 3" running with pid ')
    running.wait_log(" second(s), exit status 3")
    running.wait_log("(harakiri): killed")
    running.wait_log(" second(s), killed by signal 9")
    assert "never" not in running.log
    unique = pid_of(running, "exec sleep 100")
    before = workers(running)
    running.signal(signal.SIGHUP)
    other_workers(running, before, 1)
    os.kill(unique, signal.SIGKILL)
    # Known to the new image, and not started again by it while it ran.
    running.wait_log(f'command "exec sleep 100" running with pid {unique} exited after ')
    # They are not the server's to end when it ends, and each minute begins with new ones.
    wait_until(lambda: not still_running(running) and time.time() % 60 < 55, 30, "the end of those that run, in the middle of a minute")


def test_an_end_that_nobody_has_seen(capfd: pytest.CaptureFixture[str]) -> None:
    """A reload imports the application, whose own programs make gevent collect the exit status of all."""
    spec = CronSpec("sleep 0", (-1, -1, -1, -1, -1), unique=True)
    ended = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(ended, 0)
    jobs = CronJobs([spec], int(time.time() // 60), [(spec.command, ended, time.time())])
    jobs.tick()
    for _, pid, _ in jobs.running():  # a minute has begun
        assert pid != ended
        os.waitpid(pid, 0)
    assert f'[uwsgi-cron] command "sleep 0" running with pid {ended} exited after 0 second(s)' in capfd.readouterr().err


def still_running(server: Geuwsgi) -> set[str]:
    """Process ids of commands that have been started and have not ended; the one that only a signal ends gets it."""
    log = server.log
    ended = set(re.findall(r" running with pid (\d+) exited after ", log))
    for pid in set(re.findall(r'\[uwsgi-cron\] running "exec sleep 100" \(pid (\d+)\)', log)) - ended:
        with suppress(ProcessLookupError):  # its end is not in the log yet
            os.kill(int(pid), signal.SIGKILL)
    return set(re.findall(r'\[uwsgi-cron\] running ".*" \(pid (\d+)\)', log)) - ended


def pid_of(server: Geuwsgi, command: str) -> int:
    """The process that runs a command."""
    return int(server.wait_log(f'[uwsgi-cron] running "{command}" (pid ').split(f'running "{command}" (pid ')[1].partition(")")[0])
