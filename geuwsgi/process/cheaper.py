"""How many workers run: between `--cheaper N` and `--processes N`, as there is work.

Source: uWSGI's core/../uwsgi_cheaper_algo_spare and _backlog, looked at once a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

from ..errors import ConfigError
from ..log import log
from ..server.listener import waiting
from ..shared import scoreboard

if TYPE_CHECKING:
    from ..config.config import Config

#: Algorithms of `--cheaper-algo`; uWSGI's busyness is taken for spare.
ALGORITHMS = ("spare", "backlog", "manual")


@dataclass(frozen=True)
class CheaperSettings:
    """When workers come and go.

    Attributes:
        least: the workers that always run; 0 when their number does not change by itself.
        initial: those at the start.
        step: started at once.
        algorithm: one of ALGORITHMS.
        overload: of spare, the seconds for which all workers have to be busy before more are started; of backlog, the connections
            that have to wait.
    """

    least: int
    initial: int
    step: int
    algorithm: str
    overload: int


def cheaper_settings(config: Config) -> CheaperSettings:
    """What was asked for.

    Raises:
        ConfigError: more workers than `--processes`, an unknown algorithm.
    """
    processes: int = config.get("processes")
    least: int = config.get("cheaper")
    initial: int = config.get("cheaper-initial") or least
    algorithm: str = config.get("cheaper-algo")
    for name, number in (("cheaper", least), ("cheaper-initial", initial)):
        if number and number >= processes + (name != "cheaper"):
            message = f"must be less than the number of workers (--processes {processes})"
            raise ConfigError(message, name, str(number), config.source(name))
    if algorithm == "busyness":
        config.warnings.append("cheaper-algo = busyness is not there: spare, which also counts busy workers, takes its place")
        algorithm = "spare"
    if algorithm not in ALGORITHMS:
        raise ConfigError(f"expected one of {', '.join(ALGORITHMS)}", "cheaper-algo", algorithm, config.source("cheaper-algo"))
    if least and config.get("reuse-port"):
        message = "with cheaper a worker that does not run would keep the connections of its own socket waiting: leave one of the two out"
        raise ConfigError(message, "reuse-port", None, config.source("reuse-port"))
    return CheaperSettings(least, max(initial, least), config.get("cheaper-step"), algorithm, config.get("cheaper-overload"))


class Cheaper:
    """Decides once a second.

    Args:
        settings: see CheaperSettings.
        rows: of the workers.
        listeners: descriptors of the listening sockets.
    """

    def __init__(self, settings: CheaperSettings, rows: list[memoryview], listeners: Callable[[], list[int]]) -> None:
        self._settings = settings
        self._rows = rows
        self._listeners = listeners
        self._overloaded = 0
        self._idle = 0

    def decide(self) -> int:
        """How many workers should be started, or with a negative number be ended. Called once a second."""
        active = [row for row in self._rows if row[scoreboard.STATE] == scoreboard.SERVING]
        if not active:
            return 0  # they are starting
        change = 0
        if self._settings.algorithm == "spare":
            change = self._spare(active)
        elif self._settings.algorithm == "backlog":
            change = self._backlog()
        change = min(change, len(self._rows) - len(active))
        return 0 if change < 0 and len(active) <= self._settings.least else change

    def _spare(self, active: list[memoryview]) -> int:
        """Somebody has to be free. With gevent a worker takes more while it is busy, but nobody knows how much more."""
        idle = sum(1 for row in active if not row[scoreboard.RUNNING])
        self._overloaded = 0 if idle else self._overloaded + 1
        # One who is busy at the moment is missed at once; so one more than the least has to be free, and for a while.
        self._idle = self._idle + 1 if idle > self._settings.least else 0
        if self._overloaded > self._settings.overload:
            self._overloaded = 0
            return self._settings.step
        if self._idle > self._settings.overload:
            self._idle = 0
            return -1
        return 0

    def _backlog(self) -> int:
        longest = max(map(waiting, self._listeners()), default=0)
        if longest > self._settings.overload:
            log(f"{longest} connections wait to be accepted")
            return self._settings.step
        return -1 if not longest else 0
