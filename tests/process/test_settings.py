"""From options to the settings of the layers below."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from geuwsgi.config.config import load
from geuwsgi.errors import ConfigError
from geuwsgi.process import settings
from geuwsgi.process.addresses import Address
from geuwsgi.server.settings import HTTPSettings, StaticSettings, WebSocketSettings


def config(*arguments: str) -> Any:
    return load(arguments, {})


def test_nothing_given() -> None:
    process = settings.process_settings(config())
    assert process.addresses == ()
    assert process.unix_mode is None
    assert process.app.callable == "application"
    server = settings.server_settings(config())
    assert server.cores == 20000
    assert server.log_requests
    assert server.http == HTTPSettings(http2=server.http.http2)  # whether h2 is installed
    assert server.websocket == WebSocketSettings()
    assert server.static == StaticSettings()


def test_addresses_keep_their_options() -> None:
    process = settings.process_settings(config("--http-socket", ":1", "--http", ":2", "--http", ":3"))
    assert process.addresses == (
        Address("http", ":2", "command line"),
        Address("http", ":3", "command line"),
        Address("http-socket", ":1", "command line"),
    )


@pytest.mark.parametrize(
    ("arguments", "cores", "loop"),
    [
        ([], 20000, b"gevent"),
        (["--gevent", "5"], 5, b"gevent"),
        (["--async", "6"], 6, None),
        (["--gevent", "5", "--async", "6"], 5, b"gevent"),
    ],
)
def test_cores(arguments: list[str], cores: int, loop: object) -> None:
    asked = config(*arguments)
    assert settings.server_settings(asked).cores == settings.module_settings(asked, []).cores == cores
    assert settings.module_settings(asked, []).loop == loop
    assert settings.server_settings(asked).http.async_mode == ("--async" in arguments)


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [
        ([], 60),
        (["--http-timeout", "5"], 5),
        (["--socket-timeout", "4"], 4),
        (["--http-timeout", "5", "--socket-timeout", "4"], 5),
        (["--socket-timeout", "90"], 90),
    ],
)
def test_stall_timeout(arguments: list[str], seconds: float) -> None:
    assert settings.server_settings(config(*arguments)).http.socket_timeout == seconds


def test_websockets() -> None:
    asked = config("--websockets-max-size", "2", "--websockets-ping-freq", "0.5", "--websockets-pong-tolerance", "1.5")
    assert settings.server_settings(asked).websocket == WebSocketSettings(max_size=2048, ping_freq=0.5, pong_tolerance=1.5)


def test_files_and_mounts() -> None:
    asked = config("--static-map", "/a=b=c", "--check-static", "d", "--static-index", "i", "--mount", "/x=app.py", "--mount", "/=m:a")
    assert settings.server_settings(asked).static == StaticSettings(check=("d",), maps=(("/a", "b=c"),), index=("i",))
    assert settings.app_settings(asked).mounts == (("/x", "app.py"), ("/", "m:a"))


@pytest.mark.parametrize(("option", "value"), [("static-map", "/x"), ("static-map", "x=y"), ("mount", "/x="), ("mount", "x=y")])
def test_malformed_pairs(option: str, value: str) -> None:
    asked = config(f"--{option}", "/good=one", f"--{option}", value)
    read = settings.process_settings if option == "mount" else settings.server_settings
    with pytest.raises(ConfigError, match=rf"^command line: --{option} = {value}: write it as /"):
        read(asked)


@pytest.mark.parametrize(("argument", "mode"), [("--chmod-socket=660", 0o660), ("--chmod-socket", 0o666)])
def test_permissions_of_unix_sockets(argument: str, mode: int) -> None:
    assert settings.process_settings(config(argument)).unix_mode == mode


@pytest.mark.parametrize(("arguments", "master"), [([], False), (["--master"], True), (["--attach-daemon", "true"], True)])
def test_master(arguments: list[str], master: bool) -> None:
    asked = config(*arguments)
    assert settings.process_settings(asked).master is settings.module_settings(asked, []).master is master


@pytest.mark.parametrize(("threads", "patched"), [((), True), (("--threads", "2"), False)])
def test_monkey_patching_switched_off(tmp_path: Path, threads: tuple[str, ...], patched: bool) -> None:
    """It cannot be but with real threads, and only where it cannot be something is said."""
    ini = tmp_path / "x.ini"
    ini.write_text("[uwsgi]\ngevent-monkey-patch = false\n")
    asked = config("--ini", str(ini), *threads)
    assert settings.process_settings(asked).monkey_patch is patched
    said = f"gevent-monkey-patch ({ini}:2) has no effect: without threads the standard library is always patched"
    assert asked.warnings == ([said] if patched else [])


def test_deflate() -> None:
    websocket = settings.server_settings(config("--websockets-deflate")).websocket
    assert (websocket.deflate, websocket.deflate_takeover, websocket.deflate_threshold) == (True, False, 128)
    more = config("--websockets-deflate", "--websockets-deflate-takeover", "--websockets-deflate-threshold", "0")
    websocket = settings.server_settings(more).websocket
    assert (websocket.deflate, websocket.deflate_takeover, websocket.deflate_threshold) == (True, True, 0)


@pytest.mark.parametrize("arguments", [["--websockets-deflate-takeover"], ["--websockets-deflate-threshold", "1000"]])
def test_deflate_is_not_refined_while_it_is_off(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match=rf"^command line: {arguments[0]}: does nothing without websockets-deflate"):
        settings.server_settings(config(*arguments))
