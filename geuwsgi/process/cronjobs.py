"""Commands that the master runs at certain minutes (`--cron` and its relatives).

Each is the leader of a session of its own. What still runs when the server ends, or executes itself in a reload, goes on; the next image
knows of it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..log import log
from . import originals
from .cron import is_due
from .cronspec import CronSpec


@dataclass
class CronJob:
    """A command, and what runs of it.

    Attributes:
        spec: what and when.
        minute: minutes since 1970 with which it is through.
        running: process id -> `time.time()` of its start.
    """

    spec: CronSpec
    minute: int = 0
    running: dict[int, float] = field(default_factory=dict)


class CronJobs:
    """All commands.

    Args:
        specs: what to run.
        minute: minutes since 1970 that an earlier image was through with; 0 for none.
        old: (command, process id, start) of those that it has left running.
    """

    def __init__(self, specs: Sequence[CronSpec], minute: int, old: Iterable[tuple[str, int, float]]) -> None:
        self._jobs = [CronJob(spec, minute) for spec in specs]
        for command, pid, started in old:
            found = next((job for job in self._jobs if job.spec.command == command), None)
            if found is None:  # it is not asked for any more: only its end is of interest
                found = CronJob(CronSpec(command, (99, 99, 99, 99, 99)))
                self._jobs.append(found)
            found.running[pid] = started

    def running(self) -> list[tuple[str, int, float]]:
        """(command, process id, start) of those that run, for the next image."""
        return [(job.spec.command, pid, started) for job in self._jobs for pid, started in job.running.items()]

    def tick(self) -> None:
        """Start what is due, and kill what has had its time."""
        now = time.time()
        for job in self._jobs:
            for pid in [pid for pid in job.running if not originals.exists(pid)]:
                self.reaped(pid, 0)  # while the application was imported, which took its exit status
            for pid, started in job.running.items():
                if job.spec.harakiri and now - started >= job.spec.harakiri:
                    self._kill(job, pid)
            if job.minute == int(now // 60) or (job.spec.unique and job.running):
                continue
            job.minute = int(now // 60)
            if is_due(job.spec.fields, time.localtime(now)):
                self._start(job, now)

    def reaped(self, pid: int, status: int) -> bool:
        """A child of the master has ended. Whether it was one of these.

        Args:
            pid: its process id.
            status: its exit status, negative for a signal.
        """
        for job in self._jobs:
            started = job.running.pop(pid, None)
            if started is not None:
                how = "" if not status else f", killed by signal {-status}" if status < 0 else f", exit status {status}"
                seconds = max(0, int(time.time() - started))
                log(f'[uwsgi-cron] command "{job.spec.command}" running with pid {pid} exited after {seconds} second(s){how}')
                return True
        return False

    def _start(self, job: CronJob, now: float) -> None:
        try:
            pid = originals.start_program(["/bin/sh", "-c", job.spec.command])
        except OSError as error:
            log(f'[uwsgi-cron] unable to run "{job.spec.command}": {error.strerror}')
            return
        job.running[pid] = now
        log(f'[uwsgi-cron] running "{job.spec.command}" (pid {pid})')

    def _kill(self, job: CronJob, pid: int) -> None:
        log(f'[uwsgi-cron] command "{job.spec.command}" (pid {pid}) runs for {job.spec.harakiri} seconds (harakiri): killed')
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
