"""Fixtures of the protocol tests."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from tests.protocol.decoders import IMPLEMENTATIONS


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def decoder_class(request: pytest.FixtureRequest) -> Callable[[int], Any]:
    """Each implementation of the decoder in turn."""
    return IMPLEMENTATIONS[request.param]
