"""Named channels: one message to many connections, in this worker, its siblings, and on other hosts.

From any other program (a Django view, a Celery task, a cron job):

    from geuwsgi.channels import publish
    publish("redis://localhost/0", "room", "hello")
"""

from __future__ import annotations

from typing import Union


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
    from ..errors import ChannelError
    from .address import parse_backend
    from .message import opcode_of
    from .names import check_name

    address = parse_backend(backend)
    check_name(name)
    opcode, payload = opcode_of(message)
    if address.kind == "redis":
        from . import redis

        return redis.publish(address, name, payload)
    if address.kind == "unix" and address.location:
        from . import directory

        return directory.publish(address.location, name, opcode, payload)
    raise ChannelError(f"{backend}: messages from outside need a Redis address or unix:DIRECTORY")
