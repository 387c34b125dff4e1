"""The sockets that the server listens on: opened here, handed over by systemd, or left by the image before a reload."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Optional

from ..errors import ConfigError
from ..log import log
from . import environment, originals
from .front import FORWARDING
from .handover import Socket

if TYPE_CHECKING:
    from ..config.config import Config
    from ..server.listener import Listener
    from ..server.tls import TLSContext
    from .addresses import Address
    from .settings import ProcessSettings


class Sockets:
    """All listening sockets of a server.

    Args:
        inherited: those of the image before this one.

    Attributes:
        listeners: those that are open, with `--reuse-port` those of worker 1; empty before `open`.
    """

    def __init__(self, inherited: Sequence[Socket]) -> None:
        self.listeners: list[Listener] = []
        #: With `--reuse-port` those of the workers behind the first, a list for each.
        self._more: list[list[Listener]] = []
        self._asked: list[str] = []  # the address of each listener as the configuration has it
        self._unclaimed = list(inherited)

    def open(self, config: Config, asked: ProcessSettings, certificates: Mapping[Address, TLSContext], forwards: bool) -> None:
        """Listen at every address.

        Args:
            certificates: what is shown at each TLS address.
            forwards: the server is a front.

        Raises:
            ConfigError: an address is taken, or none was given.
        """
        from ..server.listener import open_listener, systemd_listeners

        handed = systemd_listeners(os.environ)
        for one in asked.addresses:
            address = one.address
            listener = self._claim(address)
            if listener is None:
                # What systemd has bound already is found by its address, as in uWSGI, or by its number.
                listener = next((listener for listener in handed if listener.is_for(address)), None)
                if listener is not None:
                    handed.remove(listener)
            if listener is None:
                listener = open_listener(
                    address, asked.backlog, unix_mode=asked.unix_mode, reuse_port=asked.reuse_port, option=one.option, source=one.source
                )
            described = one.describe(listener, one.option in FORWARDING and forwards)
            self._add(address, replace(described, tls=certificates[one]) if one.tls is not None else described)
        for listener in handed:
            self._add("", listener)
        while (unasked := self._claim("")) is not None:
            self._add("", unasked)
        limit = environment.backlog_limit()
        if config.given("listen") and asked.backlog > limit:
            log(f"--listen {asked.backlog} is more than the kernel's limit (net.core.somaxconn): the queue is {limit} connections long")
        if not self.listeners:
            raise ConfigError("nowhere to listen: give an address, such as --http :8080")
        if asked.reuse_port:
            # Made here and not by the workers: when one dies, what waits in its queue is for its successor.
            self._more = [
                [
                    (self._claim(address, worker) or open_listener(listener.address, asked.backlog, reuse_port=True)).served_as(listener)
                    if listener.bound_by_us
                    else listener
                    for address, listener in zip(self._asked, self.listeners)
                ]
                for worker in range(2, asked.processes + 1)
            ]

    def _add(self, address: str, listener: Listener) -> None:
        self._asked.append(address)
        self.listeners.append(listener)

    def _claim(self, address: str, worker: int = 1) -> Optional[Listener]:
        """The socket of that address that the image before this one had."""
        from ..server.listener import adopt

        for socket in self._unclaimed:
            if (socket.asked, socket.worker) == (address, worker):
                self._unclaimed.remove(socket)
                return adopt(socket.fd, socket.path, socket.number)
        return None

    def of(self, worker_id: int) -> list[Listener]:
        """What a worker accepts on."""
        return self._more[worker_id - 2] if self._more and worker_id > 1 else self.listeners

    def for_next_image(self) -> list[Socket]:
        """All of them, those that nobody has asked for yet included."""
        found = list(self._unclaimed)
        for worker, listeners in enumerate((self.listeners, *self._more), 1):
            for address, listener in zip(self._asked, listeners):
                if worker == 1 or listener.bound_by_us:
                    found.append(Socket(listener.sock.fileno(), address, worker, listener.path, listener.number))
        return found

    def descriptors(self) -> list[int]:
        """Those of all listeners, of each worker where they have their own."""
        return sorted({listener.sock.fileno() for listeners in (self.listeners, *self._more) for listener in listeners})

    def unclaimed(self) -> list[int]:
        """The descriptors of those of the image before this one that nobody has asked for."""
        return [socket.fd for socket in self._unclaimed]

    def paths(self) -> list[str]:
        """The files of unix sockets."""
        return [listener.path for listener in self.listeners if listener.path]

    def settled(self) -> list[str]:
        """All new workers serve: what only the image before this one needed can go.

        Returns:
            the files of unix sockets at which nobody listens now.
        """
        gone, self._unclaimed = self._unclaimed, []
        for socket in gone:
            originals.close(socket.fd)
        return [socket.path for socket in gone if socket.path and socket.path not in self.paths()]

    def close(self) -> None:
        """Close all listeners."""
        for listeners in (self.listeners, *self._more):
            for listener in listeners:
                listener.sock.close()
