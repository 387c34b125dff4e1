"""The named channels of a server: from the options to the hub of each worker.

`Meeting` is made before the workers are, and holds what they have in common; `hub_for` makes the hub of one worker.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from ..channels.address import BackendAddress, parse_backend
from ..channels.backend import Backend, MemoryBackend
from ..channels.hub import ChannelHub
from ..channels.settings import CLOSE, DROP_NEWEST, DROP_OLDEST, ChannelSettings
from ..errors import ChannelError, ConfigError

if TYPE_CHECKING:
    from ..config.config import Config


class Meeting:
    """Where the workers of a server meet.

    Args:
        config: the configuration.
        processes: how many workers there are.

    Attributes:
        settings: the hubs' limits.
        address: the backend.

    Raises:
        ConfigError: an unknown policy, an address that is none, redis without its package, a directory that cannot be used.
    """

    def __init__(self, config: Config, processes: int) -> None:
        self._config = config
        self.settings = _settings(config)
        self.address = _address(config, processes)
        #: A directory of the server's own, which goes with it.
        self._own = ""
        self._directory = self.address.location
        if self.address.kind == "unix":
            if self._directory:
                self._use_directory()
            else:
                from ..channels.unix import make_directory

                self._own = self._directory = make_directory()

    def hub_for_worker(self) -> ChannelHub:
        """The hub of this worker. Its backend is started once the loop runs, and stopped at the end.

        Raises:
            ConfigError: an address that the redis package does not take.
        """
        hub = ChannelHub(self.settings, MemoryBackend())
        hub.backend = self._backend(hub)
        return hub

    def end(self) -> None:
        """Remove what the server made for itself; safe in a signal handler."""
        if self._own:
            shutil.rmtree(self._own, ignore_errors=True)

    def _backend(self, hub: ChannelHub) -> Backend:
        if self.address.kind == "unix":
            from ..channels.unix import UnixBackend

            return UnixBackend(self._directory, hub.deliver, hub.local_count, hub.settings.max_size)
        if self.address.kind == "redis":
            from ..channels.redis import RedisBackend

            try:
                return RedisBackend(self.address, hub.deliver, hub.local_count, hub.settings.max_size)
            except ChannelError as error:
                raise self._error(str(error)) from None
        return MemoryBackend()

    def _use_directory(self) -> None:
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._error(f"cannot make the directory: {error.strerror}") from None
        if not os.access(self._directory, os.W_OK | os.X_OK):
            raise self._error("cannot make sockets in this directory")

    def _error(self, message: str) -> ConfigError:
        return ConfigError(message, "channel-backend", self._config.get("channel-backend"), self._config.source("channel-backend"))


def _settings(config: Config) -> ChannelSettings:
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


def _address(config: Config, processes: int) -> BackendAddress:
    """What was asked for, else memory for one worker and a unix mesh for several."""
    asked = config.get("channel-backend")
    if not asked:
        return BackendAddress("unix" if processes > 1 else "memory")
    source = config.source("channel-backend")
    try:
        address = parse_backend(asked)
        if address.kind == "redis":
            from ..channels.redis import import_redis

            import_redis()
    except ChannelError as error:
        raise ConfigError(str(error), "channel-backend", asked, source) from None
    if address.kind == "memory" and processes > 1:
        raise ConfigError("memory reaches the subscribers of one worker only; use unix with several", "channel-backend", asked, source)
    return address
