"""One run: the load generator against one server, with the server's CPU or memory read beside it."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from process import Process
from results import Sample
from scenarios import Scenario
from servers import Server

HTTP2_LOAD = Path(__file__).resolve().parent / "http2load.py"
OPEN_TIMEOUT = 30
SPARE_DESCRIPTORS = 200
WARM_CONNECTIONS = 50  # opened and closed before memory is read, so that what a server loads on first use is not counted per connection


@dataclass(frozen=True)
class Lengths:
    """Seconds of a run that count, and before them."""

    seconds: float
    warmup: float


class Load:
    """Runs the compiled load generator on its core."""

    def __init__(self, binary: str, tls_binary: str, core: int, lengths: Lengths) -> None:
        self._binary = binary
        self._tls_binary = tls_binary
        self._core = core
        self._lengths = lengths

    def command(self, scenario: Scenario, port: int, connections: int, seconds: float) -> list[str]:
        options = {
            "--port": str(port),
            "--connections": str(connections),
            "--cpu": str(self._core),
            "--seconds": str(seconds),
            "--warmup": str(self._lengths.warmup),
            "--open-timeout": str(OPEN_TIMEOUT),
        }
        program = [self._tls_binary if scenario.tls else self._binary]
        if scenario.load.startswith("h2-"):
            program = [sys.executable, str(HTTP2_LOAD)]
        command = [*program, scenario.load]
        for name, value in [*options.items(), *scenario.options]:
            command += [name, value]
        return command

    def rate(self, scenario: Scenario, server: Server, process: Process, number: int) -> Sample:
        """Messages a second, latency, CPU per message."""
        before, since = process.cpu(), time.monotonic()
        done: Optional[dict[str, Any]] = None
        command = self.command(scenario, process.port, scenario.connections, self._lengths.seconds)
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as load:
            try:
                assert load.stdout is not None
                for line in load.stdout:
                    event = json.loads(line)
                    if event["event"] == "measure":
                        before, since = process.cpu(), time.monotonic()
                    elif event["event"] == "done":
                        done = event
                        cpu, elapsed = process.cpu() - before, time.monotonic() - since
            finally:
                load.kill()
        if done is None:
            return Sample(scenario.name, server.name, number, 0, note="the load generator ended without figures")
        sample = sample_of(done, scenario, server, number)
        if done["messages"]:
            sample.cpu_us = cpu / done["messages"] * 1e6
            sample.server_cpu = cpu / elapsed
        if not process.alive():
            sample.errors += 1
            sample.note = sample.note or f"the server died: {process.last_words()}"
        return sample

    def memory(self, scenario: Scenario, server: Server, process: Process, number: int) -> Sample:
        """KiB of USS per idle websocket: the difference that the connections make, divided by their number."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        connections = min(scenario.connections, (limit - SPARE_DESCRIPTORS) // server.descriptors)
        warm = self.command(scenario, process.port, WARM_CONNECTIONS, 0)
        subprocess.run(warm, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
        empty = process.memory()
        command = self.command(scenario, process.port, connections, 30)
        used = 0
        done: Optional[dict[str, Any]] = None
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
            try:
                assert load.stdin is not None
                assert load.stdout is not None
                for line in load.stdout:
                    event = json.loads(line)
                    if event["event"] == "open":
                        connections = event["connections"]
                        time.sleep(0.3)  # what a server does after the answer, it does now
                        used = process.memory()
                        load.stdin.close()
                    elif event["event"] == "done":
                        done = event
            finally:
                load.kill()
        if done is None or not connections:
            return Sample(scenario.name, server.name, number, 0, note="no connections")
        sample = sample_of(done, scenario, server, number)
        sample.rate = max(used - empty, 0) / 1024 / connections
        sample.connections = connections
        if connections < scenario.connections:
            sample.note = sample.note or f"with {connections:,} of {scenario.connections:,} (descriptors)"
        return sample


def sample_of(done: dict[str, Any], scenario: Scenario, server: Server, number: int) -> Sample:
    note = done["first_error"]
    if done["stalls"] and not note:
        note = f"{done['stalls']} times nothing came for half a second: the messages under way are lost"
    return Sample(
        scenario.name,
        server.name,
        number,
        done["rate"],
        done["p50_us"],
        done["p99_us"],
        load_cpu=done["load_cpu"],
        errors=done["errors"],
        lost=done["lost"],
        connections=done["connections"],
        note=note,
    )
