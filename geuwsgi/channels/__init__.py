"""Named channels: one message to many connections, in this worker, its siblings, and on other hosts.

From any other program (a Django view, a Celery task, a cron job):

    from geuwsgi.channels import publish
    publish("redis://localhost/0", "room", "hello")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from .address import BackendAddress


def publish(backend: str, name: str, message: Union[str, bytes]) -> int:
    """Send a message to everyone who joined a channel, from outside the server, in any process.

    Args:
        backend: the server's `--channel-backend`: a Redis address or unix:DIRECTORY.
        name: the channel.
        message: str is text; bytes are text when they are UTF-8 and binary otherwise.

    Returns:
        how many workers got it.

    Raises:
        geuwsgi.errors.ChannelError: the backend cannot be reached, or is one that has no outside.
    """
    from .message import opcode_of
    from .names import check_name

    check_name(name)
    opcode, payload = opcode_of(message)
    address = _outside(backend)
    if address.kind == "redis":
        from . import redis

        return redis.publish(address, name, payload)
    from . import directory

    return directory.publish(address.location, name, opcode, payload)


def workers(backend: str) -> int:
    """How many workers of servers are reached at a backend, whatever channels they have.

    Raises:
        geuwsgi.errors.ChannelError: as `publish`.
    """
    address = _outside(backend)
    if address.kind == "redis":
        from . import redis

        return redis.workers(address)
    from . import directory

    return directory.workers(address.location)


def _outside(backend: str) -> BackendAddress:
    from ..errors import ChannelError
    from .address import parse_backend

    address = parse_backend(backend)
    if address.kind == "memory" or not address.location:
        raise ChannelError(f"{backend}: messages from outside need a Redis address or unix:DIRECTORY")
    return address
