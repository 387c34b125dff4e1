"""Every case of the tables against every endpoint: none failed, none non-strict."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.conformance.case import Case, play
from tests.conformance.conftest import CARRIERS, ENDPOINTS, FRONTS, Endpoint, goes_through
from tests.conformance.tables import all_cases

CASES = all_cases()


PLAYED = [(name, case) for name in ENDPOINTS for case in CASES]
PLAYED += [(name, case) for name in (*CARRIERS, *FRONTS) for case in CASES if goes_through(name, case)]


@pytest.mark.parametrize(("endpoint", "case"), PLAYED, ids=[f"{name}-{case.id}" for name, case in PLAYED], indirect=["endpoint"])
def test_case(endpoint: Endpoint, case: Case, grades: Counter[str]) -> None:
    result = play(case, endpoint.connect, orderly=endpoint.name not in FRONTS)
    grades[f"{result.grade} on {endpoint.name}"] += 1
    assert result.grade == "passed", f"{result.grade}: {result.detail}"
