"""What `--route-if` can ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from geuwsgi.server.patterns import pattern
from geuwsgi.server.routes.conditions import ABSENT, CONDITIONS, make_condition
from tests.server.routes.rules import context


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("equal:${A};abc", True),
        ("isequal:${A};ab", False),
        ("eq:${A};${A}", True),
        ("==:a;a", True),
        ("equal:${A};", False),
        ("equal:${NONE};", True),
        ("startswith:${A};ab", True),
        ("startswith:${A};bc", False),
        ("endswith:${A};bc", True),
        ("endswith:${A};xabc", False),
        ("contains:${A};b", True),
        ("contain:${A};ca", False),
        ("contains:a${A};ab", True),
        ("contains:${A};", False),
        ("contains:;", False),
        ("regexp:${A};^(.)b", True),
        ("re:${A};^b", False),
        ("empty:${NONE}", True),
        ("empty:${A}", False),
        ("ishigher:${N};9", True),
        ("ishigher:${N};10", False),
        (">:${N};-1", True),
        ("ishigherequal:${N};10", True),
        (">=:${N};11", False),
        ("islower:${N};11", True),
        ("<:${N};10", False),
        ("islowerequal:${N};10", True),
        ("<=:${N};9", False),
        ("ishigher:${A};-1", True),  # no number is 0
        ("ishigher:  12x;11", True),
        ("ishigher:${LONG};9223372036854775806", True),
        ("ishigher:${LONG};9223372036854775807", False),
        ("islower:-${LONG};-9223372036854775806", True),
        ("ishigher:+007;6", True),
        ("ipv4in:10.1.2.3;10.0.0.0/8", True),
        ("ipv4in:11.1.2.3;10.0.0.0/8", False),
        ("ipv4in:10.1.2.3;10.1.2.3", True),
        ("ipv4in:10.1.2.3;10.9.9.9/8", True),  # bits behind the mask do not count
        ("ipv4in:${A};10.0.0.0/8", False),
        ("ipv4in:::1;0.0.0.0/0", False),
        ("ipv6in:2001:db8::1;2001:db8::/32", True),
        ("ipv6in:2001:db9::1;2001:db8::/32", False),
        ("ipv6in:10.1.2.3;::/0", False),
        ("ipv4in:10.1.2.3;${NETWORK}", True),
        ("ipv4in:10.1.2.3;${A}", False),
    ],
)
def test_conditions(text: str, expected: bool) -> None:
    assert make_condition(text)(context(A="abc", N="10", NETWORK="10.0.0.0/8", LONG="9" * 5000)) is expected


def test_files(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "program").touch(0o755)
    (tmp_path / "ü").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "nowhere").symlink_to("gone")
    holds = {
        name: {condition for condition in ("exists", "isfile", "isdir", "islink", "isexec") if ask(condition, tmp_path, name)}
        for name in ("file", "program", "folder", "link", "nowhere", "gone", "ü", "x\0y")
    }
    assert holds == {
        "file": {"exists", "isfile"},
        "program": {"exists", "isfile", "isexec"},
        "folder": {"exists", "isdir", "isexec"},
        "link": {"exists", "isfile", "islink"},
        "nowhere": {"islink"},
        "gone": set(),
        "ü": {"exists", "isfile"},
        "x\0y": set(),
    }


def ask(condition: str, folder: Path, name: str) -> bool:
    return make_condition(f"{condition}:{folder}/${{NAME}}")(context(NAME=name.encode().decode("latin-1")))


def test_a_regular_expression_leaves_its_groups() -> None:
    found = context(A="abc")
    assert make_condition("regexp:${A};(b)(c)")(found)
    assert found.group(2) == "c"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("equal", "NAME:ARGUMENT"),
        ("equal:x", "semicolon"),
        ("regexp:x", "semicolon"),
        ("regexp:x;(", "no regular expression"),
        ("ipv4in:x;10.0.0.0/99", "'99' is not a valid netmask"),
        ("nonsense:x", "there is no condition nonsense"),
        ("lord:x", "legion"),
        ("exists:${no[x]}", "there is no no"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_condition(text)


def test_none_is_both_there_and_absent() -> None:
    assert not ABSENT.keys() & CONDITIONS.keys()


@pytest.mark.parametrize(
    ("expression", "text", "found"),
    [
        ("^/x", "/x/y", "/x"),
        ("(?i)ABC", "xabcx", "abc"),
        ("(?<name>a)(?P=name)", "aa", "aa"),
        ("(?<=a)b", "ab", "b"),
        ("(?<!a)b", "ab", None),
        (r"a\z", "a\n", None),
        (r"\ha", "\ta", "\ta"),
        ("[[:digit:]]+", "ab12", "12"),
        ("[[:alpha:]_]+", "12ab_", "ab_"),
        ("[^[:space:]]", " x", "x"),
        (r"\(\?<x", "(?<x", "(?<x"),
        (r"\w+", "\xe9", None),  # a byte that is no letter
        ("é", "Ã©", "Ã©"),
        (r"\d", "\u0661", None),
    ],
)
def test_expressions_as_pcre_has_them(expression: str, text: str, found: object) -> None:
    match = pattern(expression).search(text)
    assert (match[0] if match else None) == found
