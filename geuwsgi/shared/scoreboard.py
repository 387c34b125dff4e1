"""What the workers of one master are doing: a row of numbers for each, in memory that all of them see.

The columns are written by the worker itself, but for those marked with (m), which are the master's.
"""

from __future__ import annotations

from .memory import shared_words

#: (m) Its process; 0 while there is none.
PID = 0
#: (m) What becomes of it, one of the states below.
STATE = 1
#: (m) `time.time()` of its start, whole seconds.
LAST_SPAWN = 2
#: (m) How often it was started again.
RESPAWNS = 3
#: Requests served by all processes that had this number, and by the present one.
REQUESTS = 4
DELTA_REQUESTS = 5
#: Requests in which the application raised.
EXCEPTIONS = 6
#: Requests being served.
RUNNING = 7
#: Connections open, websockets included; a number beyond all others for a worker that accepts none. (m) for a dead one.
CONNECTIONS = 8
#: Connections ever accepted.
ACCEPTED = 14
#: Bytes sent.
TRANSMITTED = 9
#: Microseconds spent in requests, and in one of them on average.
RUNNING_TIME = 10
AVERAGE_TIME = 11
#: Bytes of memory: resident, virtual.
RSS = 12
VSZ = 13
#: With `--harakiri`: `time.time()` of the loop's last turn, and of the end of the first limit that the application has set (0: none).
HEARTBEAT = 15
DEADLINE = 16
#: Signals of uWSGI's signal framework: handled; raised or taken and lost; greenlets that wait for one.
SIGNALS = 17
LOST_SIGNALS = 19
WAITING = 18

_COLUMNS = 20

#: Values of STATE: no process; a process that does not serve yet; one that does; one that accepts no more.
ABSENT = 0
STARTING = 1
SERVING = 2
LEAVING = 3


class Scoreboard:
    """The rows.

    Args:
        workers: how many; they are numbered from 1, as everywhere in uWSGI.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._words = shared_words(workers * _COLUMNS)

    def row(self, worker_id: int) -> memoryview:
        """The row of a worker, to be indexed with the constants above; it stays the same memory for all that have this number."""
        start = (worker_id - 1) * _COLUMNS
        return self._words[start : start + _COLUMNS]

    def rows(self) -> list[memoryview]:
        """All rows, that of worker 1 first."""
        return [self.row(number) for number in range(1, self.workers + 1)]

    def column(self, column: int) -> memoryview:
        """That number of each worker, to be indexed from 0."""
        return self._words[column::_COLUMNS]

    def total(self, column: int) -> int:
        """The sum of a column."""
        return sum(self.column(column))
