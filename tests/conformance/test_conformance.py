"""Every case of the tables against every endpoint: none failed, none non-strict."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.conformance.case import Case, play
from tests.conformance.conftest import Endpoint
from tests.conformance.tables import all_cases

CASES = all_cases()


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_case(endpoint: Endpoint, case: Case, grades: Counter[str]) -> None:
    result = play(case, endpoint.connect)
    grades[f"{result.grade} on {endpoint.name}"] += 1
    assert result.grade == "passed", f"{result.grade}: {result.detail}"
