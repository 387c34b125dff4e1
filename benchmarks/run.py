"""Compares geuwsgi with its peers: `python benchmarks/run.py --help`, or `sh scripts/bench`, which installs the peers first."""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import floors
import machine
import native
import table
from measure import Lengths, Load
from pool import Pool
from process import Process, StartError
from results import Results, Sample
from scenarios import SCENARIOS, Scenario
from servers import SERVERS, Server, by_name

ROOT = Path(__file__).resolve().parent.parent
Plan = list[tuple[Scenario, list[Server]]]


def parse(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Websocket and HTTP benchmarks: geuwsgi and each peer in turn, the server on one core and the load on another.",
        epilog="scenarios: "
        + ", ".join(scenario.name for scenario in SCENARIOS)
        + ". servers: "
        + ", ".join(server.name for server in SERVERS),
    )
    parser.add_argument("--quick", action="store_true", help="one short round with the main peers: under two minutes")
    parser.add_argument(
        "--only", action="append", metavar="SCENARIO", help="only these scenarios (repeatable, commas, patterns such as 'echo-*')"
    )
    parser.add_argument("--peers", metavar="A,B", help="only these servers")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each scenario (default 3, 1 with --quick)")
    parser.add_argument("--seconds", type=float, metavar="S", help="seconds of a run that count (default 2, 0.7 with --quick)")
    parser.add_argument("--floors", action="store_true", help="measure what the figures to reach need, and print each with its verdict")
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="the interpreter that has geuwsgi (default: this one)")
    parser.add_argument(
        "--cpus", metavar="SERVER,LOAD", help="core of the server, core of the load generator (default: the first and the last)"
    )
    parser.add_argument("--json", type=Path, default=ROOT / "artifacts" / "benchmarks.json", metavar="FILE", help="where the figures go")
    parser.add_argument(
        "--plot", type=Path, nargs="?", const=ROOT / "docs" / "benchmarks.png", metavar="FILE", help="draw them (docs/benchmarks.png)"
    )
    parser.add_argument(
        "--from", type=Path, dest="source", metavar="FILE", help="measure nothing, print (and plot) the figures of this JSON"
    )
    return parser.parse_args(argv)


def choose(arguments: argparse.Namespace) -> Plan:
    """Which servers are measured in which scenario.

    Raises:
        SystemExit: a name that is none.
    """
    patterns = [name.strip() for names in arguments.only or ["*"] for name in names.split(",")]
    chosen = [scenario for scenario in SCENARIOS if any(fnmatch.fnmatch(scenario.name, pattern) for pattern in patterns)]
    for pattern in patterns:
        if not any(fnmatch.fnmatch(scenario.name, pattern) for scenario in SCENARIOS):
            sys.exit(f"bench: --only {pattern}: there is no such scenario; there are {', '.join(scenario.name for scenario in SCENARIOS)}")
    try:
        servers = by_name(arguments.peers.split(",")) if arguments.peers else list(SERVERS)
    except KeyError as error:
        sys.exit(f"bench: --peers {error.args[0]}: there is no such server; there are {', '.join(server.name for server in SERVERS)}")
    needed: Optional[set[tuple[str, str]]] = None
    if arguments.floors:
        needed = {pair for row in floors.FLOORS for pair in row.needs()}
    plan: Plan = []
    for scenario in chosen:
        able = [server for server in servers if scenario.ability in server.can]
        if needed is not None:
            able = [server for server in able if (scenario.name, server.name) in needed]
        elif arguments.quick and not arguments.peers:
            able = [server for server in able if scenario.quick and server.name in scenario.quick]
        if able:
            plan.append((scenario, able))
    return plan


def measure_scenario(scenario: Scenario, servers: list[Server], rounds: int, pool: Pool, load: Load, results: Results) -> None:
    """Every server once in each round, in an order that turns from round to round."""
    for number in range(rounds):
        turned = servers[number % len(servers) :] + servers[: number % len(servers)]
        for server in turned:
            if server.name in results.failures.get(scenario.name, {}):
                continue
            say(f"{scenario.name}: round {number + 1} of {rounds}: {server.name}")
            try:
                sample = measure_once(scenario, server, number, pool, load)
            except StartError as error:
                results.fail(scenario.name, server.name, f"did not start: {error}")
                continue
            if sample.rate <= 0:
                results.fail(scenario.name, server.name, sample.note)
            results.samples.append(sample)


def measure_once(scenario: Scenario, server: Server, number: int, pool: Pool, load: Load) -> Sample:
    if not scenario.memory:
        process = pool.get(server, scenario.app, scenario.backlog)
        return explained(load.rate(scenario, server, process, number), process)
    process = pool.start(server, scenario.app)  # a fresh one: its heap has no free room that hides the cost
    try:
        return explained(load.memory(scenario, server, process, number), process)
    finally:
        process.stop()


def explained(sample: Sample, process: Process) -> Sample:
    """Without a figure, what the server printed last belongs to the story."""
    if sample.rate <= 0:
        sample.note = f"{sample.note or 'no messages'}; the server said: {process.last_words()}"
    return sample


def say(words: str) -> None:
    """Progress, on a terminal only, in one line that is written over."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{words}")
        sys.stderr.flush()


def cores(given: Optional[str]) -> tuple[int, int]:
    """(server, load)

    Raises:
        SystemExit: not two core numbers.
    """
    usable = sorted(os.sched_getaffinity(0))
    if given:
        try:
            server, load = (int(part) for part in given.split(","))
        except ValueError:
            sys.exit(f"bench: --cpus {given}: two core numbers are wanted, such as 0,1")
        return server, load
    if len(usable) < 2:
        print("bench: only one core: server and load generator share it, so read the ratios with care", file=sys.stderr)
    return usable[0], usable[-1]


def with_tls(plan: Plan) -> tuple[Plan, str]:
    """The plan, and the load generator for its TLS scenarios; without them where it cannot be made."""
    if not any(scenario.tls for scenario, _ in plan):
        return plan, ""
    try:
        return plan, native.build("load", tls=True)
    except subprocess.CalledProcessError:
        print("bench: what is measured over TLS is left out: it wants OpenSSL's headers (libssl-dev)", file=sys.stderr)
        return [(scenario, servers) for scenario, servers in plan if not scenario.tls], ""


def run(arguments: argparse.Namespace) -> Results:
    plan = choose(arguments)
    if not plan:
        sys.exit("bench: none of the servers can do any of the scenarios")
    try:
        load_binary, echo_binary = native.build("load"), native.build("echo")
        plan, tls_binary = with_tls(plan)
    except native.NoCompiler as error:
        sys.exit(f"bench: {error}")
    server_core, load_core = cores(arguments.cpus)
    os.sched_setaffinity(0, {load_core})
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    seconds = arguments.seconds or (0.7 if arguments.quick else 2.0)
    lengths = Lengths(seconds, min(0.5, seconds / 3))
    results = Results(machine.describe(by_name([server.name for _, servers in plan for server in servers]), arguments.python))
    about = results.machine
    about.update(rounds=rounds, seconds=seconds)
    print(f"{about['processor']}, {about['cores']} cores, Python {about['python']}; {about['geuwsgi']}")
    print(", ".join(f"{name} {version}" for name, version in about["versions"].items()))
    pool = Pool([server_core], load_core, arguments.python, echo_binary)
    load = Load(load_binary, tls_binary, load_core, lengths)
    try:
        for position, (scenario, servers) in enumerate(plan):
            measure_scenario(scenario, servers, 1 if scenario.memory else rounds, pool, load, results)
            say("")
            print(table.scenario_table(results, scenario), flush=True)
            if all(later.app != scenario.app for later, _ in plan[position + 1 :]):
                pool.stop(scenario.app)
    finally:
        pool.stop()
    return results


def main() -> int:
    arguments = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped
    started = time.monotonic()
    if arguments.source:
        results = Results.from_json(json.loads(arguments.source.read_text()))
        print(table.whole(results))
    else:
        results = run(arguments)
        print(table.LEGEND)
    print(floors.table(results))
    if not arguments.source:
        results.machine["took"] = round(time.monotonic() - started)
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(results.to_json(), indent=1) + "\n")
        print(f"\n{results.machine['took']} s; the figures are in {os.path.relpath(arguments.json)}")
    if arguments.plot:
        import plot  # matplotlib is needed here only

        plot.draw(results, arguments.plot)
        print(f"drawn in {os.path.relpath(arguments.plot)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
