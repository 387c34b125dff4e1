"""Samples, their medians, and the ratios of one server to another within the same round."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any, Optional


@dataclass
class Sample:
    """One run of one scenario against one server.

    Attributes:
        scenario: its name.
        server: its name.
        round: runs of one round are neighbours in time, so ratios are made within it.
        rate: what the scenario counts, a second; for memory KiB per connection.
        p50_us: latency in microseconds.
        p99_us: the same.
        cpu_us: CPU of the server per message, in microseconds.
        server_cpu: cores that the server kept busy.
        load_cpu: cores that the load generator kept busy; near 1.0 the figure is the generator's limit.
        errors: messages that were wrong, connections that were lost.
        lost: deliveries that never came.
        connections: how many there were.
        note: what went wrong, in words.
    """

    scenario: str
    server: str
    round: int
    rate: float
    p50_us: float = 0
    p99_us: float = 0
    cpu_us: float = 0
    server_cpu: float = 0
    load_cpu: float = 0
    errors: int = 0
    lost: int = 0
    connections: int = 0
    note: str = ""


@dataclass
class Results:
    """Everything that was measured.

    Attributes:
        machine: processor, versions, options of the run.
        samples: one per scenario, server and round.
        failures: scenario -> server -> why there are no figures.
    """

    machine: dict[str, Any] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)

    def fail(self, scenario: str, server: str, why: str) -> None:
        self.failures.setdefault(scenario, {})[server] = why

    def of(self, scenario: str, server: str) -> list[Sample]:
        """The samples that may be used: with a rate."""
        return [s for s in self.samples if s.scenario == scenario and s.server == server and s.rate > 0]

    def servers(self, scenario: str) -> list[str]:
        """Names with a usable sample, in the order of measurement."""
        return list(dict.fromkeys(s.server for s in self.samples if s.scenario == scenario and s.rate > 0))

    def median(self, scenario: str, server: str, figure: str = "rate") -> Optional[float]:
        """The median of a figure; None when there is no sample."""
        values = [float(getattr(sample, figure)) for sample in self.of(scenario, server)]
        return statistics.median(values) if values else None

    def ratio(self, scenario: str, server: str, other: str, figure: str = "rate") -> Optional[float]:
        """The median over the rounds of server's figure divided by other's in that round."""
        theirs = {sample.round: float(getattr(sample, figure)) for sample in self.of(scenario, other)}
        ratios = [float(getattr(sample, figure)) / theirs[sample.round] for sample in self.of(scenario, server) if theirs.get(sample.round)]
        return statistics.median(ratios) if ratios else None

    def summary(self) -> list[dict[str, Any]]:
        """Medians and ratios for the JSON, one entry per scenario and server."""
        rows = []
        for scenario in dict.fromkeys(sample.scenario for sample in self.samples):
            for server in self.servers(scenario):
                row: dict[str, Any] = {"scenario": scenario, "server": server, "samples": len(self.of(scenario, server))}
                for figure in ("rate", "p50_us", "p99_us", "cpu_us", "server_cpu", "load_cpu", "errors", "lost", "connections"):
                    row[figure] = round(self.median(scenario, server, figure) or 0, 3)
                row["geuwsgi_is"] = self.ratio(scenario, "geuwsgi", server)
                rows.append(row)
        return rows

    def to_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "summary": self.summary(),
            "samples": [asdict(sample) for sample in self.samples],
            "failures": self.failures,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Results:
        return cls(data["machine"], [Sample(**sample) for sample in data["samples"]], data["failures"])
