"""A signal that ends the start, in which everything else may be running: the application's import included."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn, Optional

#: Those that do.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


class Interrupted(KeyboardInterrupt, SystemExit):
    """A signal during the start.

    A KeyboardInterrupt, which applications let pass and gevent hands to the main greenlet, and a SystemExit, whose traceback gevent does
    not print while it does so.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def interrupt(number: int, frame: Optional[FrameType]) -> NoReturn:
    """The handler of these signals."""
    raise Interrupted(number)
