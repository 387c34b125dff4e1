"""Whom the server runs as: `--uid`, `--gid`, `--chroot`, and who may use its unix sockets.

After the sockets are bound and the log and the pidfile are opened, before anything of the application runs.
Source: uWSGI's `uwsgi_as_root`.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Optional

from ..errors import ConfigError
from ..log import log

if TYPE_CHECKING:
    from ..config.config import Config

_DIGITS = re.compile("[0-9]+")


@dataclass(frozen=True)
class Privileges:
    """What was asked for; None and "" where nothing was.

    Attributes:
        uid, gid: to change to.
        groups: supplementary groups; None for those of the user, if there is one with a name.
        chroot: the directory that becomes the root.
        owner: (uid, gid) of unix sockets, -1 for what it is.
        sources: option -> where it was given.
    """

    uid: Optional[int]
    gid: Optional[int]
    groups: Optional[tuple[int, ...]]
    chroot: str
    owner: Optional[tuple[int, int]]
    sources: Mapping[str, Optional[str]] = field(default_factory=dict)

    def change_root(self) -> None:
        """Change the root directory.

        Raises:
            ConfigError: the system refuses.
        """
        if self.chroot:
            log(f"chroot() to {self.chroot}")
            try:
                os.chroot(self.chroot)
                os.chdir("/")
            except OSError as error:
                message = f"cannot become the root directory: {error.strerror}"
                raise ConfigError(message, "chroot", self.chroot, self.sources.get("chroot")) from None

    def drop(self) -> None:
        """Change group and user.

        Raises:
            ConfigError: the system refuses.
        """
        # Nothing to do for whoever is that already, after a reload for example.
        if self.gid is not None and (self.gid != os.getgid() or os.geteuid() == 0):
            log(f"setgid() to {self.gid}")
            self._try("gid", self.gid, self._set_group)
        if self.uid is not None and self.uid != os.getuid():
            if self.gid is None and os.getgid() == 0:
                log("the user changes and the group stays root: --gid changes it, too")
            log(f"setuid() to {self.uid}")
            self._try("uid", self.uid, lambda: os.setuid(self.uid or 0))

    def own(self, paths: Iterable[str]) -> None:
        """Give unix sockets away (`--chown-socket`). Not those that were given away before a reload: who runs it may not do so again.

        Raises:
            ConfigError: the system refuses.
        """
        if self.owner is None:
            return
        for path in paths:
            try:
                found = os.stat(path)
                if all(wanted in (-1, has) for wanted, has in zip(self.owner, (found.st_uid, found.st_gid))):
                    continue
                os.chown(path, *self.owner)
            except OSError as error:
                message = f"{path} cannot be given away: {error.strerror}"
                raise ConfigError(message, "chown-socket", None, self.sources.get("chown-socket")) from None

    def hand(self, fd: int) -> None:
        """Give an open file that is root's alone to whom the server runs as, who opens it again in a reload.

        One that was there before, and is made for others too, stays as it is.

        Raises:
            ConfigError: the system refuses.
        """
        found = os.stat(fd)
        if self.uid is not None and os.geteuid() == found.st_uid == 0 and not found.st_mode & 0o077:
            self._try("uid", self.uid, lambda: os.chown(fd, self.uid or 0, -1 if self.gid is None else self.gid))

    def _set_group(self) -> None:
        assert self.gid is not None
        os.setgid(self.gid)
        if self.groups is not None:
            os.setgroups(self.groups)
            return
        try:
            name = pwd.getpwuid(self.uid if self.uid is not None else os.getuid()).pw_name
        except KeyError:
            os.setgroups([self.gid])
        else:
            os.initgroups(name, self.gid)

    def _try(self, option: str, number: int, change: object) -> None:
        try:
            change()  # type: ignore[operator]
        except OSError as error:
            advice = "only root may change the user" if isinstance(error, PermissionError) else error.strerror
            raise ConfigError(f"cannot be taken on: {advice}", option, str(number), self.sources.get(option)) from None


def privileges(config: Config) -> Privileges:
    """What was asked for.

    Raises:
        ConfigError: an unknown user or group, an umask that is none.
    """
    groups = tuple(_group(config, "add-gid", name) for name in config.get("add-gid"))
    gid = _group(config, "gid", config.get("gid")) if config.get("gid") else None
    no_groups = config.get("no-initgroups") or groups
    for option in ("add-gid", "no-initgroups") if gid is None else ():
        if config.get(option):
            config.warnings.append(f"{option} ({config.source(option)}) has no effect: as in uWSGI, groups change only with gid")
    owner = None
    if config.get("chown-socket"):
        user, _, group = config.get("chown-socket").partition(":")
        owner = _user(config, "chown-socket", user) if user else -1, _group(config, "chown-socket", group) if group else -1
    return Privileges(
        uid=_user(config, "uid", config.get("uid")) if config.get("uid") else None,
        gid=gid,
        groups=(*([] if gid is None else [gid]), *groups) if no_groups else None,
        chroot=config.get("chroot") or "",
        owner=owner,
        sources={option: config.source(option) for option in ("uid", "gid", "chroot", "chown-socket")},
    )


def user_number(name: str) -> int:
    """The number of a user.

    Raises:
        KeyError: there is none.
    """
    return _number(name) if _DIGITS.fullmatch(name) else pwd.getpwnam(name).pw_uid


def group_number(name: str) -> int:
    """The number of a group.

    Raises:
        KeyError: there is none.
    """
    return _number(name) if _DIGITS.fullmatch(name) else grp.getgrnam(name).gr_gid


def _number(digits: str) -> int:
    """Raises KeyError for one that nobody can have: the kernel's numbers have 32 bits, and all ones stand for "as it is"."""
    number = int(digits[:11])
    if number >= 0xFFFFFFFF:
        raise KeyError(digits)
    return number


def _user(config: Config, option: str, name: str) -> int:
    try:
        return user_number(name)
    except KeyError:
        raise ConfigError(f"there is no user {name!r}", option, config.get(option), config.source(option)) from None


def _group(config: Config, option: str, name: str) -> int:
    try:
        return group_number(name)
    except KeyError:
        raise ConfigError(f"there is no group {name!r}", option, name, config.source(option)) from None
