"""Bare descriptors: connecting, reading and writing without holding up the loop."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import gevent.socket
import pytest

from geuwsgi.server import fdio


@pytest.fixture
def pair() -> Iterator[Any]:
    """Two ends in blocking mode, as an application has them that knows nothing of gevent."""
    a, b = socket.socketpair()
    with a, b:
        yield a, b


def test_addresses() -> None:
    assert fdio.parse_address("/run/x.sock") == (socket.AF_UNIX, "/run/x.sock")
    assert fdio.parse_address("x.sock") == (socket.AF_UNIX, "x.sock")
    assert fdio.parse_address("@name") == (socket.AF_UNIX, b"\0name")
    assert fdio.parse_address("127.0.0.1:80") == (socket.AF_INET, ("127.0.0.1", 80))
    assert fdio.parse_address(":80") == (socket.AF_INET, ("127.0.0.1", 80))
    assert fdio.parse_address("[::1]:80") == (socket.AF_INET6, ("::1", 80, 0, 0))
    with pytest.raises(ValueError):
        fdio.parse_address("127.0.0.1:http!")


@pytest.mark.parametrize("kind", ["tcp", "unix", "abstract"])
def test_connect(kind: str, tmp_path: Path) -> None:
    if kind == "tcp":
        server = gevent.socket.socket()
        server.bind(("127.0.0.1", 0))
        name = f"127.0.0.1:{server.getsockname()[1]}"
    else:
        server = gevent.socket.socket(socket.AF_UNIX)
        name = str(tmp_path / "s") if kind == "unix" else f"@geuwsgi-test-{os.getpid()}"
        server.bind(name.replace("@", "\0", 1))
    server.listen()
    with server:
        fd = fdio.connect(name, 20)
        peer, _ = server.accept()
        with peer:
            assert os.get_blocking(fd)
            assert not os.get_inheritable(fd)
            fdio.write(fd, b"hello")
            assert peer.recv(9) == b"hello"
            peer.sendall(b"back")
            assert fdio.read(fd, 9) == b"back"
        assert fdio.read(fd, 9) == b""
        fdio.close(fd)


def test_connect_nowait() -> None:
    with gevent.socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        fd = fdio.connect_nowait(f"127.0.0.1:{server.getsockname()[1]}")
        gevent.socket.wait_write(fd, 20)
        assert not os.get_blocking(fd)
        assert fdio.is_connected(fd)
        fdio.close(fd)


def test_connect_in_vain(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            fdio.connect(f"127.0.0.1:{probe.getsockname()[1]}")
    with pytest.raises(FileNotFoundError):
        fdio.connect(str(tmp_path / "missing"))


def test_a_full_backlog_times_out() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        name = f"127.0.0.1:{server.getsockname()[1]}"
        waiting = [fdio.connect_nowait(name) for _ in range(4)]
        try:
            with pytest.raises(socket.timeout):  # TimeoutError from 3.10 on
                fdio.connect(name, 0.1)
        finally:
            for fd in waiting:
                fdio.close(fd)


def test_a_read_waits_in_the_hub(pair: Any) -> None:
    a, b = pair
    reader = gevent.spawn(fdio.read, a.fileno(), 9)
    gevent.sleep(0.005)
    assert not reader.ready()
    b.sendall(b"x")
    assert reader.get(timeout=20) == b"x"
    assert a.gettimeout() is None


def test_a_large_write_waits_in_the_hub(pair: Any) -> None:
    """The descriptor is in blocking mode: a plain write would stop everything."""
    a, b = pair
    data = bytes(3_000_000)
    writer = gevent.spawn(fdio.write, a.fileno(), data)
    gevent.sleep(0.005)
    assert not writer.ready()
    read = 0
    while read < len(data):
        read += len(fdio.read(b.fileno(), 65536))
    writer.get(timeout=20)
    assert os.get_blocking(a.fileno())


def test_a_large_write_to_a_pipe_waits_in_the_hub() -> None:
    read_end, write_end = os.pipe()
    data = bytes(300_000)
    writer = gevent.spawn(fdio.write, write_end, data)
    read = 0
    while read < len(data):
        read += len(fdio.read(read_end, 65536))
    writer.get(timeout=20)
    fdio.close(read_end)
    with pytest.raises(BrokenPipeError):
        fdio.write(write_end, b"x")
    fdio.close(write_end)


def test_closed_numbers() -> None:
    for call in (lambda: fdio.read(9999, 1), lambda: fdio.write(9999, b"x"), lambda: fdio.close(9999)):
        with pytest.raises(OSError):
            call()
    assert not fdio.is_connected(9999)
    assert not fdio.is_connected(-1)


def test_a_close_wakes_who_waits(pair: Any) -> None:
    number = os.dup(pair[0].fileno())
    reader = gevent.spawn(fdio.read, number, 9)
    gevent.sleep(0)
    start = time.monotonic()
    fdio.close(number)
    with pytest.raises(OSError):
        fdio.close(number)
    with pytest.raises(OSError):
        reader.get(timeout=20)
    assert time.monotonic() - start < 15
    with pytest.raises(OSError):
        os.fstat(number)


def test_is_connected(pair: Any) -> None:
    a, b = pair
    assert fdio.is_connected(a.fileno())
    b.shutdown(socket.SHUT_WR)
    assert fdio.is_connected(a.fileno()), "a peer that only ended its own direction is there"
    b.close()
    assert not fdio.is_connected(a.fileno())
    with open(__file__) as file:
        assert not fdio.is_connected(file.fileno())


def test_is_connected_leaves_the_mode_alone(pair: Any) -> None:
    socket.setdefaulttimeout(5)
    try:
        assert fdio.is_connected(pair[0].fileno())
        assert os.get_blocking(pair[0].fileno())
    finally:
        socket.setdefaulttimeout(None)


def test_is_connected_tells_of_a_reset_for_ever() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        with socket.create_connection(server.getsockname()) as client:
            peer, _ = server.accept()
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()
            gevent.socket.wait_read(client.fileno(), 5)
            assert [fdio.is_connected(client.fileno()) for _ in range(3)] == [False] * 3
