"""The table itself: names that clash, arguments that differ from uWSGI's, groups that the help would not print."""

from __future__ import annotations

import subprocess

import pytest

from geuwsgi.config import known, options
from tests.harness.programs import find_uwsgi


def test_every_name_once() -> None:
    names = [name for option in options.OPTIONS for name in option.names]
    assert len(names) == len(set(names))


def test_arities_do_not_overlap() -> None:
    assert not known.REQUIRED & known.OPTIONAL
    assert not known.REQUIRED & known.NONE
    assert not known.OPTIONAL & known.NONE


@pytest.mark.parametrize("option", options.OPTIONS, ids=lambda option: option.name)
def test_row(option: options.Option) -> None:
    assert option.group in options.GROUPS
    assert option.kind in ("flag", "int", "float", "str", "mode")
    assert not option.help.endswith(".")
    must_have_one = option.name == "http-quiet"  # a flag whose word uWSGI demands
    assert (option.kind == "flag" and not must_have_one) is (option.metavar == "")
    assert (option.kind == "flag") is isinstance(option.default, bool)
    if option.short:
        assert known.SHORT[option.short] in option.names
    for name in option.names:
        # A row may not take another argument than uWSGI's option of that name; need-app is a flag that may have one, and so is another.
        expected = "required" if must_have_one else "none" if option.kind == "flag" else "required" if option.bare is None else "optional"
        may_have_one = name in ("need-app", "http-enable-proxy-protocol")
        assert options.argument(name) in (expected, "optional" if may_have_one else expected)


def test_arguments_of_known_options() -> None:
    assert options.argument("touch-reload") == "required"
    assert options.argument("log-date") == "optional"
    assert options.argument("log-5xx") == "none"
    assert options.argument("ready-file") == "required"
    assert options.argument("no-such-thing") is None


@pytest.mark.differential
def test_the_real_uwsgi_has_no_other_options() -> None:
    """Every option that `uwsgi --help` prints is known, with its letter."""
    text = subprocess.run([find_uwsgi(), "--help"], stdout=subprocess.PIPE, check=True, text=True).stdout
    seen = set()
    for line in text.splitlines():
        if not line.startswith("    -"):
            continue
        letter, _, name = line.split()[0].rpartition("|")
        name = name[2:]
        assert options.argument(name) is not None, name
        if letter and letter not in seen:  # the first one of a letter gives the name
            seen.add(letter)
            assert known.SHORT[letter[1:]] == name
    assert len(seen) > 20
