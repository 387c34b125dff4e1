"""Where the workers of one host meet: a directory with a socket of each."""

from __future__ import annotations

import os
import socket as stdlib_socket
import tempfile
import time
import uuid
from typing import Any

from gevent import socket as gevent_socket

from ..errors import ChannelError
from ..log import log
from . import wire
from .channel import Message

_SUFFIX = ".channels"

#: Bytes that the kernel allows for the path of a unix socket, and of those that a worker's name takes.
MAX_PATH = 107
_NAME_SIZE = len("/4194304-12345678.channels.new")

#: Seconds for the answer of a worker to a program outside.
PATIENCE = 2.0


def make_directory() -> str:
    """A directory for the sockets of one server, which only its user may enter. Called once, before the fork."""
    if len(os.fsencode(tempfile.gettempdir())) + len("/geuwsgi-12345678") + _NAME_SIZE > MAX_PATH:
        return tempfile.mkdtemp(prefix="geuwsgi-", dir="/tmp")
    return tempfile.mkdtemp(prefix="geuwsgi-")


def check_directory(directory: str) -> None:
    """Make it if it is not there.

    Raises:
        ChannelError: no sockets can be made in it.
    """
    if len(os.fsencode(os.path.abspath(directory))) + _NAME_SIZE > MAX_PATH:
        raise ChannelError(f"the path of a unix socket may have {MAX_PATH} bytes, so take a directory with a shorter one")
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    except OSError as error:
        raise ChannelError(f"cannot make the directory: {error.strerror}") from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ChannelError("cannot make sockets in this directory")


def connectable(directory: str, name: str) -> str:
    """The path of a worker's socket."""
    return os.path.join(directory, name + _SUFFIX)


def listen_path(directory: str, name: str) -> Any:
    """A listening socket under a worker's name.

    It gets that name only when it listens: to the others, one that refuses connections is a dead worker's, and is removed.

    Raises:
        OSError: it cannot be made.
    """
    path = connectable(directory, name)
    listener = gevent_socket.socket(stdlib_socket.AF_UNIX, stdlib_socket.SOCK_STREAM)
    try:
        try:
            listener.bind(path + ".new")
        except FileNotFoundError:
            _make_again(directory)
            listener.bind(path + ".new")
        listener.listen(1024)
        os.rename(path + ".new", path)
    except BaseException:
        listener.close()
        raise
    return listener


def _make_again(directory: str) -> None:
    """Whoever tidies up /tmp has taken it away, which must not keep a worker from starting."""
    try:
        os.makedirs(directory, mode=0o700)
    except FileExistsError:
        if os.stat(directory).st_uid != os.geteuid():
            raise  # a stranger was faster
        return  # another worker was
    log(f"channels: {directory} was gone and is made anew; workers of before are not reached by new ones: reload them")


def others(directory: str, own: str = "") -> list[str]:
    """The names of the workers that have a socket there.

    Raises:
        OSError: there is no such directory.
    """
    names = sorted(entry[: -len(_SUFFIX)] for entry in os.listdir(directory) if entry.endswith(_SUFFIX))
    return [name for name in names if name != own]


def workers(directory: str) -> int:
    """How many workers take connections there.

    Raises:
        ChannelError: there is no such directory.
    """
    return publish(directory, "", 0, b"")


def publish(directory: str, name: str, opcode: int, payload: bytes) -> int:
    """Send a message to all workers that meet in a directory, from any process; returns how many took it. Opcode 0 sends nothing.

    Returns when they have, so that what is sent next comes behind it.

    Raises:
        ChannelError: there is no such directory.
    """
    try:
        names = others(directory)
    except OSError as error:
        raise ChannelError(f"{directory}: {error.strerror}") from None
    token = uuid.uuid4().bytes
    data = wire.framed(wire.pack(wire.COUNT, name, 0, token))
    if opcode:
        data = wire.pack_message(wire.MESSAGE, name, Message(opcode, payload)) + data
    return sum(_publish_to(connectable(directory, other), data, token) for other in names)


def _publish_to(path: str, data: bytes, token: bytes) -> bool:
    deadline = time.monotonic() + PATIENCE
    splitter = wire.Splitter(wire.OVERHEAD)
    with stdlib_socket.socket(stdlib_socket.AF_UNIX, stdlib_socket.SOCK_STREAM) as sock:
        try:
            sock.settimeout(PATIENCE)
            sock.connect(path)
            sock.sendall(data)
            while time.monotonic() < deadline:
                answer = sock.recv(4096)
                if not answer:
                    break
                for item in splitter.feed(answer):
                    if item.kind == wire.ANSWER and item.payload.startswith(token):
                        return True
        except OSError:
            pass  # a worker that was killed, or is stopped
    return False
