"""What paths and numbers in heads mean."""

from __future__ import annotations

import pytest

from geuwsgi.protocol.head import LARGEST, decimal, path_info


@pytest.mark.parametrize(
    ("digits", "number"),
    [
        ("", 0),
        ("0", 0),
        ("007", 7),
        ("0" * 100_000 + "12", 12),
        ("9223372036854775806", LARGEST - 1),
        ("9223372036854775808", LARGEST),
        ("18446744073709551615", LARGEST),
        ("1" + "0" * 100_000, LARGEST),
    ],
)
def test_decimal(digits: str, number: int) -> None:
    assert decimal(digits) == number


@pytest.mark.parametrize(
    ("path", "meaning"),
    [("/a/b", "/a/b"), ("/a/../b", "/b"), ("/a/%2e%2e/b", "/a/../b"), ("/../..", "/"), ("/a/.", "/a/"), ("/.a/..b", "/.a/..b"), ("*", "*")],
)
def test_path_info(path: str, meaning: str) -> None:
    assert path_info(path) == meaning
