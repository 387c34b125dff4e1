"""The module itself: its values, its hooks, and the names that it does not have."""

from __future__ import annotations

import importlib
import os
import sys
import time
from typing import Any, Callable

import gevent
import pytest

from geuwsgi.api import module

from .conftest import Requests

Install = Callable[..., Any]


def test_it_is_what_import_finds(install: Install) -> None:
    uwsgi = install()
    assert importlib.import_module("uwsgi") is uwsgi
    assert uwsgi.__name__ == "uwsgi"


def test_a_second_one_is_fresh(install: Install) -> None:
    install().atexit = print
    assert not hasattr(install(), "atexit")


def test_values(install: Install) -> None:
    uwsgi = install(opt={"a": True, "b": b"x"}, hostname=b"here", cores=7, buffer_size=1234, sockets=(3, 4), numproc=2)
    assert uwsgi.opt == {"a": True, "b": b"x"}
    assert (uwsgi.hostname, uwsgi.cores, uwsgi.buffer_size, uwsgi.sockets, uwsgi.numproc) == (b"here", 7, 1234, [3, 4], 2)
    assert (uwsgi.version, uwsgi.version_info, uwsgi.loop) == (b"2.0.31", (2, 0, 31, 0, b""), b"gevent")
    assert (uwsgi.applications, uwsgi.unbit, uwsgi.is_a_reload) == (None, None, False)
    assert 0 <= time.time() - uwsgi.started_on < 5


@pytest.mark.parametrize(
    "name",
    ["cache_get", "queue_push", "sharedarea_read", "spool", "SPOOL_OK", "mule_msg", "rpc", "metric_inc"],
)
def test_what_does_not_exist_is_absent(install: Install, name: str) -> None:
    uwsgi = install()
    assert not hasattr(uwsgi, name)
    with pytest.raises(AttributeError, match=f"module 'uwsgi' has no attribute '{name}'"):
        getattr(uwsgi, name)


def test_worker_and_master(install: Install) -> None:
    uwsgi = install(numproc=3)
    assert (uwsgi.masterpid(), uwsgi.worker_id(), uwsgi.total_requests()) == (0, 0, 0)
    module.set_worker(3)
    assert uwsgi.worker_id() == 3
    assert install(master=True).masterpid() == os.getpid()


def test_workers(requests: Requests) -> None:
    uwsgi = requests.uwsgi
    (idle,) = uwsgi.workers()
    assert (idle["id"], idle["pid"], idle["status"], idle["requests"]) == (1, os.getpid(), b"idle", 0)
    (busy,) = requests.call(lambda environ: uwsgi.workers())
    assert busy["status"] == b"busy"
    (worker,) = uwsgi.workers()
    assert worker["requests"] == worker["delta_requests"] == 1
    assert worker["tx"] > 100
    assert worker["running_time"] >= 0
    assert [app["mountpoint"] for app in worker["apps"]] == [b""]


def test_exceptions_are_counted(requests: Requests, capfd: Any) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        raise RuntimeError("on purpose")

    requests.server.application = application
    assert requests.ask().code == 500
    assert requests.uwsgi.workers()[0]["exceptions"] == 1


def test_requests_are_counted_by_mountpoint(requests: Requests) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        environ["SCRIPT_NAME"] = environ["PATH_INFO"] if environ["PATH_INFO"] == "/x" else ""
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    module.attach(requests.server, [("", application), ("/x", application)])
    requests.server.application = application
    for path in ("/", "/x", "/x"):
        requests.ask(path)
    assert [(app["mountpoint"], app["requests"]) for app in requests.uwsgi.workers()[0]["apps"]] == [(b"", 1), (b"/x", 2)]


def test_hooks(requests: Requests, capfd: Any) -> None:
    uwsgi, seen = requests.uwsgi, []
    for name in ("post_fork_hook", "atexit", "after_req_hook"):
        setattr(uwsgi, name, lambda name=name: seen.append(name))
    module.call_post_fork_hook()
    requests.call(lambda environ: None)
    module.call_atexit()
    assert seen == ["post_fork_hook", "after_req_hook", "atexit"]


def test_a_hook_that_raises_is_logged(requests: Requests, capfd: Any) -> None:
    requests.uwsgi.after_req_hook = lambda: 1 // 0
    assert requests.call(lambda environ: 1) == 1
    assert requests.call(lambda environ: 2) == 2
    log = capfd.readouterr().err
    assert log.count("uwsgi.after_req_hook: the application raised") == 2
    assert "ZeroDivisionError" in log


def test_an_application_may_assign_names(install: Install) -> None:
    uwsgi = install()
    uwsgi.applications = {"": print}
    uwsgi.env = {"mine": 1}
    assert uwsgi.env == {"mine": 1}


def test_micros_and_mem(install: Install) -> None:
    uwsgi = install()
    before = time.time()
    assert before - 1 < uwsgi.micros() / 1e6 < time.time() + 1
    resident, virtual = uwsgi.mem()
    assert 1_000_000 < resident < virtual


def test_setprocname(install: Install) -> None:
    uwsgi = install()
    with open("/proc/self/comm") as comm:
        before = comm.read().strip()
    assert uwsgi.setprocname("a new name") is None
    try:
        with open("/proc/self/comm") as comm:
            assert comm.read().strip() == "a new name"
    finally:
        uwsgi.setprocname(before)
    with pytest.raises(TypeError):
        uwsgi.setprocname(b"bytes")


def test_log(install: Install, capfd: Any) -> None:
    uwsgi = install()
    assert uwsgi.log("a line") is True
    assert uwsgi.log(b"bytes \xff") is True
    assert capfd.readouterr().err == "a line\nbytes \\xff\n"
    for wrong, error in ((1, TypeError), ("a\0b", ValueError)):
        with pytest.raises(error):
            uwsgi.log(wrong)


def test_logvars(requests: Requests) -> None:
    uwsgi = requests.uwsgi

    def use(environ: Any) -> Any:
        uwsgi.set_logvar("a", b"1")
        uwsgi.set_logvar(b"b", "\u20ac")
        return uwsgi.get_logvar(b"a"), uwsgi.get_logvar("b"), uwsgi.get_logvar("c"), uwsgi.request_context().logvars

    assert requests.call(use) == (b"1", b"\xe2\x82\xac", None, {"a": b"1", "b": b"\xe2\x82\xac"})


def test_log_this_request(requests: Requests, capfd: Any) -> None:
    requests.call(lambda environ: None)
    requests.call(lambda environ: requests.uwsgi.log_this_request())
    requests.server.accesslog.flush()
    assert capfd.readouterr().err.count("GET / =>") == 1


def test_decorators_want_a_master(install: Install) -> None:
    install()
    with pytest.raises(Exception, match="you have to enable the uWSGI master process to use this module"):
        importlib.import_module("uwsgidecorators")
    assert "uwsgidecorators" not in sys.modules


def test_decorators(install: Install) -> None:
    uwsgi = install(master=True, numproc=2)
    decorators = importlib.import_module("uwsgidecorators")
    assert uwsgi.post_fork_hook is decorators.postfork_chain_hook
    seen: list[str] = []

    @decorators.postfork
    def everywhere() -> None:
        seen.append("everywhere")

    @decorators.postfork(2)
    def second() -> None:
        seen.append("second")

    @decorators.lock
    def alone(value: int) -> Any:
        return value, uwsgi.is_locked()

    @decorators.thread
    def aside(value: str) -> None:
        seen.append(value)

    for worker in (1, 2):
        module.set_worker(worker)
        module.call_post_fork_hook()
    assert seen == ["everywhere", "everywhere", "second"]
    assert (alone(3), uwsgi.is_locked()) == ((3, True), False)
    seen.clear()
    aside("from a thread")
    end = time.monotonic() + 20
    while not seen and time.monotonic() < end:
        gevent.sleep(0.001)
    assert seen == ["from a thread"]
    for absent in ("spool", "rpc", "mule"):
        assert not hasattr(decorators, absent)


def test_locks(install: Install) -> None:
    uwsgi = install(locks=2)
    order: list[str] = []

    def work(name: str) -> None:
        uwsgi.lock(1)
        order.append(name + " in")
        gevent.sleep(0.001)
        order.append(name + " out")
        uwsgi.unlock(1)

    gevent.joinall([gevent.spawn(work, name) for name in "ab"], raise_error=True, timeout=20)
    assert order == ["a in", "a out", "b in", "b out"]
    assert not any(map(uwsgi.is_locked, (0, 1, 2)))
    for name in ("lock", "unlock", "is_locked"):
        for number in (3, -1):
            with pytest.raises(ValueError, match="Invalid lock number"):
                getattr(uwsgi, name)(number)
        with pytest.raises(TypeError):
            getattr(uwsgi, name)("0")
