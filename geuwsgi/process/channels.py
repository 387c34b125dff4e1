"""The named channels of a server: from the options to the hub of each worker.

`Meeting` is made before the workers are, and holds what they have in common; `hub_for_worker` makes the hub of one worker.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from ..channels.address import BackendAddress, parse_backend
from ..channels.backend import Backend, MemoryBackend, Ways
from ..channels.directory import check_directory, make_directory
from ..channels.hub import ChannelHub
from ..channels.names import check_name
from ..channels.settings import CLOSE, DROP_NEWEST, DROP_OLDEST, ChannelSettings
from ..channels.unix import UnixBackend
from ..errors import ChannelError, ConfigError
from ..server.writer import spread

if TYPE_CHECKING:
    from ..config.config import Config


class Meeting:
    """Where the workers of a server meet.

    Args:
        config: the configuration.
        processes: how many workers there are.
        own: the directory of before a reload, where workers of before still meet; "" when there is none.

    Attributes:
        settings: the hubs' limits.
        address: the backend.
        own: a directory of the server's own, which goes with it; "" when there is none.

    Raises:
        ConfigError: an unknown policy, an address that is none, redis without its package, a directory that cannot be used.
    """

    def __init__(self, config: Config, processes: int, own: str = "") -> None:
        self._config = config
        self.settings = _settings(config)
        self.address = _address(config, processes)
        self.own = own
        self._directory = self.address.location
        if self.address.kind == "unix":
            if self._directory:
                try:
                    check_directory(self._directory)
                except ChannelError as error:
                    raise self._error(str(error)) from None
            else:
                self.own = self._directory = own if os.path.isdir(own) else make_directory()

    def hub_for_worker(self) -> ChannelHub:
        """The hub of this worker. It is started once the loop runs, and stopped at the end.

        Raises:
            ConfigError: an address that the redis package does not take.
        """
        try:
            return ChannelHub(self.settings, spread, self._backend)
        except ChannelError as error:
            raise self._error(str(error)) from None

    def end(self) -> None:
        """Remove what the server made for itself; safe in a signal handler."""
        if self.own:
            shutil.rmtree(self.own, ignore_errors=True)

    def _backend(self, ways: Ways) -> Backend:
        if self.address.kind == "unix":
            return UnixBackend(self._directory, ways)
        if self.address.kind == "redis":
            from ..channels.redis import RedisBackend

            return RedisBackend(self.address, ways)
        return MemoryBackend()

    def _error(self, message: str) -> ConfigError:
        return ConfigError(message, "channel-backend", self._config.get("channel-backend"), self._config.source("channel-backend"))


def _settings(config: Config) -> ChannelSettings:
    overflow = config.get("channel-overflow")
    policies = (DROP_NEWEST, DROP_OLDEST, CLOSE)
    if overflow not in policies:
        raise ConfigError(f"expected one of {', '.join(policies)}", "channel-overflow", overflow, config.source("channel-overflow"))
    declared = tuple(config.get("channel"))
    for name in declared:
        try:
            check_name(name)
        except ChannelError as error:
            raise ConfigError(str(error), "channel", name, config.source("channel")) from None
    return ChannelSettings(
        declared=declared,
        strict=config.get("channel-strict"),
        queue=config.get("channel-queue"),
        queue_bytes=config.get("channel-queue-bytes"),
        overflow=overflow,
        max_size=config.get("channel-max-size") * 1024,
        history=config.get("channel-history"),
    )


def import_backend(config: Config) -> None:
    """Import what the backend needs, while it is in reach.

    Raises:
        ConfigError: an address that is none, redis without its package.
    """
    _address(config, 1)


def _address(config: Config, processes: int) -> BackendAddress:
    """What was asked for, else memory for one worker and a unix mesh for several."""
    asked = config.get("channel-backend")
    if not asked:
        return BackendAddress("unix" if processes > 1 else "memory")
    source = config.source("channel-backend")
    try:
        address = parse_backend(asked)
        if address.kind == "redis":
            from ..channels.redis import new_client

            new_client(address).close()
    except ChannelError as error:
        raise ConfigError(str(error), "channel-backend", asked, source) from None
    if address.kind == "memory" and processes > 1:
        raise ConfigError("memory reaches the subscribers of one worker only; use unix with several", "channel-backend", asked, source)
    return address
