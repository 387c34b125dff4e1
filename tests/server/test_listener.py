"""Addresses in, bound sockets out."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest

from geuwsgi.errors import ConfigError
from geuwsgi.server.listener import Listener, open_listener, systemd_listeners
from tests.harness.programs import ROOT

Open = Callable[..., Listener]


@pytest.fixture
def listen() -> Iterator[Open]:
    opened: list[Listener] = []

    def start(*arguments: Any, **options: Any) -> Listener:
        opened.append(open_listener(*arguments, **options))
        return opened[-1]

    yield start
    for listener in opened:
        listener.sock.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory with a short name: the path of a unix socket may not exceed 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="gl") as name:
        yield Path(name)


def connects(family: int, address: Any) -> bool:
    with socket.socket(family) as client:
        client.settimeout(20)
        client.connect(address)
    return True


def test_a_free_port_of_one_interface(listen: Open) -> None:
    listener = listen("127.0.0.1:0")
    assert listener.host == "127.0.0.1"
    assert listener.port > 0
    assert listener.address == f"127.0.0.1:{listener.port}"
    assert listener.url == f"http://127.0.0.1:{listener.port}"
    assert listener.path == ""
    assert connects(socket.AF_INET, ("127.0.0.1", listener.port))


@pytest.mark.parametrize("address", [":0", "*:0", "0.0.0.0:0"])
def test_all_interfaces_are_ipv4(listen: Open, address: str) -> None:
    listener = listen(address)
    assert listener.address == f"0.0.0.0:{listener.port}"
    assert listener.sock.family == socket.AF_INET


def test_a_host_name_prefers_ipv4(listen: Open) -> None:
    assert listen("localhost:0").host == "127.0.0.1"


@pytest.mark.skipif(not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
def test_ipv6(listen: Open) -> None:
    listener = listen("[::1]:0")
    assert listener.address == f"[::1]:{listener.port}"
    assert connects(socket.AF_INET6, ("::1", listener.port))


def test_the_socket_is_ready_for_gevent_and_not_inherited(listen: Open) -> None:
    listener = listen("127.0.0.1:0")
    assert not os.get_blocking(listener.sock.fileno())
    assert not os.get_inheritable(listener.sock.fileno())
    assert listener.sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


def test_a_socket_of_another_worker_is_served_alike(listen: Open) -> None:
    """Whatever there is to be done: all fields but those that say where it is."""
    own, other = listen("127.0.0.1:0"), listen("127.0.0.1:0")
    told = replace(other, forwards=True, tells=True, protocol="uwsgi", proxied=True, to_https="443")
    served = own.served_as(told)
    assert served == replace(told, sock=own.sock, address=own.address, port=own.port)
    assert served.sock is own.sock


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:http", "the port 'http' is not a number"),
        ("127.0.0.1:", "the port '' is not a number"),
        ("127.0.0.1:65536", "the port '65536' is not a number from 0 to 65535"),
        ("127.0.0.1:-1", "the port '-1' is not a number"),
        ("::1:8080", "an IPv6 address stands in brackets"),
        ("[localhost]:80", "only an IPv6 address stands in brackets"),
        ("8080", "write :8080"),
        ("", "write :8080"),
        ("@", "write :8080"),
        ("no-such-host.invalid:80", "cannot be looked up"),
        ("192.0.2.1:8080", "is not an address of this machine"),
        ("fd://x", "after fd:// stands the number"),
        ("fd://900", "descriptor 900 is not an open socket"),
        ("/" + "x" * 107, "may have 107 bytes, this one has 108"),
        ("/no/such/directory/s.sock", "No such file or directory"),
    ],
)
def test_addresses_that_cannot_be(address: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_listener(address, option="http", source="app.ini:3")
    assert expected in caught.value.message
    assert str(caught.value).startswith("app.ini:3: http")


def test_a_port_in_use(listen: Open) -> None:
    port = listen("127.0.0.1:0").port
    with pytest.raises(ConfigError) as caught:
        open_listener(f"127.0.0.1:{port}", option="http-socket", source="command line")
    assert str(caught.value).startswith(f"command line: --http-socket = 127.0.0.1:{port}: port {port} is already in use; stop the server")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs to drop root")
def test_a_port_without_permission() -> None:
    # Whoever is nobody may not be able to read this Python's library: everything is imported before.
    code = (
        "import os; from geuwsgi.server.listener import open_listener; open_listener('127.0.0.1:0').sock.close(); "
        "os.setuid(65534); open_listener('127.0.0.1:81')"
    )
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as limit:
        if int(limit.read()) <= 81:
            pytest.skip("this system lets everybody bind low ports")
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert "no permission to bind port 81; ports below 1024 need root" in result.stderr


def test_a_unix_socket(listen: Open, folder: Path) -> None:
    path = folder / "s.sock"
    listener = listen(str(path), unix_mode=0o600)
    assert listener == Listener(listener.sock, str(path), "", 0, str(path))
    assert listener.url == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert connects(socket.AF_UNIX, str(path))


def test_a_relative_unix_socket_is_removed_where_it_was_made(listen: Open, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    listener = listen("s.sock")
    assert listener.address == "s.sock"
    assert listener.path == str(folder / "s.sock")


def test_an_abstract_unix_socket(listen: Open) -> None:
    name = f"@geuwsgi-{os.getpid()}"
    assert listen(name).address == name
    assert connects(socket.AF_UNIX, "\0" + name[1:])
    with pytest.raises(ConfigError, match="another server listens"):
        open_listener(name)


def test_a_stale_unix_socket_is_replaced(listen: Open, folder: Path) -> None:
    path = str(folder / "s.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    listen(path)
    assert connects(socket.AF_UNIX, path)


def test_a_live_unix_socket_is_refused_and_left_alone(listen: Open, folder: Path) -> None:
    path = str(folder / "s.sock")
    listen(path, 0)
    with pytest.raises(ConfigError, match="another server listens on this unix socket"):
        open_listener(path)
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        for client in (first, second):  # fills the backlog
            client.setblocking(False)
            client.connect_ex(path)
        with pytest.raises(ConfigError, match="another server listens on this unix socket"):
            open_listener(path)


def test_a_file_is_not_overwritten_by_a_socket(folder: Path) -> None:
    (folder / "data").write_text("precious")
    with pytest.raises(ConfigError, match="is not a socket; remove it"):
        open_listener(str(folder / "data"))
    assert (folder / "data").read_text() == "precious"


def test_an_inherited_descriptor(listen: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as parent:
        port = parent.getsockname()[1]
        listener = listen(f"fd://{os.dup(parent.fileno())}")
        assert listener.address == f"127.0.0.1:{port}"
        assert connects(socket.AF_INET, ("127.0.0.1", port))


def test_an_inherited_descriptor_that_does_not_listen() -> None:
    with socket.socket() as idle, pytest.raises(ConfigError, match=r"descriptor \d+ is not a listening stream socket"):
        open_listener(f"fd://{idle.fileno()}")
    with open(os.devnull) as file, pytest.raises(ConfigError, match="is not an open socket"):
        open_listener(f"fd://{file.fileno()}")


def test_systemd_variables_of_another_process() -> None:
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": "1"}
    assert systemd_listeners(environ) == []
    assert systemd_listeners({}) == []


def test_systemd_hands_over_sockets(folder: Path) -> None:
    code = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
from geuwsgi.server.listener import systemd_listeners
print(*[listener.address for listener in systemd_listeners(os.environ)], "LISTEN_FDS" in os.environ, "LISTEN_PID" in os.environ)
"""
    # The child wants them as 3 and 4, as systemd numbers them.
    starter = (
        "import os, sys; os.dup2(int(sys.argv[1]), 103); os.dup2(int(sys.argv[2]), 104); "
        "os.dup2(103, 3); os.dup2(104, 4); os.execv(sys.executable, [sys.executable, '-c', sys.argv[3]])"
    )
    with socket.create_server(("127.0.0.1", 0)) as first, socket.socket(socket.AF_UNIX) as second:
        second.bind(str(folder / "s.sock"))
        second.listen()
        port, numbers = first.getsockname()[1], (first.fileno(), second.fileno())
        result = subprocess.run(
            [sys.executable, "-c", starter, *map(str, numbers), code],
            pass_fds=numbers,
            cwd=ROOT,
            env={**os.environ, "LISTEN_FDS": "2"},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert result.stdout.split() == [f"127.0.0.1:{port}", str(folder / "s.sock"), "False", "False"], result.stderr
