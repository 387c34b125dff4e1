from __future__ import annotations

from collections.abc import Iterator

import pytest

from .fronting import Backends


@pytest.fixture
def backends(no_leaks: None) -> Iterator[Backends]:
    made = Backends()
    yield made
    made.finish()
