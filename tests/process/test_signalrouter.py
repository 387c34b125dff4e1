"""The signal framework in running servers: who handles what, and what reloads and deaths leave of it."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Callable

import psutil
import pytest
import requests

from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

from .probing import PROBE, ask, ask_all, other_workers, workers

StartServer = Callable[..., Geuwsgi]

HANDLERS = """
def say(name, error=None):
    def handler(number):
        os.write(1, f"handled {name} {number} by {uwsgi.worker_id()}\\n".encode())
        if error: raise error
    return handler

def slow(number):
    say("slow")(number)
    while not os.path.exists(os.environ["END"]):
        time.sleep(0.01)
    os.write(1, f"ended {number}\\n".encode())

uwsgi.register_signal(1, "", say("any"))
uwsgi.register_signal(2, "workers", say("all"))
uwsgi.register_signal(3, "worker2", say("second"))
uwsgi.register_signal(4, "worker9", say("nobody"))
uwsgi.register_signal(5, "worker", slow)
uwsgi.register_signal(6, "worker1", say("bad", error=ZeroDivisionError("on purpose")))
uwsgi.register_signal(7, "active-workers", say("active"))
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    path = tmp_path / "app.py"
    path.write_text(PROBE + HANDLERS)
    return path


def handled(server: Geuwsgi, name: str) -> list[int]:
    """Who has handled it, in order."""
    return [int(worker) for worker in re.findall(rf"^handled {name} \d+ by (\d+)$", server.log, re.MULTILINE)]


def wait_handled(server: Geuwsgi, name: str, count: int, deadline: float = 20.0) -> list[int]:
    wait_until(lambda: len(handled(server, name)) >= count, deadline, f"{name} handled {count} times: {server.log}")
    found = handled(server, name)
    assert len(found) == count
    return found


class TestTargets:
    def test_all_of_them(self, server: StartServer, app: Path) -> None:
        running = server(None, "--master", "-p", "3", "--wsgi-file", str(app), expect_log=["ZeroDivisionError: on purpose"])
        for number in (1, 2, 3, 4, 6, 7):
            assert ask(running, f"uwsgi.signal({number})") is None
        assert sorted(wait_handled(running, "all", 3)) == [1, 2, 3]
        assert sorted(wait_handled(running, "active", 3)) == [1, 2, 3]
        assert wait_handled(running, "second", 1) == [2]
        wait_handled(running, "any", 1)
        running.wait_log("error managing signal 6 on worker 1")
        running.wait_log("invalid signal target: worker9")
        # Unregistered ones are somebody's, and nobody can do anything with them.
        ask(running, "uwsgi.signal(99)")
        running.wait_log("error managing signal 99 on worker ")
        assert handled(running, "bad") == [1]
        assert handled(running, "nobody") == []
        counted = "sum(worker['signals'] for worker in uwsgi.workers())"
        wait_until(lambda: ask_all(running, counted, 3) == [9] * 3, what="nine, seen alike by all three")
        running.signal(signal.SIGUSR1)
        running.wait_log("signals of the signal framework: 10 delivered, 2 lost")

    def test_each_is_handled_once(self, server: StartServer, app: Path) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app))
        ask(running, "[uwsgi.signal(1) for _ in range(100)]")
        wait_handled(running, "any", 100)
        ask(running, "uwsgi.signal(2)")
        assert sorted(wait_handled(running, "all", 2)) == [1, 2]
        assert len(handled(running, "any")) == 100

    def test_from_threads_and_timers_of_the_application(self, server: StartServer, app: Path) -> None:
        running = server(None, "--master", "--wsgi-file", str(app))
        ask(running, "threading.Thread(target=uwsgi.signal, args=(1,)).start()")
        ask(running, "gevent.spawn_later(0.01, uwsgi.signal, 1) and None")
        ask(running, "gevent.get_hub().threadpool.spawn(uwsgi.signal, 1).get()")
        wait_handled(running, "any", 3)

    def test_while_the_application_is_loaded(self, server: StartServer, app: Path) -> None:
        app.write_text(app.read_text() + "uwsgi.signal(1)\n")
        running = server(None, "--master", "--wsgi-file", str(app))
        assert wait_handled(running, "any", 1) == [1]

    def test_a_slow_handler_holds_up_nobody(self, server: StartServer, app: Path, tmp_path: Path) -> None:
        end = tmp_path / "end"
        running = server(None, "--master", "--wsgi-file", str(app), env={"END": str(end)})
        ask(running, "[uwsgi.signal(number) for number in (5, 5, 5, 1)]")
        wait_handled(running, "slow", 3)
        wait_handled(running, "any", 1)
        assert "ended 5" not in running.log
        end.touch()
        wait_until(lambda: running.log.count("ended 5") == 3)

    def test_registered_by_a_request(self, server: StartServer, app: Path) -> None:
        """Only that worker has the handler, so the signal is for it."""
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app))
        number = ask(running, "uwsgi.register_signal(50, '', say('late')) or uwsgi.worker_id()")
        ask(running, "[uwsgi.signal(50) for _ in range(10)]")
        assert wait_handled(running, "late", 10) == [number] * 10

    def test_waiting(self, server: StartServer, app: Path) -> None:
        """What has no handler goes to the worker in which somebody waits."""
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app))
        ask(running, "gevent.spawn(lambda: [uwsgi.signal_wait(99), print('waited for', uwsgi.signal_received(), flush=True)]) and None")
        wait_until(lambda: ask(running, "bool(sum(__import__('geuwsgi.api.state').api.state.state.scoreboard.column(18)))"), 20, "the wait")
        ask(running, "uwsgi.signal(99)")
        running.wait_log("waited for 99")
        assert "error managing" not in running.log


class TestEvents:
    def test_timers_and_paths(self, server: StartServer, app: Path, tmp_path: Path) -> None:
        watched = tmp_path / "watched"
        app.write_text(
            app.read_text()
            + f"""
import uwsgidecorators
uwsgidecorators.timer(1)(say("timer"))
uwsgidecorators.rbtimer(1, iterations=1)(say("once"))
uwsgidecorators.rbtimer(1, iterations=1, target="workers")(say("once-all"))
uwsgidecorators.cron(-1, -1, -1, -1, -1)(say("cron"))
uwsgidecorators.filemon({str(watched)!r}, target="workers")(say("path"))
"""
        )
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app))
        watched.touch()  # not write_text, which changes it twice
        assert sorted(wait_handled(running, "path", 2)) == [1, 2]
        began, before = time.monotonic(), len(handled(running, "timer"))
        # One or two may be late, and come together.
        wait_until(lambda: len(handled(running, "timer")) >= before + 4, 20, "four turns of the timer")
        assert time.monotonic() - began > 1
        wait_handled(running, "once", 1)
        assert sorted(wait_handled(running, "once-all", 2)) == [1, 2]
        assert len(handled(running, "cron")) in (1, 2)  # at the start, and when a minute begins
        # One that is added later, by a worker.
        ask(running, "uwsgi.add_rb_timer(3, 1, 1)")
        assert wait_handled(running, "second", 1) == [2]

    def test_lazy_apps(self, server: StartServer, app: Path) -> None:
        """Each worker loads the application and adds the timer; it is one all the same."""
        app.write_text(app.read_text() + "uwsgi.add_rb_timer(1, 1, 2)\n")
        running = server(None, "--master", "-p", "2", "--lazy-apps", "--wsgi-file", str(app))
        wait_handled(running, "any", 2)
        before = workers(running)
        before[0].kill()
        wait_until(lambda: len(workers(running)) == 2 and before[0] not in workers(running), 20, "the successor")
        running.wait_log("Respawned uWSGI worker")
        ask_all(running, "1", 2)
        assert len(handled(running, "any")) == 2
        ask(running, "uwsgi.signal(2)")
        assert sorted(wait_handled(running, "all", 2)) == [1, 2]


class TestSurvival:
    @pytest.mark.parametrize("model", ["--threads 2", "--asyncio 10 --greenlet", "--sync"])
    def test_in_other_models(self, server: StartServer, app: Path, model: str) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app), *model.split(), expect_log=["ZeroDivisionError: on purpose"])
        ask(running, "[uwsgi.signal(number) for number in (2, 6, 1, 2)]")
        assert sorted(wait_handled(running, "all", 4)) == [1, 1, 2, 2]
        wait_handled(running, "any", 1)

    def test_a_thread_of_its_own(self, server: StartServer, app: Path, tmp_path: Path) -> None:
        """With --threads a handler may block as requests may, and call the module."""
        end = tmp_path / "end"
        app.write_text(app.read_text() + "uwsgi.register_signal(60, '', lambda number: (slow(5), uwsgi.signal(1)))\n")
        running = server(None, "--master", "--threads", "2", "--wsgi-file", str(app), env={"END": str(end)})
        ask(running, "uwsgi.signal(60)")
        wait_handled(running, "slow", 1)
        assert ask(running, "1") == 1
        assert handled(running, "any") == []
        end.touch()
        wait_handled(running, "any", 1)

    def test_a_worker_that_is_killed(self, server: StartServer, app: Path) -> None:
        """What is for its number waits for its successor."""
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app))
        second = ask_all(running, "os.getpid()", 2)[1]
        os.kill(second, signal.SIGSTOP)
        wait_until(lambda: psutil.Process(second).status() == psutil.STATUS_STOPPED, 20, "the stop")
        expression = "[uwsgi.signal(number) for number in (1, 1, 1, 1, 1, 3, 3, 3)] and uwsgi.worker_id()"
        assert requests.get(running.url, params=expression, timeout=60).text == "1"
        os.kill(second, signal.SIGKILL)
        running.wait_log("Respawned uWSGI worker 2")
        assert wait_handled(running, "second", 3) == [2, 2, 2]
        # It was stopped, so the other one had those for anybody.
        assert wait_handled(running, "any", 5) == [1] * 5

    @pytest.mark.parametrize("lazy", [[], ["--lazy-apps"]], ids=["", "lazy"])
    def test_reloads(self, server: StartServer, app: Path, lazy: list[str]) -> None:
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app), *lazy)
        for turn in range(1, 3):
            before = workers(running)
            ask(running, "[uwsgi.signal(number) for number in (1, 2, 3)]")
            running.signal(signal.SIGHUP)
            other_workers(running, before, 2)
            running.wait_log("gracefully (RE)spawned uWSGI master process")
            ask(running, "[uwsgi.signal(number) for number in (1, 2, 3)]")
            assert sorted(wait_handled(running, "all", 4 * turn)) == sorted([1, 2] * 2 * turn)
            assert wait_handled(running, "second", 2 * turn) == [2] * 2 * turn
            wait_handled(running, "any", 2 * turn)

    def test_a_reload_that_fails(self, server: StartServer, app: Path) -> None:
        """The old workers go on, and so do the timers that their application has added."""
        good = app.read_text() + "uwsgi.add_timer(1, 1)\n"
        app.write_text(good)
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app), expect_log=["RuntimeError: no"])
        app.write_text(PROBE + "raise RuntimeError('no')\n")
        running.signal(signal.SIGHUP)
        running.wait_log("the reload has failed: 2 workers of before it go on")
        count = len(handled(running, "any"))
        wait_until(lambda: len(handled(running, "any")) >= count + 2, 20, "the timer")
        ask(running, "uwsgi.signal(2)")
        assert sorted(wait_handled(running, "all", 2)) == [1, 2]

    def test_a_handler_that_runs_when_its_worker_goes(self, server: StartServer, app: Path) -> None:
        app.write_text(app.read_text() + "uwsgi.register_signal(60, '', lambda n: (time.sleep(0.5), print('not cut off', flush=True)))\n")
        running = server(None, "--master", "--wsgi-file", str(app))
        ask(running, "[uwsgi.signal(1), uwsgi.signal(60)]")
        wait_handled(running, "any", 1)
        before = workers(running)
        running.signal(signal.SIGHUP)
        other_workers(running, before, 1)
        running.wait_log("not cut off")


class TestRouting:
    def test_the_action(self, server: StartServer, app: Path) -> None:
        rules = ["--route", "^/all signal:2", "--route", "^/(second)/([0-9]+)$ signal:$2", "--route", "^/query signal:${HTTP_X_SIGNAL}"]
        running = server(None, "--master", "-p", "2", "--wsgi-file", str(app), *rules)
        for path, number in (("all", ""), ("second/3", ""), ("nothing", ""), *(("query", text) for text in ("1", "x", "256", "-1"))):
            assert requests.get(f"{running.url}/{path}?1", headers={"X-Signal": number}, timeout=10).text == "1"
        assert sorted(wait_handled(running, "all", 2)) == [1, 2]
        assert wait_handled(running, "second", 1) == [2]
        wait_handled(running, "any", 1)
        for text in ("x", "256", "-1"):
            running.wait_log(f"[uwsgi-route] signal:'{text}': signals go from 0 to 255")

    def test_it_wants_a_master(self, run_geuwsgi: Callable[..., object], app: Path) -> None:
        done = run_geuwsgi("--http-socket", "127.0.0.1:0", "--wsgi-file", str(app), "--route", "^/all signal:2")
        assert done.returncode == 1
        assert "the action signal needs a master to deliver it: add --master" in done.stderr
