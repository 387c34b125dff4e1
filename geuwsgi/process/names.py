"""What `ps` shows of each process: `--auto-procname`, `--procname` and their like. Source: uWSGI's documentation of these options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..api.process import setprocname

if TYPE_CHECKING:
    from ..config.config import Config


@dataclass(frozen=True)
class Names:
    """How processes are called.

    Attributes:
        auto: "uWSGI master" and "uWSGI worker 1", unless there is a name.
        name: of all processes, "" for none.
        master: of the master.
        prefix: stands before the name, `append` behind it.
    """

    auto: bool
    name: str
    master: str
    prefix: str
    append: str

    def set(self, role: str) -> None:
        """Name this process.

        Args:
            role: "master", or "worker" and its number.
        """
        name = self.name or (f"uWSGI {role}" if self.auto else "")
        if role == "master" and self.master:
            name = self.master
        if name:
            setprocname(self.prefix + name + self.append)


def names(config: Config) -> Names:
    """What was asked for."""
    spaced = config.get("procname-prefix-spaced")
    return Names(
        auto=config.get("auto-procname"),
        name=config.get("procname") or "",
        master=config.get("procname-master") or "",
        prefix=f"{spaced} " if spaced else config.get("procname-prefix") or "",
        append=config.get("procname-append") or "",
    )
