"""The harness's own judgement: what of a log is trouble."""

from __future__ import annotations

from tests.harness.logs import absent_lines, unexpected_lines

CHAINED = """started
GET /chat: the application raised
Traceback (most recent call last):
  File "a.py", line 1, in f
    g()
KeyError: 'x'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "a.py", line 2, in h
OSError: lost
[pid: 1] GET /
"""


def test_a_chain_of_tracebacks_is_one_trouble() -> None:
    (block,) = unexpected_lines(CHAINED)
    assert block.startswith("Traceback")
    assert block.endswith("OSError: lost")
    assert unexpected_lines(CHAINED, ["OSError: lost"]) == []
    assert unexpected_lines(CHAINED, ["ValueError"]) == [block]


def test_warnings_crashes_and_ordinary_lines() -> None:
    assert unexpected_lines("ResourceWarning: unclosed socket\n") == ["ResourceWarning: unclosed socket"]
    assert unexpected_lines("Segmentation fault\n") == ["Segmentation fault"]
    assert unexpected_lines("[pid: 1] GET /error => 200\nspawned uWSGI worker 1\n\n") == []


def test_a_declared_trouble_has_to_come() -> None:
    assert absent_lines("all is well\n", ["ValueError"]) == ["ValueError"]
    assert absent_lines(CHAINED, ["KeyError.*OSError"]) == []
