"""All cases."""

from __future__ import annotations

from tests.conformance import closing, control, framing, unicode
from tests.conformance.case import Case


def all_cases() -> list[Case]:
    """Every case once, in the order of the modules."""
    found = [case for module in (framing, control, unicode, closing) for case in module.cases()]
    names = [case.id for case in found]
    doubled = {name for name in names if names.count(name) > 1}
    assert not doubled, f"ids used twice: {doubled}"
    return found
