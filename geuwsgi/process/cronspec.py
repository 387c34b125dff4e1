"""What is to be run when (`--cron`, `--unique-cron`, `--cron2`), from options to values.

Source: uWSGI's documentation, "The uWSGI cron-like interface".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..config.config import Config

#: The keys of `--cron2` that make a moment, in the order of `--cron`.
_FIELDS = ("minute", "hour", "day", "month", "week")
_FORM = "write it as minute=N,hour=N,day=N,month=N,week=N,unique=1,harakiri=SECONDS COMMAND; what is left out is -1, for any"


@dataclass(frozen=True)
class CronSpec:
    """A command and its moments.

    Attributes:
        command: what /bin/sh runs.
        fields: as `cron.is_due` takes them.
        unique: not while the one before still runs.
        harakiri: seconds after which it is killed; 0 for never.
    """

    command: str
    fields: tuple[int, ...]
    unique: bool = False
    harakiri: int = 0


def cron_specs(config: Config) -> tuple[CronSpec, ...]:
    """All of them.

    Raises:
        ConfigError: one that makes no sense.
    """
    found = []
    harakiri: int = config.get("cron-harakiri")
    for option in ("cron", "unique-cron", "cron2"):
        for index, value in enumerate(config.get(option)):
            try:
                found.append(_keyed(value, harakiri) if option == "cron2" else _plain(value, option == "unique-cron", harakiri))
            except ValueError as error:
                raise ConfigError(str(error), option, value, config.source(option, index)) from None
    return tuple(found)


def _plain(value: str, unique: bool, harakiri: int) -> CronSpec:
    parts = value.split(None, 5)
    if len(parts) < 6 or not all(re.fullmatch("-?[0-9]{1,9}", number) for number in parts[:5]):
        raise ValueError("write it as MINUTE HOUR DAY MONTH WEEKDAY COMMAND, with -1 for any and -N for every Nth")
    return CronSpec(parts[5].rstrip(), tuple(map(int, parts[:5])), unique, harakiri)


def _keyed(value: str, harakiri: int) -> CronSpec:
    keys, _, command = value.strip().partition(" ")
    if "=" not in keys:
        keys, command = "", value
    pairs = dict(part.partition("=")[::2] for part in keys.split(",")) if keys else {}
    for key, content in pairs.items():
        if key not in (*_FIELDS, "unique", "harakiri") or not re.fullmatch("-?[0-9]{1,9}", content):
            raise ValueError(f"{key}={content} is not known here: {_FORM}")
    if not command.strip():
        raise ValueError(f"there is no command: {_FORM}")
    fields = tuple(int(pairs.get(key, "-1")) for key in _FIELDS)
    return CronSpec(command.strip(), fields, pairs.get("unique", "0") != "0", max(0, int(pairs.get("harakiri", harakiri))))
