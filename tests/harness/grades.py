"""How many cases of the conformance suite have had which grade; told at the end of the run. A pytest plugin."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

GRADES: Counter[str] = Counter()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With pytest-xdist the cases are played in other processes, which hand their grades over."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["grades"] = dict(GRADES)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    GRADES.update(getattr(node, "workeroutput", {}).get("grades", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if GRADES:
        terminalreporter.write_line("conformance: " + ", ".join(f"{count} {grade}" for grade, count in sorted(GRADES.items())))
