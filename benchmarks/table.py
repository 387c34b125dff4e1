"""The results as text."""

from __future__ import annotations

from typing import Optional

from results import Results
from scenarios import BY_NAME, Scenario
from servers import SERVERS

TITLES = {server.name: server.title for server in SERVERS}
WIDTH = 62
LEGEND = (
    "\ngeuwsgi: its figure divided by the line's, median over rounds. CPU us: the server's, per message. server, load: cores kept busy.\n"
    "Redis runs on the server's core."
)
UNDISTURBED = 0.85  # cores that the busier of server and load reaches on a machine that does nothing else
BUSY = 0.97  # a load generator that is busier than this is the limit itself


def duration(microseconds: Optional[float]) -> str:
    """A latency with its unit, three digits."""
    if not microseconds:
        return "-"
    if microseconds < 1000:
        return f"{microseconds:.0f} us"
    return f"{microseconds / 1000:.3g} ms" if microseconds < 1e6 else f"{microseconds / 1e6:.3g} s"


def rows(results: Results, scenario: Scenario) -> list[str]:
    """One line per server: the figure, geuwsgi against it, latency, CPU, remarks."""
    lines = []
    for server in sorted(results.servers(scenario.name), key=list(TITLES).index):
        figure = results.median(scenario.name, server) or 0
        ratio = results.ratio(scenario.name, "geuwsgi", server)
        rate = f"{figure:,.1f}" if scenario.memory else f"{figure:,.0f}"
        against = f"{ratio:.2f}" if ratio else "-"
        line = f"  {TITLES[server]:<{WIDTH}}{rate:>12}{against:>9}"
        if not scenario.memory:
            cpu = results.median(scenario.name, server, "cpu_us") or 0
            line += f"{duration(results.median(scenario.name, server, 'p50_us')):>10}"
            line += f"{duration(results.median(scenario.name, server, 'p99_us')):>10}{cpu:>9.1f}"
            line += f"{100 * (results.median(scenario.name, server, 'server_cpu') or 0):>6.0f}%"
            line += f"{100 * (results.median(scenario.name, server, 'load_cpu') or 0):>6.0f}%"
        lines.append(line + remarks(results, scenario, server))
    return lines


def remarks(results: Results, scenario: Scenario, server: str) -> str:
    """What a reader must know before believing the line."""
    samples = results.of(scenario.name, server)
    words = []
    errors, lost = sum(sample.errors for sample in samples), sum(sample.lost for sample in samples)
    if errors:
        words.append(f"{errors} errors")
    if lost:
        words.append(f"{lost:,} deliveries lost")
    words += list(dict.fromkeys(sample.note for sample in samples if sample.note))[:1]
    if not scenario.fixed_work and (results.median(scenario.name, server, "load_cpu") or 0) > BUSY:
        words.append("the load generator was the limit")
    return "  ! " + "; ".join(words) if words else ""


def disturbed(results: Results, scenario: Scenario) -> str:
    """A warning when neither server nor load had its core to itself, though there was work enough."""
    if scenario.memory or scenario.fixed_work or scenario.load == "connect" or scenario.connections < 50:
        return ""
    samples = [sample for sample in results.samples if sample.scenario == scenario.name and sample.rate > 0]
    idle = [sample for sample in samples if max(sample.server_cpu, sample.load_cpu) < UNDISTURBED]
    if 2 * len(idle) <= len(samples):
        return ""
    return "  other work kept the machine busy: the rates are too low, read the CPU column"


def scenario_table(results: Results, scenario: Scenario) -> str:
    """The table of one scenario."""
    head = f"\n{scenario.title:<{WIDTH + 2}}{scenario.unit:>12}{'geuwsgi':>9}"
    if not scenario.memory:
        head += f"{'p50':>10}{'p99':>10}{'CPU us':>9}{'server':>7}{'load':>7}"
    lines = [head, *rows(results, scenario)]
    for server, why in results.failures.get(scenario.name, {}).items():
        lines.append(f"  {TITLES.get(server, server):<{WIDTH}}{'no figure':>12}  ! {why}")
    if words := disturbed(results, scenario):
        lines.append(words)
    return "\n".join(lines)


def whole(results: Results) -> str:
    """Every scenario that has something to show."""
    names = dict.fromkeys([*(sample.scenario for sample in results.samples), *results.failures])
    text = [scenario_table(results, scenario) for name, scenario in BY_NAME.items() if name in names]
    return "\n".join([*text, LEGEND])
