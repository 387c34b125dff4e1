"""The addresses that are asked for, and what is spoken at each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Optional

from ..errors import ConfigError
from . import tls

if TYPE_CHECKING:
    from ..config.config import Config
    from ..server.listener import Listener
    from ..server.settings import TLSSettings

#: Options that bind, in the order in which they do, and what is spoken there; "" for what `--protocol` says.
_BINDING = {"http": "http", "http-socket": "http", "socket": "", "uwsgi-socket": "uwsgi"}

#: Options that make connections begin with a PROXY protocol header, and where.
_PROXIED = {"http-enable-proxy-protocol": ("http", "https", "https2"), "enable-proxy-protocol": ("http-socket", "https-socket", "socket")}

_PROTOCOLS = ("uwsgi", "http")


@dataclass(frozen=True)
class Address:
    """Where to listen.

    Attributes:
        option: that asked for it.
        address: as it was written.
        source: where it was given.
        protocol: what is spoken there, "http" or "uwsgi".
        proxied: connections begin with a PROXY protocol header.
        tls: what is shown and asked of clients in TLS; None for a plain address.
        to_https: clients are sent on to https, on this port ("" for the usual one); None where they are served.
    """

    option: str
    address: str
    source: Optional[str]
    protocol: str = "http"
    proxied: bool = False
    tls: Optional[TLSSettings] = None
    to_https: Optional[str] = None

    def describe(self, listener: Listener, forwards: bool) -> Listener:
        """The listener, which is bound to this address, with what is to be done there, but for certificates."""
        tells = self.option == "http-stats"
        return replace(listener, protocol=self.protocol, proxied=self.proxied, forwards=forwards, tells=tells, to_https=self.to_https)


def addresses(config: Config) -> tuple[Address, ...]:
    """All of them. To be called in the directory in which the server was started, where relative paths of certificates begin.

    Raises:
        ConfigError: something about them that cannot be.
    """
    protocol = config.get("protocol")
    if protocol not in _PROTOCOLS:
        raise ConfigError(
            f"only {' and '.join(_PROTOCOLS)} are spoken: for TLS there is --https-socket",
            "protocol", protocol, config.source("protocol"),
        )  # fmt: skip
    _check_modifiers(config)
    if config.given("protocol") and not config.get("socket"):
        _warn(config, f"protocol ({config.source('protocol')}) has no effect: there is no socket that it could concern")
    proxied = {option for asked, options in _PROXIED.items() if config.get(asked) for option in options}
    shared = _Shared(config)
    found = []
    for option, speaks in _BINDING.items():
        for index, written in enumerate(config.get(option)):
            source = config.source(option, index)
            address = shared.resolve(written, option, source)
            spoken = speaks or protocol
            found.append(Address(option, address, source, spoken, option in proxied and spoken == "http"))
    for port in tls.ports(config):
        address = shared.resolve(port.address, port.option, port.source)
        found.append(Address(port.option, address, port.source, "http", port.option in proxied, port.tls, port.to_https))
    if config.get("http-stats") and config.get("http-to"):
        found.append(Address("http-stats", config.get("http-stats"), config.source("http-stats")))
    shared.check_used()
    for asked, options in _PROXIED.items():
        if config.get(asked) and not any(one.proxied for one in found if one.option in options):
            raise ConfigError(
                f"no connection would begin with a PROXY header: it is for {' and '.join(options)}, where HTTP is spoken",
                asked, None, config.source(asked),
            )  # fmt: skip
    return tuple(found)


def _warn(config: Config, text: str) -> None:
    if text not in config.warnings:
        config.warnings.append(text)


def _is_file(address: str) -> bool:
    return address.startswith(("/", ".")) or (":" not in address and not address.startswith("@"))


class _Shared:
    """Finds addresses, those of `--shared-socket` by their number. In uWSGI they are bound before the user is changed, as all are here."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._addresses: list[str] = config.get("shared-socket")
        self._used: set[int] = set()

    def resolve(self, written: str, option: str, source: Optional[str]) -> str:
        """ "=0" -> the first one; other addresses as they are, but for `--abstract-socket`."""
        address = self._find(written, option, source) if written.startswith("=") else written
        return "@" + address if self._config.get("abstract-socket") and _is_file(address) else address

    def _find(self, written: str, option: str, source: Optional[str]) -> str:
        number = written[1:]
        if not number.isdigit() or int(number) >= len(self._addresses):
            raise ConfigError(f"there is no shared-socket with the number {number!r}, they count from 0", option, written, source)
        if int(number) in self._used:
            raise ConfigError("this shared-socket serves another option already", option, written, source)
        self._used.add(int(number))
        return self._addresses[int(number)]

    def check_used(self) -> None:
        for index, address in enumerate(self._addresses):
            if index not in self._used:
                raise ConfigError(
                    f"nothing is served there: write --http-socket ={index} or --socket ={index}, too",
                    "shared-socket", address, self._config.source("shared-socket", index),
                )  # fmt: skip


def _check_modifiers(config: Config) -> None:
    for option in ("http-socket-modifier1", "http-socket-modifier2"):
        value = config.get(option)
        if value:
            raise ConfigError(
                "requests are served by Python, which has the modifiers 0 and 0; other languages need their own server",
                option, str(value), config.source(option),
            )  # fmt: skip
