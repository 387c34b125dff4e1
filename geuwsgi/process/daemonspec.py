"""What is to be attached: `--attach-daemon COMMAND`, `--attach-daemon2 cmd=COMMAND,...`, `--smart-attach-daemon PIDFILE COMMAND`.

Source: uWSGI's documentation "Managing external daemons/services", and `uwsgi_opt_add_daemon` and `uwsgi_opt_add_daemon2`.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from ..errors import ConfigError
from .privileges import group_number, user_number

if TYPE_CHECKING:
    from ..config.config import Config

#: Keys of `--attach-daemon2`, with uWSGI's other spellings of them.
_SPELLINGS = {
    "cmd": "command",
    "exec": "command",
    "daemon": "daemonize",
    "stop_signal": "stopsignal",
    "reload_signal": "reloadsignal",
}
_KEYS = ("command", "pidfile", "freq", "daemonize", "stopsignal", "reloadsignal", "touch", "uid", "gid", "chdir")
_FORM = f"write it as cmd=COMMAND,key=value with the keys {', '.join(_KEYS)}"


@dataclass(frozen=True)
class DaemonSpec:
    """One daemon.

    Attributes:
        text: the option and its value, by which it is known again after a reload.
        command: what /bin/sh runs.
        pidfile: makes it a smart one: it outlives the server, and is started only when the process in this file is not there.
        freq: seconds between two looks at that file.
        daemonize: start it in the background, where it is nobody's child.
        stop_signal: what ends it.
        reload_signal: what it gets when the server reloads; 0 for nothing.
        touch: files that make it start again when they are touched.
        uid, gid: whom it runs as; None for whom the server does.
        chdir: its directory, "" for the server's.
    """

    text: str
    command: str
    pidfile: str = ""
    freq: float = 10.0
    daemonize: bool = False
    stop_signal: int = signal.SIGTERM
    reload_signal: int = 0
    touch: tuple[str, ...] = ()
    uid: Optional[int] = None
    gid: Optional[int] = None
    chdir: str = ""

    def enter(self) -> None:
        """Become what the command is to find. Called in the new process."""
        if self.chdir:
            os.chdir(self.chdir)
        if self.gid is not None:
            os.setgid(self.gid)
            os.setgroups([])
        if self.uid is not None:
            os.setuid(self.uid)


def daemon_specs(config: Config) -> tuple[DaemonSpec, ...]:
    """All that are to be attached.

    Raises:
        ConfigError: one that makes no sense.
    """
    found = []
    for option, make in (
        ("attach-daemon", _plain),
        ("attach-daemon2", _keyed),
        ("smart-attach-daemon", _smart),
        ("smart-attach-daemon2", _smart),
    ):
        for index, value in enumerate(config.get(option)):
            try:
                found.append(make(option, value))
            except ValueError as error:
                raise ConfigError(str(error), option, value, config.source(option, index)) from None
    return tuple(found)


def _plain(option: str, value: str) -> DaemonSpec:
    if not value.strip():
        raise ValueError("no command given")
    return DaemonSpec(f"{option}={value}", value)


def _smart(option: str, value: str) -> DaemonSpec:
    pidfile, _, command = value.strip().partition(" ")
    if not command.strip():
        raise ValueError("write it as PIDFILE COMMAND")
    return DaemonSpec(f"{option}={value}", command.strip(), pidfile=os.path.abspath(pidfile), daemonize=option.endswith("2"))


def _keyed(option: str, value: str) -> DaemonSpec:
    pairs: dict[str, str] = {}
    touch = []
    for part in _split(value):
        key, equals, content = part.partition("=")
        key = _SPELLINGS.get(key.strip(), key.strip())
        if not equals or key not in _KEYS:
            raise ValueError(f"{key!r} is not known here: {_FORM}; a comma in a command is written \\,")
        if key == "touch":
            touch += content.split(";")
        pairs[key] = content
    if not pairs.get("command", "").strip():
        raise ValueError(f"there is no command: {_FORM}")
    return DaemonSpec(
        f"{option}={value}",
        pairs["command"],
        pidfile=os.path.abspath(pairs["pidfile"]) if pairs.get("pidfile") else "",
        freq=_number(pairs.get("freq", "10")),
        daemonize="daemonize" in pairs,
        stop_signal=_signal(pairs.get("stopsignal", "15")),
        reload_signal=_signal(pairs["reloadsignal"]) if "reloadsignal" in pairs else 0,
        touch=tuple(touch),
        uid=_user(pairs["uid"]) if "uid" in pairs else None,
        gid=_group(pairs["gid"]) if "gid" in pairs else None,
        chdir=pairs.get("chdir", ""),
    )


def _split(value: str) -> Iterator[str]:
    """The parts between commas that have no backslash before them."""
    for part in re.split(r"(?<!\\),", value):
        yield part.replace("\\,", ",")


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if number <= 0:
        raise ValueError("freq= takes a number of seconds")
    return number


def _signal(text: str) -> int:
    try:
        return signal.Signals(int(text)) if text.isdigit() else signal.Signals[text if text.startswith("SIG") else "SIG" + text]
    except (ValueError, KeyError):
        raise ValueError(f"there is no signal {text}") from None


def _user(text: str) -> int:
    try:
        return user_number(text)
    except KeyError:
        raise ValueError(f"there is no user {text!r}") from None


def _group(text: str) -> int:
    try:
        return group_number(text)
    except KeyError:
        raise ValueError(f"there is no group {text!r}") from None
