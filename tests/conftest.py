"""Fixtures: real servers on ports of the kernel's choice, real clients, and checks that nothing is left."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import hypothesis
import pytest

from tests.harness.browser import start_chromium
from tests.harness.leaks import LeakCheck
from tests.harness.programs import ROOT
from tests.harness.redis import RedisServer
from tests.harness.servers import UWSGI, Geuwsgi, server_environment

pytest_plugins = ["tests.harness.grades"]

StartServer = Callable[..., Geuwsgi]

# How long an example takes says how busy the machine is. What stops a change from landing is found again by the next run.
hypothesis.settings.register_profile(
    "geuwsgi",
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("geuwsgi")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With CI=true a test that was skipped because something is not installed fails the run.

    `missing()` sees to system programs; this is for `pytest.importorskip` and its like.
    """
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or reporter is None:
        return
    skips = [report.longrepr for report in reporter.stats.get("skipped", ())]
    absent = [f"{file}:{line}: {reason}" for file, line, reason in skips if re.search("could not import|not installed|not built", reason)]
    if absent:
        reporter.write_line("with CI=true nothing may be missing:\n" + "\n".join(absent), red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _finish_all(servers: list[Any]) -> None:
    """Finish every server, the last first, also when one of them complains."""
    complaints = []
    for server in reversed(servers):
        try:
            server.finish()
        except AssertionError as error:
            complaints.append(f"{' '.join(server.argv[1:])}\n{error}")
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Start a geuwsgi: `server("blocking_echo.py", "--gevent", "10", expect_log=[...])`; see `Geuwsgi`."""
    running: list[Geuwsgi] = []

    def start(app: Any = None, *arguments: str, **options: Any) -> Geuwsgi:
        running.append(Geuwsgi(tmp_path_factory.mktemp("server"), app, *arguments, **options))
        return running[-1]

    yield start
    _finish_all(running)


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """As `server`, but the same arguments give the same process for the whole session. For tests that disturb nobody."""
    running: dict[tuple[Any, ...], Geuwsgi] = {}

    def start(app: Any = None, *arguments: str, **options: Any) -> Geuwsgi:
        key = (app, arguments, repr(sorted(options.items())))
        if key not in running:
            running[key] = Geuwsgi(tmp_path_factory.mktemp("shared"), app, *arguments, **options)
        running[key].check_alive()
        return running[key]

    yield start
    _finish_all(list(running.values()))


@pytest.fixture(scope="session")
def uwsgi_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., UWSGI]]:
    """Start the real uWSGI; the same arguments give the same process, unless `fresh=True`."""
    running: dict[tuple[Any, ...], UWSGI] = {}

    def start(app: Any = None, *arguments: str, fresh: bool = False, **options: Any) -> UWSGI:
        key = (app, arguments, repr(sorted(options.items())), len(running) if fresh else -1)
        if key not in running or running[key].process.poll() is not None:
            running[key] = UWSGI(tmp_path_factory.mktemp("uwsgi"), app, *arguments, **options)
        return running[key]

    yield start
    _finish_all(list(running.values()))


@pytest.fixture
def run_geuwsgi(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run geuwsgi to its end, for starts that fail and options that print: `.returncode`, `.stdout`, `.stderr`."""

    def run(*arguments: str, deadline: float = 60.0, **options: Any) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **server_environment(options.pop("env", None))}
        options.setdefault("cwd", tmp_path)
        argv = [sys.executable, "-m", "geuwsgi", *arguments]
        return subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=deadline, check=False, **options
        )

    return run


@pytest.fixture(scope="session")
def _redis(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> RedisServer:
    program = RedisServer(tmp_path_factory.mktemp("redis"))
    # Not at the end of this fixture: the servers may be finished after it, and their applications say goodbye through Redis.
    pytestconfig.add_cleanup(program.kill)
    return program


@pytest.fixture
def redis_server(_redis: RedisServer) -> RedisServer:
    """A real redis-server, one for the session; each test finds it empty."""
    import redis

    with redis.Redis.from_url(_redis.url) as client:
        client.flushall()
    return _redis


@pytest.fixture
def ws(server: StartServer) -> Iterator[Callable[..., Any]]:
    """Open a websocket with `websocket-client`: `ws(url, **options)`. Closed before the servers are stopped."""
    import websocket

    opened: list[Any] = []

    def connect(url: str, timeout: float = 20.0, **options: Any) -> Any:
        opened.append(websocket.create_connection(url, timeout=timeout, **options))
        return opened[-1]

    yield connect
    for client in opened:
        client.shutdown()


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fail a test that leaves greenlets or sockets in this process."""
    check = LeakCheck()
    yield
    check.check()


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Where screenshots and the like are kept after the run."""
    folder = ROOT / "artifacts"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A selenium driver of a headless Chromium with a fresh profile."""
    driver = start_chromium(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()
