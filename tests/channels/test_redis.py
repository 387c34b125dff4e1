"""Channels across hosts: two servers that have only Redis in common, and Redis going away."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import redis

from geuwsgi.channels import publish, workers
from geuwsgi.errors import ChannelError
from tests.channels.remote import Member
from tests.harness.ports import free_ports
from tests.harness.process import Program
from tests.harness.programs import find_program
from tests.harness.redis import RedisServer
from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

Connect = Callable[..., Member]
StartServer = Callable[..., Geuwsgi]

TWO = ("--master", "--processes", "2")


class PrivateRedis(Program):
    """A redis-server that a test may stop, start again, and configure."""

    def __init__(self, folder: Path, *options: str) -> None:
        argv = [find_program("redis-server"), *options, "--save", "", "--appendonly", "no", "--dir", str(folder), "--bind", "127.0.0.1"]
        super().__init__(argv, folder / f"redis-{time.monotonic()}.log", folder)
        wait_until(self._is_ready, 20, "redis-server")

    def _is_ready(self) -> bool:
        self.check_alive()
        return "eady to accept connections" in self.log


@pytest.fixture
def private_redis(tmp_path: Path) -> Iterator[Callable[..., PrivateRedis]]:
    started: list[PrivateRedis] = []

    def start(*options: str) -> PrivateRedis:
        started.append(PrivateRedis(tmp_path, *options))
        return started[-1]

    yield start
    for program in started:
        if program.process.poll() is None:
            program.signal(signal.SIGCONT)
            program.kill()


@pytest.fixture
def start(private_redis: Callable[..., PrivateRedis], server: StartServer) -> StartServer:
    """A server of tests/apps/channels.py; it opens its connections to Redis when it needs them, and keeps them.

    It ends before a private Redis does: a server that is just connecting to one that ends may complain of what gevent's SSLSocket
    does not close when it is reset before its handshake.
    """
    return lambda *options, **more: server("channels.py", *options, lasting=4, **more)


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


def heard_by_all(room: list[Member], expected: list[Any]) -> None:
    for member in room:
        assert sorted(member.hear(len(expected)), key=str) == sorted(expected, key=str)
        member.nothing()


def test_two_servers_with_two_workers_each(start: StartServer, members: Connect, redis_server: RedisServer) -> None:
    backend = ("--channel-backend", redis_server.url + "?prefix=two:")
    one, other = start(*TWO, *backend), start(*TWO, *backend)
    room = [*members(one, 5, "room"), *members(other, 5, "room")]
    room[0].counts("room", 10)
    for member in room:
        member.call("send_many", "room", 0, 20)
    for member in room:
        assert sorted(member.hear(200)) == sorted([f"{number:06}" for number in range(20)] * 10)
        member.nothing()
    wait_until(lambda: workers(redis_server.url + "?prefix=two:") == 4, what="four workers")


def test_foreign_publishers(start: StartServer, members: Connect, redis_server: RedisServer) -> None:
    one = start(*TWO, "--channel-backend", redis_server.url)
    elsewhere = start("--channel-backend", redis_server.url + "?prefix=other:")
    room = members(one, 4, "room")
    stranger = members(elsewhere, 1, "room")
    command = [find_program("redis-cli"), "-p", str(redis_server.port), "PUBLISH", "geuwsgi:room", "hello"]
    assert subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip() in ("1", "2")
    with redis.Redis.from_url(redis_server.url) as client:
        client.publish("geuwsgi:room", b"\xff\xfe")
        client.publish("geuwsgi:room", "")
        client.publish("geuwsgi:room", b"\x00geuwsgi\x01short")  # looks like one of ours
        client.publish("geuwsgi:room", b"x" * (1024 * 1024 + 1))
        client.publish("geuwsgi:\x00control", "nonsense")
    assert publish(redis_server.url, "room", "from a program") in (1, 2)
    assert publish(redis_server.url, "nobody-there", "x") == 0
    for member in room:
        assert member.hear(4) == ["hello", b"\xff\xfe", "", "from a program"]
        member.nothing()
    stranger.nothing()
    assert "published to 'room' by another program, is over --channel-max-size: dropped" in one.log
    run = [sys.executable, "-m", "geuwsgi", "--channel-send", "room", "from a shell", "--channel-backend", redis_server.url]
    root = Path(__file__).parents[2]
    assert subprocess.run(run, timeout=20, check=False, cwd=root).returncode == 0
    heard_by_all(room, ["from a shell"])
    run[5] = "to an empty room"
    run[4] = "empty"
    assert subprocess.run(run, timeout=20, check=False, cwd=root).returncode == 0
    run[-1] += "?prefix=nobody:"
    result = subprocess.run(run, timeout=20, check=False, cwd=root, capture_output=True, text=True)
    assert (result.returncode, "no server is there" in result.stderr) == (1, True)


def test_subscribed_while_somebody_is_there(start: StartServer, members: Connect, redis_server: RedisServer) -> None:
    running = start("--channel-backend", redis_server.url + "?prefix=s:")
    member = members(running, 1, *(f"room-{number}" for number in range(20)))
    with redis.Redis.from_url(redis_server.url) as client:
        channels = {b"s:room-%d" % number for number in range(20)}
        assert set(client.pubsub_channels("s:room*")) == channels
        connections = [entry for entry in client.client_list() if int(entry["sub"])]
        assert len([entry for entry in connections if int(entry["sub"]) >= 22]) == 1, "one connection for all"
        member.call("leave", "room-3")
        wait_until(lambda: client.pubsub_numsub("s:room-3")[0][1] == 0, 20, "unsubscribed")
        # In and out and in again ends with being in.
        for _ in range(5):
            member.call("join", "room-3")
            member.call("leave", "room-3")
        member.call("join", "room-3")
        # Nobody waits for a confirmation that does not come, since Redis hears nothing of that.
        assert min(member.call("rejoin", "room-3") for _ in range(3)) < 0.5
        client.publish("s:room-3", "still heard")
        assert member.hear() == ["still heard"]
        member.close()
        wait_until(lambda: client.pubsub_channels("s:room*") == [], 20, "unsubscribed")


@pytest.mark.parametrize("way", ["killed", "stopped"])
def test_redis_goes_away_and_comes_back(
    way: str, start: StartServer, members: Connect, private_redis: Callable[..., PrivateRedis], port: int
) -> None:
    """Local delivery goes on, the log says so once, and everything is as before by itself; what did not go out is counted."""
    program = private_redis("--port", str(port))
    url = f"redis://127.0.0.1:{port}/0"
    one, other = start("--channel-backend", url), start("--channel-backend", url)
    here, there = members(one, 2, "room"), members(other, 2, "room", "elsewhere")
    everybody = [*here, *there]
    here[0].call("send", "room", "before")
    heard_by_all(everybody, ["before"])
    pause = float(os.environ.get("GEUWSGI_REDIS_PAUSE", "4"))
    if way == "killed":
        program.kill()
    else:
        program.signal(signal.SIGSTOP)
    start = time.monotonic()
    sent = 0
    while time.monotonic() - start < pause:
        before = time.monotonic()
        here[0].call("send", "room", "meanwhile")
        assert time.monotonic() - before < 1.5, "publishing never waits for Redis"
        for member in here:
            assert member.hear() == ["meanwhile"]
        sent += 1
        time.sleep(0.05)  # the pace of a game, not a wait
    for running in (one, other):
        running.wait_log("channels: Redis is gone")  # who only listens takes four seconds, too
    there[0].call("join", "new")
    if way == "killed":
        private_redis("--port", str(port))
    else:
        program.signal(signal.SIGCONT)
    for running in (one, other):
        running.wait_log("channels: Redis is back")
        assert running.log.count("channels: Redis is gone") == 1
    wait_until(lambda: here[0].call("count", "room") == 4, 20, "both are subscribed again")
    lost = here[0].call("channels")["room"]["lost"]
    assert 0 < lost <= sent
    assert f"channels: Redis is back; {lost} messages did not reach other hosts meanwhile" in one.log
    for member in there:
        member.call("worker")
        assert len(member.heard) >= sent - lost
        member.heard.clear()
    here[0].call("send", "room", "after")
    here[0].call("send", "new", "to a room that was joined meanwhile")
    for member in here:
        assert member.hear() == ["after"]
    assert there[0].hear(2) == ["after", "to a room that was joined meanwhile"]
    assert there[1].hear() == ["after"]


def test_redis_comes_after_the_server(start: StartServer, members: Connect, private_redis: Callable[..., PrivateRedis], port: int) -> None:
    url = f"redis://127.0.0.1:{port}/0"
    running = start("--channel-backend", url)
    room = members(running, 2, "room")
    room[0].call("send", "room", "local")
    heard_by_all(room, ["local"])
    running.wait_log("channels: Redis is not there")
    private_redis("--port", str(port))
    running.wait_log("channels: Redis is back")
    wait_until(lambda: publish(url, "room", "remote") == 1, 20, "subscribed")
    heard_by_all(room, ["remote"])


def test_a_burst_goes_out_in_order(start: StartServer, members: Connect, redis_server: RedisServer) -> None:
    one = start("--channel-backend", redis_server.url)
    other = start("--channel-backend", redis_server.url)
    here, there = members(one, 1, "room"), members(other, 1, "room")
    here.call("send_many", "room", 10, 5000)
    expected = [f"{number:06}" + "x" * 10 for number in range(5000)]
    assert here.hear(5000) == expected
    assert there.hear(5000) == expected


def test_history_reaches_a_server_where_nobody_was(start: StartServer, members: Connect, redis_server: RedisServer) -> None:
    options = ("--channel-backend", redis_server.url, "--channel-history", "3")
    one, other = start(*options), start(*options)
    here = members(one, 1, "room")
    for number in range(5):
        here.call("send", "room", str(number))
    with redis.Redis.from_url(redis_server.url) as client:
        wait_until(lambda: client.lrange("geuwsgi:\x00history:room", -1, -1)[0].endswith(b"4"), 20, "what was said last")
    late = members(other, 1, "room")
    assert late.hear(3) == ["2", "3", "4"]
    here.call("send", "room", "live")
    assert late.hear() == ["live"]
    late.nothing()
    # Away for a while: what was said meanwhile is not missing.
    late.call("leave", "room")
    here.call("send", "room", "5")
    here.call("send", "room", "6")
    late.call("join", "room")
    # What is still on its way to Redis comes live behind the history, so that there may be more than three; there is no gap.
    heard = late.hear(3)
    while heard[-1] != "6":
        heard += late.hear()
    assert heard == ["0", "1", "2", "3", "4", "live", "5", "6"][-len(heard) :]
    assert here.hear(8) == ["0", "1", "2", "3", "4", "live", "5", "6"]


def test_password_and_user(start: StartServer, members: Connect, private_redis: Callable[..., PrivateRedis], port: int) -> None:
    private_redis(
        "--port", str(port), "--requirepass", "master key", "--user", "game", "on", ">p@ss", "resetchannels", "&geuwsgi:*", "+@all"
    )
    started: list[Geuwsgi] = []
    for login in (":master%20key", "game:p%40ss"):
        url = f"redis://{login}@127.0.0.1:{port}/0"
        started += [start("--channel-backend", url), start("--channel-backend", url)]
        room = [members(server, 1, "room") for server in started[-2:]]
        room[0].call("send", "room", "hello")
        heard_by_all(room, ["hello"])
        assert publish(url, "room", "from outside") == len(started)
        heard_by_all(room, ["from outside"])
    wrong = f"redis://game:wrong@127.0.0.1:{port}/0"
    with pytest.raises(ChannelError, match=r"Redis: .*(WRONGPASS|invalid username)"):
        publish(wrong, "room", "x")
    refused = start("--channel-backend", wrong)
    room = members(refused, 2, "room")
    room[0].call("send", "room", "at least here")
    heard_by_all(room, ["at least here"])
    refused.wait_log("channels: Redis is not there")


def test_a_user_with_no_more_rights_than_needed(
    start: StartServer, members: Connect, private_redis: Callable[..., PrivateRedis], port: int
) -> None:
    """Those that docs/channels.rst names."""
    rights = ["resetchannels", "&game:*", "~game:*", "-@all"]
    rights += ["+subscribe", "+unsubscribe", "+publish", "+ping", "+rpush", "+ltrim", "+expire", "+lrange", "+pubsub", "+select"]
    private_redis("--port", str(port), "--user", "least", "on", ">x", *rights)
    url = f"redis://least:x@127.0.0.1:{port}/1?prefix=game:"
    one, other = start("--channel-backend", url, "--channel-history", "5"), start("--channel-backend", url, "--channel-history", "5")
    room = [members(server, 1, "room") for server in (one, other)]
    room[0].call("send", "room", "hello")
    heard_by_all(room, ["hello"])
    room[0].counts("room", 2)
    assert publish(url, "room", "from outside") == 2
    heard_by_all(room, ["from outside"])
    for server in (one, other):
        assert "channels:" not in server.log, server.log
    run = [sys.executable, "-m", "geuwsgi", "--channel-send", "room", "from a shell", "--channel-backend", url]
    result = subprocess.run(run, timeout=20, check=False, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    heard_by_all(room, ["from a shell"])
    # To a room where nobody is: the servers are counted.
    run[4] = "empty"
    result = subprocess.run(run, timeout=20, check=False, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_user_who_may_not(start: StartServer, members: Connect, private_redis: Callable[..., PrivateRedis], port: int) -> None:
    private_redis("--port", str(port), "--user", "reader", "on", ">x", "allchannels", "+@all", "-publish")
    running = start("--channel-backend", f"redis://reader:x@127.0.0.1:{port}/0")
    room = members(running, 2, "room")
    for number in range(3):
        room[0].call("send", "room", str(number))
        assert room[1].hear() == [str(number)]
    wait_until(lambda: room[0].call("channels")["room"]["lost"] == 3, 20, "three lost")
    assert running.log.count("channels: Redis refuses to publish") == 1


def test_a_user_who_is_let_in_no_more(start: StartServer, members: Connect, private_redis: Callable[..., PrivateRedis], port: int) -> None:
    private_redis("--port", str(port), "--user", "reader", "on", ">x", "allchannels", "+@all")
    running = start("--channel-backend", f"redis://reader:x@127.0.0.1:{port}/1")
    room = members(running, 2, "room")
    heard = redis.Redis(port=port).pubsub()
    try:
        heard.subscribe("geuwsgi:room")
        assert heard.get_message(timeout=20)["type"] == "subscribe"
        room[0].call("send", "room", "at first")
        assert room[1].hear() == ["at first"]
        assert heard.get_message(timeout=20)["data"].endswith(b"at first")  # it has gone out, and cannot be lost any more
        with redis.Redis(port=port) as client:
            client.execute_command("ACL", "SETUSER", "reader", "-select")
            client.client_kill_filter(_type="normal")
            room[0].call("send", "room", "lost")
            assert room[1].hear() == ["lost"]  # elsewhere
            running.wait_log("channels: Redis is gone")
            client.execute_command("ACL", "SETUSER", "reader", "+select")
        running.wait_log("channels: Redis is back; 1 messages did not reach other hosts meanwhile")
        room[0].call("send", "room", "again")
        assert heard.get_message(timeout=20)["data"].endswith(b"again")
    finally:
        heard.connection_pool.disconnect()


def test_one_that_is_full_keeps_no_history_and_says_so(
    start: StartServer, members: Connect, private_redis: Callable[..., PrivateRedis], port: int
) -> None:
    private_redis("--port", str(port), "--maxmemory", "100kb")
    options = ("--channel-backend", f"redis://127.0.0.1:{port}/0", "--channel-history", "5")
    one, other = start(*options), start(*options)
    room = [members(one, 1, "room"), members(other, 1, "room")]
    for number in range(3):
        room[0].call("send", "room", str(number))
        assert room[1].hear() == [str(number)]
    # The others hear what was said before its publisher hears that it was not kept.
    assert one.wait_log("'maxmemory'").count("channels: Redis refuses to keep the history of channels: ") == 1
    assert room[0].call("channels")["room"]["lost"] == 0
    with redis.Redis(port=port) as client:
        client.config_set("maxmemory", 0)
    room[0].call("send", "room", "kept")
    assert room[1].hear() == ["kept"]
    assert members(start(*options), 1, "room").hear() == ["kept"]


def test_one_that_wants_a_password(start: StartServer, members: Connect, private_redis: Callable[..., PrivateRedis], port: int) -> None:
    private_redis("--port", str(port), "--requirepass", "x")
    url = f"redis://127.0.0.1:{port}/0"
    running = start("--channel-backend", url)
    room = members(running, 2, "room")
    room[0].call("send", "room", "here")
    heard_by_all(room, ["here"])
    wanted = "it wants a password, as in redis://user:password@host:port/0"
    running.wait_log(f"channels: Redis is not there ({wanted})")
    with pytest.raises(ChannelError, match=re.escape(wanted)):
        publish(url, "room", "x")


def test_unix_socket(start: StartServer, members: Connect, private_redis: Callable[..., PrivateRedis], tmp_path: Path) -> None:
    path = tmp_path / "r.sock"
    private_redis("--port", "0", "--unixsocket", str(path))
    url = f"redis+unix://{path}?prefix=u:"
    one, other = start("--channel-backend", url), start("--channel-backend", url)
    room = [members(one, 1, "room"), members(other, 1, "room")]
    room[0].call("send", "room", "hello")
    heard_by_all(room, ["hello"])
    assert publish(url, "room", "outside") == 2
    heard_by_all(room, ["outside"])


def test_tls(start: StartServer, members: Connect, private_redis: Callable[..., PrivateRedis], port: int, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [find_program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    tls = (
        "--tls-port",
        str(port),
        "--port",
        "0",
        "--tls-cert-file",
        str(certificate),
        "--tls-key-file",
        str(key),
        "--tls-auth-clients",
        "no",
    )
    try:
        private_redis(*tls)
    except AssertionError as error:
        if "tls" in str(error).lower():
            pytest.skip("this redis-server was built without TLS")
        raise
    url = f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}"
    one, other = start("--channel-backend", url), start("--channel-backend", url)
    room = [members(one, 1, "room"), members(other, 1, "room")]
    room[0].call("send", "room", "hello")
    heard_by_all(room, ["hello"])
    with pytest.raises(ChannelError, match=r"(?i)certificate"):
        publish(f"rediss://localhost:{port}/0", "room", "nobody vouches for it")


def test_without_the_package(run_geuwsgi: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "redis.py").write_text("raise ImportError('hidden by the test')\n")
    (tmp_path / "app.py").write_text("def application(env, start_response):\n    return []\n")
    env = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"}
    result = run_geuwsgi("--http-socket", "127.0.0.1:0", "--wsgi-file", "app.py", "--channel-backend", "redis://localhost/0", env=env)
    assert result.returncode == 1
    assert result.stderr.count("pip install geuwsgi[redis]") == 1
    assert "command line: --channel-backend = redis://localhost/0: the redis package is needed" in result.stderr


def test_a_server_without_its_redis(start: StartServer, members: Connect) -> None:
    running = start("--channel-backend", "redis://127.0.0.1:1/0")
    heard = members(running, 2, "room")
    heard[0].call("send", "room", "here")
    heard_by_all(heard, ["here"])
    heard[0].counts("room", 2)
    assert running.wait_log("channels: Redis is not there").count("channels: Redis is not there") == 1
