"""The named channels of a worker: from the options to a hub with its backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..channels.address import BackendAddress, parse_backend
from ..channels.backend import Backend, MemoryBackend
from ..channels.hub import ChannelHub
from ..channels.settings import CLOSE, DROP_NEWEST, DROP_OLDEST, ChannelSettings
from ..errors import ChannelError, ConfigError

if TYPE_CHECKING:
    from ..config.config import Config


def channel_settings(config: Config) -> ChannelSettings:
    """What the hub needs.

    Raises:
        ConfigError: an unknown policy.
    """
    overflow = config.get("channel-overflow")
    policies = (DROP_NEWEST, DROP_OLDEST, CLOSE)
    if overflow not in policies:
        raise ConfigError(f"expected one of {', '.join(policies)}", "channel-overflow", overflow, config.source("channel-overflow"))
    return ChannelSettings(
        declared=tuple(config.get("channel")),
        strict=config.get("channel-strict"),
        queue=config.get("channel-queue"),
        queue_bytes=config.get("channel-queue-bytes"),
        overflow=overflow,
        max_size=config.get("channel-max-size") * 1024,
        history=config.get("channel-history"),
    )


def backend_address(config: Config, processes: int) -> BackendAddress:
    """Where messages go: what was asked for, else memory for one worker and a unix mesh for several.

    Raises:
        ConfigError: an address that is none, or redis without its package.
    """
    asked = config.get("channel-backend")
    if not asked:
        return BackendAddress("unix" if processes > 1 else "memory")
    try:
        address = parse_backend(asked)
        if address.kind == "redis":
            from ..channels.redis import import_redis

            import_redis()
    except ChannelError as error:
        raise ConfigError(str(error), "channel-backend", asked, config.source("channel-backend")) from None
    if address.kind == "memory" and processes > 1:
        raise ConfigError(
            "memory reaches the subscribers of one worker only; use unix with several",
            "channel-backend",
            asked,
            config.source("channel-backend"),
        )
    return address


def channels_for(config: Config, address: BackendAddress, directory: str) -> ChannelHub:
    """The hub of one worker; `start` its backend once the loop runs, and `stop` it at the end.

    Args:
        config: the configuration.
        address: from `backend_address`.
        directory: where the workers of this server meet, when the address does not name a directory of its own.

    Raises:
        ConfigError: an address that the redis package does not take.
    """
    settings = channel_settings(config)
    hub = ChannelHub(settings, MemoryBackend())
    hub.backend = _backend(config, address, directory, hub)
    return hub


def _backend(config: Config, address: BackendAddress, directory: str, hub: ChannelHub) -> Backend:
    if address.kind == "unix":
        from ..channels.unix import UnixBackend

        return UnixBackend(address.location or directory, hub.deliver, hub.local_count, hub.settings.max_size)
    if address.kind == "redis":
        from ..channels.redis import RedisBackend

        try:
            return RedisBackend(address, hub.deliver, hub.local_count, hub.settings.max_size)
        except ChannelError as error:
            raise ConfigError(str(error), "channel-backend", address.location, config.source("channel-backend")) from None
    return MemoryBackend()
