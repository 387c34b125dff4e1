"""What `--route-if` and its relatives can ask.

Each condition is made once, at the start, of what stands behind its name, and is then called with each request. It is a mistake here, and
stops the start, when one that compares two things is given only one; in uWSGI such a rule never applies.

Source: the `uwsgi_route_condition_*` functions.
"""

from __future__ import annotations

import ipaddress
import os
import re
import stat
from typing import TYPE_CHECKING, Callable, Union

from ...protocol.head import decimal
from ..patterns import pattern
from .substitution import Template

if TYPE_CHECKING:
    from .context import Context

Condition = Callable[["Context"], bool]

_NUMBER = re.compile(r"[ \t\n\r\f\v]*([+-]?)([0-9]+)", re.ASCII)


def number(text: str) -> int:
    """The number at the beginning of a text, 0 without one, as C's strtol, which knows no larger ones than 64 bits have."""
    match = _NUMBER.match(text)
    if match is None:
        return 0
    found = decimal(match[2])
    return -found if match[1] == "-" else found


def path(text: str) -> str:
    """A text of the environ as a file's name."""
    return os.fsdecode(text.encode("latin-1"))


def _file(test: Callable[[str], bool]) -> Callable[[str], Condition]:
    def make(argument: str) -> Condition:
        name = Template(argument)

        def condition(context: Context) -> bool:
            try:
                return test(path(name(context)))
            except (OSError, ValueError):  # ValueError: a NUL in the name
                return False

        return condition

    return make


def _two(test: Callable[[str, str], bool]) -> Callable[[str], Condition]:
    def make(argument: str) -> Condition:
        first, second = map(Template, _halves(argument))
        return lambda context: test(first(context), second(context))

    return make


def _halves(argument: str) -> tuple[str, str]:
    left, semicolon, right = argument.partition(";")
    if not semicolon:
        raise ValueError("two things to compare are needed, with a semicolon between them")
    return left, right


def _regexp(argument: str) -> Condition:
    text, expression = _halves(argument)
    subject, compiled = Template(text), pattern(expression)

    def condition(context: Context) -> bool:
        context.match = compiled.search(subject(context))
        return context.match is not None

    return condition


def _empty(argument: str) -> Condition:
    text = Template(argument)
    return lambda context: not text(context)


_Address = Union[type[ipaddress.IPv4Address], type[ipaddress.IPv6Address]]
_Network = Union[type[ipaddress.IPv4Network], type[ipaddress.IPv6Network]]


def _network(address_class: _Address, network_class: _Network) -> Callable[[str], Condition]:
    def make(argument: str) -> Condition:
        left, right = _halves(argument)
        text, block = Template(left), Template(right)
        if block.constant is not None:
            network_class(block.constant, strict=False)  # a ValueError says what is wrong with it

        def condition(context: Context) -> bool:
            try:
                return address_class(text(context)) in network_class(block(context), strict=False)
            except ValueError:
                return False

        return condition

    return make


CONDITIONS: dict[str, Callable[[str], Condition]] = {
    "exists": _file(os.path.exists),
    "isfile": _file(lambda name: stat.S_ISREG(os.stat(name).st_mode)),
    "isdir": _file(lambda name: stat.S_ISDIR(os.stat(name).st_mode)),
    "islink": _file(lambda name: stat.S_ISLNK(os.lstat(name).st_mode)),
    "isexec": _file(lambda name: os.access(name, os.X_OK)),
    "startswith": _two(str.startswith),
    "endswith": _two(str.endswith),
    "empty": _empty,
    "ipv4in": _network(ipaddress.IPv4Address, ipaddress.IPv4Network),
    "ipv6in": _network(ipaddress.IPv6Address, ipaddress.IPv6Network),
    **dict.fromkeys(("equal", "isequal", "eq", "=="), _two(str.__eq__)),
    **dict.fromkeys(("contains", "contain"), _two(lambda a, b: b != "" and b in a)),  # uWSGI finds "" nowhere
    **dict.fromkeys(("regexp", "re"), _regexp),
    **dict.fromkeys(("ishigher", ">"), _two(lambda a, b: number(a) > number(b))),
    **dict.fromkeys(("islower", "<"), _two(lambda a, b: number(a) < number(b))),
    **dict.fromkeys(("ishigherequal", ">="), _two(lambda a, b: number(a) >= number(b))),
    **dict.fromkeys(("islowerequal", "<="), _two(lambda a, b: number(a) <= number(b))),
}

#: Conditions of uWSGI that need a part of it which is not here.
ABSENT = {"incache": "the cache", "lord": "the legion"}


def make_condition(text: str) -> Condition:
    """A condition from `name:argument`.

    Raises:
        ValueError: what is wrong with it.
    """
    name, colon, argument = text.partition(":")
    if not colon:
        raise ValueError("a condition is written as NAME:ARGUMENT, as in isfile:/srv${PATH_INFO}")
    if name in ABSENT:
        raise ValueError(f"the condition {name} needs {ABSENT[name]} of uWSGI, which geuwsgi does not have")
    make = CONDITIONS.get(name)
    if make is None:
        raise ValueError(f"there is no condition {name}; there are {', '.join(sorted(CONDITIONS))}")
    return make(argument)
