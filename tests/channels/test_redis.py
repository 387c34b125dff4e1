"""Channels beyond one host: two servers, foreign publishers, and a Redis that goes away."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest
import redis

from geuwsgi.channels import publish
from tests.channels.remote import Member
from tests.harness.programs import find_program
from tests.harness.redis import RedisServer
from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

Connect = Callable[..., Member]
StartServer = Callable[..., Geuwsgi]


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that the test may stop."""
    program = RedisServer(tmp_path)
    yield program
    program.kill()


def test_two_servers_with_two_workers_each(server: StartServer, members: Connect, redis_server: RedisServer) -> None:
    options = ("--master", "--processes", "2", "--channel-backend", redis_server.url + "?prefix=two:")
    one, other = server("channels.py", *options), server("channels.py", *options)
    room = [*members(one, 4, "room"), *members(other, 4, "room")]
    for index, member in enumerate(room):
        member.call("send", "room", str(index))
    for member in room:
        assert sorted(member.hear(8)) == list("01234567")
    assert room[0].call("count", "room") == 8
    for member in room:
        member.nothing()


def test_foreign_publishers(server: StartServer, members: Connect, redis_server: RedisServer) -> None:
    running = server("channels.py", "--channel-backend", redis_server.url + "?prefix=p:")
    room = members(running, 2, "room")
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.publish("p:room", "from another program") == 1
        assert client.publish("p:room", b"\xff\x01") == 1
        assert client.publish("q:room", "another prefix") == 0
    assert publish(redis_server.url + "?prefix=p:", "room", "by the function") == 1
    for member in room:
        assert member.hear(3) == ["from another program", b"\xff\x01", "by the function"]
    for member in room:
        member.call("leave", "room")
    with redis.Redis.from_url(redis_server.url) as client:
        wait_until(lambda: client.publish("p:room", "nobody") == 0, 5, "the end of the subscription")


def test_redis_goes_and_comes_back(server: StartServer, members: Connect, own_redis: RedisServer, tmp_path: Path) -> None:
    one = server("channels.py", "--channel-backend", own_redis.url, expect_log=["messages stay on this host until it is back"])
    other = server("channels.py", "--channel-backend", own_redis.url, expect_log=["messages stay on this host until it is back"])
    here, neighbour = members(one, 2, "room")
    there = members(other, 1, "room")
    here.call("send", "room", "before")
    for member in (here, neighbour, there):
        assert member.hear() == ["before"]
    own_redis.kill()
    for running in (one, other):
        running.wait_log("messages stay on this host until it is back")
    here.call("send", "room", "while it is away")
    for member in (here, neighbour):
        assert member.hear() == ["while it is away"]
    assert here.call("channels")["room"]["lost"] == 1
    late = members(one, 1, "second")
    late.call("send", "second", "local")
    assert late.hear() == ["local"]
    command = [find_program("redis-server"), "--port", str(own_redis.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as again:
        try:
            for running in (one, other):
                running.wait_log("Redis is back", 15)
            assert "2 messages did not reach other hosts meanwhile" in one.log
            there.call("join", "second")
            there.call("send", "room", "after")
            there.call("send", "second", "of both")
            for member in (here, neighbour, there):
                assert member.hear() == ["after"]
            assert late.hear() == ["of both"]
            assert there.hear() == ["of both"]
            for running in (one, other):
                assert running.log.count("messages stay on this host until it is back") == 1
        finally:
            again.kill()
    for running in (one, other):
        wait_until(lambda running=running: running.log.count("until it is back") == 2, 10, "the second loss")  # type: ignore[misc]


def test_asking_for_redis_where_there_is_none(server: StartServer, members: Connect) -> None:
    """A server starts without its Redis, and says so."""
    running = server("channels.py", "--channel-backend", "redis://127.0.0.1:1/0", expect_log=["Redis is not there"])
    room = members(running, 2, "room")
    room[0].call("send", "room", "here")
    for member in room:
        assert member.hear() == ["here"]
    running.wait_log("Redis is not there")
