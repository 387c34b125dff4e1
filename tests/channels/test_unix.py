"""The mesh of the workers of one host."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable

import psutil
import pytest

from geuwsgi.channels import publish, workers
from geuwsgi.errors import ChannelError
from tests.channels.remote import Member
from tests.harness.servers import Geuwsgi
from tests.harness.wait import wait_until

Connect = Callable[..., Member]
StartServer = Callable[..., Geuwsgi]

#: Enough to meet every race by now and then; the issue's hundred are run by hand.
ROUNDS = int(os.environ.get("GEUWSGI_KILL_ROUNDS", "12"))


def spread(members: Connect, server: Geuwsgi, workers: int) -> dict[int, Member]:
    """One member of the room in each worker, by pid."""
    found: dict[int, Member] = {}
    while len(found) < workers:
        member = members(server, 1, "room")
        pid = member.call("pid")
        if pid in found:
            member.close()
        else:
            found[pid] = member
    return found


def test_killed_workers(server: StartServer, members: Connect) -> None:
    """The others see no gap, the replacement joins by itself, and no descriptor stays behind."""
    running = server("channels.py", "--master", "--processes", "3")
    by_pid = spread(members, running, 3)
    first = next(iter(by_pid))
    open_before = len(os.listdir(f"/proc/{first}/fd"))
    for number in range(ROUNDS):
        # The oldest; one that is too young would be replaced later and later, as one that dies at every start.
        victim = next(pid for pid in by_pid if pid != first)
        born = psutil.Process(victim).create_time()
        wait_until(lambda born=born: time.time() - born > 1.2, 20, "a worker that is old enough")
        by_pid.pop(victim).close()
        by_pid[first].call("send", "room", f"before {number}")
        os.kill(victim, signal.SIGKILL)
        by_pid[first].call("send", "room", f"after {number}")
        for member in by_pid.values():
            assert member.hear(2) == [f"before {number}", f"after {number}"]
        # Connections may still be handed to a worker that is just starting; the count shows that it is in the mesh.
        while len(by_pid) < 3:
            member = members(running, 1, "room")
            pid = member.call("pid")
            if pid in by_pid:
                member.close()
            else:
                by_pid[pid] = member
                newcomer = pid
        by_pid[newcomer].call("send", "room", f"new {number}")
        for member in by_pid.values():
            assert member.hear() == [f"new {number}"]
    for member in by_pid.values():
        wait_until(lambda member=member: member.call("count", "room") == 3, 20, "three members")
    wait_until(lambda: len(os.listdir(f"/proc/{first}/fd")) <= open_before, 20, "descriptors of the dead")


def test_a_stopped_worker_delays_nobody(server: StartServer, members: Connect) -> None:
    # What waited in the mesh comes all at once afterwards, faster than a client reads.
    running = server("channels.py", "--master", "--processes", "2", "--channel-queue-bytes", "100000000")
    by_pid = spread(members, running, 2)
    (stopped, there), (_, here) = by_pid.items()
    os.kill(stopped, signal.SIGSTOP)
    try:
        start = time.monotonic()
        for _ in range(10):
            here.call("send_many", "room", 100_000, 10)
            assert [str(message)[:6] for message in here.hear(10)] == [f"{n:06}" for n in range(10)]
        assert time.monotonic() - start < 30
        assert here.call("count", "room") == 1
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert [str(message)[:6] for message in there.hear(100)] == [f"{n:06}" for n in range(10)] * 10


def test_from_outside(server: StartServer, members: Connect, tmp_path: Path) -> None:
    meeting = tmp_path / "meet"
    running = server("channels.py", "--master", "--processes", "2", "--channel-backend", f"unix:{meeting}")
    wait_until(lambda: workers(f"unix:{meeting}") == 2, what="the second worker: one is enough for the ready file")
    room = members(running, 4, "room")
    assert publish(f"unix:{meeting}", "room", "from a program") == 2
    assert publish(f"unix:{meeting}", "room", b"\xff\x00") == 2
    for member in room:
        assert member.hear(2) == ["from a program", b"\xff\x00"]


def test_two_servers_in_one_directory(server: StartServer, members: Connect, tmp_path: Path) -> None:
    meeting = f"unix:{tmp_path / 'meet'}"
    one = server("channels.py", "--master", "--processes", "2", "--channel-backend", meeting)
    other = server("channels.py", "--channel-backend", meeting)
    room = [*members(one, 3, "room"), *members(other, 2, "room")]
    room[0].call("send", "room", "from one")
    room[4].call("send", "room", "from the other")
    for member in room:
        assert sorted(member.hear(2)) == ["from one", "from the other"]
    room[0].counts("room", 5)


def test_a_server_with_a_smaller_limit_takes_no_larger_messages(server: StartServer, members: Connect, tmp_path: Path) -> None:
    backend = ("--channel-backend", f"unix:{tmp_path / 'meet'}")
    one, small = server("channels.py", *backend), server("channels.py", *backend, "--channel-max-size", "1")
    speaker, listener = members(one, 1, "room"), members(small, 1, "room")
    for size in (1024, 1025, 200_000):
        speaker.call("send_bytes", "room", "61" * size)
    speaker.call("send", "room", "the end")
    assert speaker.hear(4) == ["a" * 1024, "a" * 1025, "a" * 200_000, "the end"]
    assert listener.hear(2) == ["a" * 1024, "the end"]
    assert small.log.count("over --channel-max-size") == 2


def test_the_directory_goes_with_the_server(server: StartServer) -> None:
    running = server("blocking_echo.py", "--master", "--processes", "2")
    workers = psutil.Process(running.pid).children()
    addresses = [str(connection.laddr) for worker in workers for connection in worker.net_connections("unix")]
    sockets = [address for address in addresses if ".channels" in address]
    assert sockets
    folder = Path(sockets[0]).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    running.interrupt()
    assert not folder.exists()


def test_a_directory_that_somebody_tidies_away(server: StartServer, members: Connect, tmp_path: Path) -> None:
    meet = tmp_path / "meet"
    running = server("channels.py", "--master", "--processes", "2", "--channel-backend", f"unix:{meet}")
    old = spread(members, running, 2)
    shutil.rmtree(meet)
    for pid, member in old.items():
        member.close()
        os.kill(pid, signal.SIGKILL)
    running.wait_log(f"channels: {meet} was gone and is made anew; workers of before are not reached by new ones: reload them")
    wait_until(lambda: meet.exists() and workers(f"unix:{meet}") == 2, 20, "two new workers")
    assert meet.stat().st_mode & 0o777 == 0o700
    new = spread(members, running, 2)
    assert not new.keys() & old.keys()
    next(iter(new.values())).call("send", "room", "here")
    for member in new.values():
        assert member.hear() == ["here"]


def test_nobody_there(tmp_path: Path) -> None:
    assert publish(f"unix:{tmp_path}", "room", "hello") == 0
    with pytest.raises(ChannelError, match="No such file"):
        publish(f"unix:{tmp_path / 'no'}", "room", "hello")
    with pytest.raises(ChannelError, match="need a Redis address or unix:DIRECTORY"):
        publish("memory", "room", "hello")


def test_from_a_shell(server: StartServer, members: Connect, tmp_path: Path) -> None:
    meeting = f"unix:{tmp_path / 'meet'}"
    running = server("channels.py", "--channel-backend", meeting)
    member = members(running, 1, "room")
    command = [sys.executable, "-m", "geuwsgi", "--channel-send", "room", "hello from a shell", "--channel-backend", meeting]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, cwd=Path(__file__).parents[2])
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert member.hear() == ["hello from a shell"]
