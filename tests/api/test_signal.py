"""`uwsgi.register_signal` and its relatives, without a master, and with a table and queues that the test looks into."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

import gevent
import pytest

from geuwsgi.api import module, signal
from geuwsgi.api.signal import SignalLink
from geuwsgi.api.state import ModuleSettings, state
from geuwsgi.shared.signalpipes import SignalPipes, receive
from geuwsgi.shared.signaltable import ACTIVE, ANY, CRON, FILE, RB_TIMER, TIMER, WORKER, WORKERS, SignalTable

from .conftest import Requests

Install = Callable[..., Any]


@pytest.fixture
def link() -> Iterator[SignalLink]:
    made = SignalLink(SignalTable(), SignalPipes(2))
    yield made
    made.table.close()
    for fd in made.pipes.descriptors():
        with suppress(OSError):
            os.close(fd)


@pytest.fixture
def uwsgi(install: Install, link: SignalLink) -> Any:
    install()
    return module.install(ModuleSettings(master=True, numproc=2), signals=link)


def handler(number: int) -> None:
    pass


class TestRegistering:
    @pytest.mark.parametrize(
        ("target", "code"),
        [
            *(("", ANY), ("worker", ANY), ("worker0", ANY), ("workers", WORKERS), ("active-workers", ACTIVE)),
            *(("worker1", WORKER + 1), ("worker2", WORKER + 2), ("worker17", WORKER + 17)),
        ],
    )
    def test_targets(self, uwsgi: Any, link: SignalLink, capfd: pytest.CaptureFixture[str], target: str, code: int) -> None:
        assert uwsgi.signal_registered(7) is None
        assert uwsgi.register_signal(7, target, handler) is None
        assert uwsgi.signal_registered(7) is True
        assert link.table.target(7) == (code, 0)
        described = target or "default, any worker"
        assert f"[uwsgi-signal] signum 7 registered (wid: 0 modifier1: 0 target: {described})\n" in capfd.readouterr().err

    @pytest.mark.parametrize("target", ["mule", "mules", "mule1", "farm_x", "spooler", "subscribed", "workerx", "worker-1", "Workers"])
    def test_targets_that_do_not_exist(self, uwsgi: Any, target: str) -> None:
        with pytest.raises(ValueError, match=f"there is no target '{target}' here"):
            uwsgi.register_signal(7, target, handler)
        assert uwsgi.signal_registered(7) is None

    def test_twice(self, uwsgi: Any, link: SignalLink, capfd: pytest.CaptureFixture[str]) -> None:
        uwsgi.register_signal(7, "", handler)
        with pytest.raises(ValueError, match=r"^unable to register signal$"):
            uwsgi.register_signal(7, "", handler)
        assert "[uwsgi-signal] you cannot re-register a signal as the master !!!" in capfd.readouterr().err
        module.set_worker(2)
        uwsgi.register_signal(7, "workers", handler)
        assert link.table.target(7) == (WORKERS, 0)

    def test_by_a_request_it_is_for_this_worker(self, requests: Requests, link: SignalLink) -> None:
        state.signals = link
        requests.call(lambda environ: requests.uwsgi.register_signal(7, "", handler))
        assert link.table.target(7) == (ANY, 1)

    @pytest.mark.parametrize("number", [-1, 256, 1 << 80])
    def test_numbers(self, uwsgi: Any, number: int) -> None:
        calls = [
            lambda: uwsgi.register_signal(number, "", handler),
            lambda: uwsgi.signal(number),
            lambda: uwsgi.signal_registered(number),
            lambda: uwsgi.signal_wait(number),
            lambda: uwsgi.add_timer(number, 1),
            lambda: uwsgi.add_rb_timer(number, 1),
            lambda: uwsgi.add_cron(number, 1, 1, 1, 1, 1),
            lambda: uwsgi.add_file_monitor(number, "/"),
        ]
        for call in calls:
            with pytest.raises(ValueError, match=f"signals go from 0 to 255: there is no {number}"):
                call()

    def test_types(self, uwsgi: Any) -> None:
        for call in (
            lambda: uwsgi.register_signal("1", "", handler),
            lambda: uwsgi.register_signal(1.5, "", handler),
            lambda: uwsgi.register_signal(1, b"", handler),
            lambda: uwsgi.signal(1, 2),
            lambda: uwsgi.add_timer(1, 1.5),
            lambda: uwsgi.add_file_monitor(1, b"/"),
        ):
            with pytest.raises(TypeError):
                call()


class TestWhatRaises:
    def test_timers_crons_paths(self, uwsgi: Any, link: SignalLink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        woken: list[int] = []
        link.wake = lambda: woken.append(1)
        assert uwsgi.add_timer(1, 10) is None
        assert uwsgi.add_rb_timer(2, 20) is None
        assert uwsgi.add_rb_timer(3, 30, 4) is None
        assert uwsgi.add_cron(4, -5, 3, -1, -1, 7) is True
        assert uwsgi.add_file_monitor(5, "relative") is None
        found = [(event.kind, event.signal, event.values, event.path) for event in link.table.events()]
        assert found == [
            (TIMER, 1, (10, 0, 0, 0, 0), ""),
            (RB_TIMER, 2, (20, 0, 0, 0, 0), ""),
            (RB_TIMER, 3, (30, 4, 0, 0, 0), ""),
            (CRON, 4, (-5, 3, -1, -1, 7), ""),
            (FILE, 5, (0, 0, 0, 0, 0), str(tmp_path / "relative")),
        ]
        assert len(woken) == 5

    def test_bounds(self, uwsgi: Any, capfd: pytest.CaptureFixture[str]) -> None:
        for number in range(64):
            uwsgi.add_cron(number, 1, 1, 1, 1, 1)
        with pytest.raises(ValueError, match=r"^unable to add cron$"):
            uwsgi.add_cron(64, 1, 1, 1, 1, 1)
        assert "you can register max 64 cron !!!" in capfd.readouterr().err
        for seconds in (0, -1):
            with pytest.raises(ValueError, match="unable to add timer: it takes at least one second"):
                uwsgi.add_timer(1, seconds)
            with pytest.raises(ValueError, match="unable to add rb_timer: it takes at least one second"):
                uwsgi.add_rb_timer(1, seconds)
        with pytest.raises(ValueError, match="unable to add file monitor"):
            uwsgi.add_file_monitor(1, "/" + "x" * 255)
        with pytest.raises(ValueError, match="embedded null"):
            uwsgi.add_file_monitor(1, "/a\0b")
        with pytest.raises(OverflowError):
            uwsgi.add_timer(1, 1 << 80)

    def test_raising(self, uwsgi: Any, link: SignalLink) -> None:
        assert uwsgi.signal(0) is None
        assert uwsgi.signal(255) is None
        assert receive(link.pipes.ours, 10) == b"\x00\xff"
        with pytest.raises(OSError, match=r"unable to deliver signal 1 to node 127\.0\.0\.1:1"):
            uwsgi.signal(1, "127.0.0.1:1")
        with pytest.raises(OSError, match="unable to deliver signal 1 to node nonsense:x"):
            uwsgi.signal(1, "nonsense:x")


def test_without_a_master(install: Install, capfd: pytest.CaptureFixture[str]) -> None:
    uwsgi = install()
    for call, complaint in (
        (lambda: uwsgi.register_signal(1, "", handler), "unable to register signal"),
        (lambda: uwsgi.add_timer(1, 1), "unable to add timer"),
        (lambda: uwsgi.add_rb_timer(1, 1), "unable to add rb_timer"),
        (lambda: uwsgi.add_cron(1, 1, 1, 1, 1, 1), "unable to add cron"),
        (lambda: uwsgi.add_file_monitor(1, "/"), "unable to add file monitor"),
    ):
        with pytest.raises(ValueError, match=f"^{complaint}$"):
            call()
    assert uwsgi.signal(1) is None
    assert (uwsgi.signal_registered(1), uwsgi.signal_received()) == (None, 0)
    err = capfd.readouterr().err
    assert "you cannot register signals without a master" in err
    assert "signal 1 is lost: it takes --master to deliver it" in err


class TestHandling:
    def test_in_a_greenlet_of_its_own(self, requests: Requests, link: SignalLink, capfd: pytest.CaptureFixture[str]) -> None:
        state.signals = link
        seen: list[Any] = []

        def slow(number: int) -> None:
            seen.append((number, gevent.getcurrent()))
            gevent.sleep(0.01)
            seen.append("slept")
            raise ValueError("in the handler")

        requests.uwsgi.register_signal(7, "", slow)
        for _ in range(2):
            signal.handle(7)
        assert seen == []
        signal.wait_for_handlers(5)
        assert [number for number, _ in seen[:2]] == [7, 7]
        assert seen[0][1] is not seen[1][1]
        assert seen[2:] == ["slept", "slept"]
        err = capfd.readouterr().err
        assert err.count("ValueError: in the handler") == 2
        assert err.count("error managing signal 7 on worker 1\n") == 2
        assert requests.uwsgi.workers()[0]["signals"] == 2
        assert state.handling == set()

    @pytest.mark.parametrize("error", ["raise SystemExit(3)", "None()"])
    def test_a_handler_cannot_end_the_worker(
        self, requests: Requests, link: SignalLink, capfd: pytest.CaptureFixture[str], error: str
    ) -> None:
        state.signals = link
        requests.uwsgi.register_signal(7, "", lambda number: exec(error))
        signal.handle(7)
        signal.wait_for_handlers(5)
        assert "error managing signal 7 on worker 1\n" in capfd.readouterr().err

    def test_nobody_there(self, requests: Requests, capfd: pytest.CaptureFixture[str]) -> None:
        signal.handle(9)
        assert "error managing signal 9 on worker 1\n" in capfd.readouterr().err
        assert requests.uwsgi.workers()[0]["signals"] == 0


class TestWaiting:
    def test_any_and_one(self, requests: Requests) -> None:
        uwsgi = requests.uwsgi
        one = requests.begin(lambda environ: (uwsgi.signal_received(), uwsgi.signal_wait(5), uwsgi.signal_received()))
        any_ = requests.begin(lambda environ: (uwsgi.signal_wait(), uwsgi.signal_received()))
        while len(state.waiters) < 2:
            gevent.sleep(0.001)
        signal.handle(4)
        while not any_:
            gevent.sleep(0.001)
        assert (any_, one) == ([(b"", 4)], [])
        signal.handle(5)
        while not one:
            gevent.sleep(0.001)
        assert one == [(0, b"", 5)]
        assert state.waiters == []

    def test_a_handler_is_called_all_the_same(self, requests: Requests, link: SignalLink) -> None:
        state.signals = link
        seen: list[int] = []
        requests.uwsgi.register_signal(5, "", seen.append)
        waiting = gevent.spawn(requests.uwsgi.signal_wait, 5)
        gevent.sleep(0)
        signal.handle(5)
        assert waiting.get(timeout=5) == b""
        signal.wait_for_handlers(5)
        assert (seen, requests.uwsgi.signal_received()) == ([5], 5)

    def test_one_that_is_killed(self, requests: Requests) -> None:
        waiting = gevent.spawn(requests.uwsgi.signal_wait)
        gevent.sleep(0)
        assert len(state.waiters) == 1
        waiting.kill()
        assert state.waiters == []


class TestDecorators:
    def test_all(self, uwsgi: Any, link: SignalLink) -> None:
        decorators = importlib.import_module("uwsgidecorators")
        uwsgi.register_signal(0, "", handler)
        for make in (
            lambda: decorators.timer(3),
            lambda: decorators.rbtimer(4, target="workers"),
            lambda: decorators.rbtimer(5, iterations=6),
            lambda: decorators.cron(-5, 1, 2, 3, 4, target="worker2"),
            lambda: decorators.filemon("/tmp"),
        ):
            assert make()(handler) is handler
        assert decorators.signal(17, target="active-workers")(handler) is handler
        assert decorators.timer(9, signum=30)(handler) is handler
        assert [link.table.target(number)[0] for number in (*range(1, 6), 17, 30)] == [
            *(ANY, WORKERS, ANY, WORKER + 2, ANY, ACTIVE, ANY),
        ]
        assert [(event.kind, event.signal, event.values, event.path) for event in link.table.events()] == [
            (TIMER, 1, (3, 0, 0, 0, 0), ""),
            (TIMER, 30, (9, 0, 0, 0, 0), ""),
            (RB_TIMER, 2, (4, 0, 0, 0, 0), ""),
            (RB_TIMER, 3, (5, 6, 0, 0, 0), ""),
            (CRON, 4, (-5, 1, 2, 3, 4), ""),
            (FILE, 5, (0, 0, 0, 0, 0), "/tmp"),
        ]
        assert decorators.get_free_signal() == 6

    def test_none_is_free(self, uwsgi: Any) -> None:
        decorators = importlib.import_module("uwsgidecorators")
        for number in range(256):
            uwsgi.register_signal(number, "", handler)
        with pytest.raises(Exception, match="No free uwsgi signal available"):
            decorators.timer(1)
