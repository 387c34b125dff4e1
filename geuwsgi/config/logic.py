"""Conditions and loops among options: `if-env = HOME` ... `endif =`, `for = a b c` ... `endfor =`.

A loop does not repeat its block: each option inside is given once for every value of the loop, with `%(_)` standing for it.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from typing import Callable, Optional

ENDS = frozenset(("end", "endif", "end-if", "endfor", "end-for"))

_SPELLINGS = {
    "ifenv": "if-env",
    "ifexists": "if-exists",
    "ifdir": "if-dir",
    "if-directory": "if-dir",
    "ifplugin": "if-plugin",
}
_POSITIVE = ("env", "opt", "exists", "file", "dir", "hostname", "hostname-match", "plugin", "reload")
_LOOPS = ("for", "for-glob", "for-times", "for-readline")

CONDITIONS = frozenset((*_LOOPS, *_SPELLINGS, *(f"if-{what}" for what in _POSITIVE), *(f"if-not-{what}" for what in _POSITIVE)))

#: What `if-plugin` finds: built in, as in the uWSGI that pip makes.
_PLUGINS = frozenset(("python", "python3", "gevent", "gevent3", "http", "corerouter", "greenlet"))

#: Turns of `for-times`. Each option inside is there so many times.
_MOST_TIMES = 100_000


def values(
    name: str, argument: str, value: Optional[str], environ: Mapping[str, str], lookup: Callable[[str], Optional[str]]
) -> list[Optional[str]]:
    """The values with which an option inside of a condition or loop is given: none, one, or one for each turn.

    Args:
        name: the condition or loop, one of CONDITIONS.
        argument: its argument.
        value: the value of the option inside.
        environ: for if-env.
        lookup: for if-opt: name -> value of the first option of that name.
    Raises:
        OSError: the file of for-readline.
        ValueError: for-times without end.
    """
    if name in _LOOPS:
        return [_filled(value, item) for item in _items(name, argument)]
    name = _SPELLINGS.get(name, name)
    wanted = not name.startswith("if-not-")
    holds, item = _test(name[3:] if wanted else name[7:], argument, environ, lookup)
    return [_filled(value, item)] if holds is wanted else []


def _filled(value: Optional[str], item: Optional[str]) -> Optional[str]:
    return value if value is None or item is None else value.replace("%(_)", item)


def _items(name: str, argument: str) -> list[str]:
    if name == "for":
        return [item for item in argument.split(" ") if item]
    if name == "for-glob":
        # Directories are marked, and a pattern that matches nothing stands for itself.
        return sorted(path + "/" if os.path.isdir(path) else path for path in glob.glob(argument)) or [argument]
    if name == "for-times":
        match = re.match(r"\s*0*([0-9]+)", argument, re.ASCII)
        times = int(match[1][:9]) if match else 0
        if times > _MOST_TIMES:
            raise ValueError(f"at most {_MOST_TIMES} times")
        return [str(number) for number in range(1, times + 1)]
    with open(argument, encoding="utf-8", errors="surrogateescape") as file:
        return [line.rstrip("\n") for line in file]


def _test(what: str, argument: str, environ: Mapping[str, str], lookup: Callable[[str], Optional[str]]) -> tuple[bool, Optional[str]]:
    """Whether it holds, and what `%(_)` stands for."""
    if what in ("env", "opt"):
        key, equals, expected = argument.partition("=")
        actual = environ.get(key) if what == "env" else lookup(key)
        return actual is not None and (not equals or actual == expected), actual
    if what == "exists":
        return os.path.exists(argument), argument
    if what == "file":
        return os.path.isfile(argument), argument
    if what == "dir":
        return os.path.isdir(argument), argument
    if what == "hostname":
        return os.uname().nodename == argument, argument
    if what == "hostname-match":
        return re.search(argument, os.uname().nodename) is not None, argument
    if what == "plugin":
        return argument in _PLUGINS, argument
    return "GEUWSGI_HANDOVER" in environ, None  # reload; see process/handover.py
