"""From the options to `Routes`, at the start: whatever is wrong with a rule is said here, with option, file and line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Callable, Optional, TypeVar

from ...errors import ConfigError
from ..gateway.settings import GatewaySettings
from ..patterns import environ_text, pattern
from ..settings import RouteRule, RouteSettings
from ..static import StaticFiles
from .actions import ABSENT, ACTIONS, Workshop
from .conditions import make_condition
from .context import Context
from .engine import ERROR, FINAL, REQUEST, RESPONSE, Action, Routes, Rule, Test

#: What stands behind the phase in an option's name, and the variable that its regular expression looks at.
SUBJECTS = {
    "": "PATH_INFO",
    "-host": "HTTP_HOST",
    "-uri": "REQUEST_URI",
    "-qs": "QUERY_STRING",
    "-remote-addr": "REMOTE_ADDR",
    "-remote-user": "REMOTE_USER",
    "-referer": "HTTP_REFERER",
    "-user-agent": "HTTP_USER_AGENT",
}
#: As in uWSGI, where UWSGI_ROUTER is the mark of its router process.
_GATEWAY = GatewaySettings(variables=())
PHASES = (REQUEST, ERROR, RESPONSE, FINAL)

_T = TypeVar("_T")

_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)", re.DOTALL)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def compile_routes(
    settings: RouteSettings, files: StaticFiles, can_signal: bool = False, gateway: GatewaySettings = _GATEWAY
) -> Optional[Routes]:
    """Make the rules ready to be used; None when there are none.

    Args:
        settings: what was asked for.
        files: serves files, and knows their types.
        can_signal: there is a signal framework.
        gateway: for connections to other servers.

    Raises:
        ConfigError: a rule that cannot be understood.
    """
    if settings == RouteSettings():
        return None
    routes = Routes(files)
    for phase in PHASES:
        rules = [rule for rule in settings.rules if _phase(rule.option) == phase]
        if rules:
            _compile_phase(routes, phase, rules, can_signal, gateway)
    routes.added = tuple(_each(settings.add, _header))
    routes.removed = frozenset(_each(settings.remove, lambda value: _name(value).lower()))
    routes.collected = tuple(_each(settings.collect, _name_and_variable))
    routes.pulled = tuple(_each(settings.pull, _name_and_variable))
    return routes


def _phase(option: str) -> str:
    return next((phase for phase in (ERROR, RESPONSE, FINAL) if option.startswith(phase)), REQUEST)


def _compile_phase(routes: Routes, phase: str, rules: Sequence[RouteRule], can_signal: bool, gateway: GatewaySettings) -> None:
    labels: dict[str, int] = {}
    # A label is a rule of its own in uWSGI's numbers, which goto may use.
    for number, rule in enumerate(rules):
        if rule.option == phase + "-label":
            labels.setdefault(environ_text(rule.value.strip()), number)
    routes.labels[phase] = labels
    compiled = []
    for number, rule in enumerate(rules):
        workshop = Workshop(phase, number, labels, routes.files, can_signal, gateway)
        try:
            compiled.append(_compile(rule, phase, workshop))
        except ValueError as error:
            raise ConfigError(str(error), rule.option, rule.value, rule.source) from None
    routes.chains[phase] = tuple(compiled)


def _compile(rule: RouteRule, phase: str, workshop: Workshop) -> Rule:
    kind = rule.option[len(phase) :]
    if kind == "-label":
        return Rule(_never, _nothing, rule.value)
    if kind == "-run":
        return Rule(_always, _action(rule.value.lstrip(), workshop), rule.value)
    what, space, action = rule.value.lstrip().partition(" ")
    if not space:
        wanted = "CONDITION:ARGUMENT" if kind.startswith("-if") else "STATUS" if kind == "-status" else "REGEXP"
        raise ValueError(f"a rule is written as {wanted} ACTION:ARGUMENT, with a space between the two and none in the first")
    return Rule(_test(kind, what), _action(action.lstrip(), workshop), rule.value)


def _test(kind: str, what: str) -> Test:
    if kind == "-if":
        return make_condition(what)
    if kind == "-if-not":
        condition = make_condition(what)

        def negated(context: Context) -> bool:
            return not condition(context)

        return negated
    if kind == "-status":
        if not re.fullmatch("[1-9][0-9][0-9]", what):
            raise ValueError(f"{what} is no status code")
        status = int(what)
        return lambda context: context.code == status
    name, search = SUBJECTS[kind], pattern(what).search

    def matches(context: Context) -> bool:
        subject = context.environ.get(name)
        if type(subject) is not str:
            return False  # a header that was not sent matches nothing, not even ^$
        context.match = search(subject)
        return context.match is not None

    return matches


def _action(text: str, workshop: Workshop) -> Action:
    name, colon, argument = text.partition(":")
    if not colon:
        raise ValueError(f"an action is written as NAME:ARGUMENT, with a colon even when nothing stands behind it; this is {text!r}")
    if name in ABSENT:
        raise ValueError(f"the action {name} needs {ABSENT[name]}, which geuwsgi does not have")
    make = ACTIONS.get(name)
    if make is None:
        raise ValueError(f"there is no action {name}; there are {', '.join(sorted(ACTIONS))}")
    return make(argument, workshop)


def _always(context: Context) -> bool:
    return True


def _never(context: Context) -> bool:
    return False


def _nothing(context: Context) -> int:
    return 0


def _each(rules: Iterable[RouteRule], read: Callable[[str], _T]) -> Iterator[_T]:
    for rule in rules:
        try:
            yield read(rule.value)
        except ValueError as error:
            raise ConfigError(str(error), rule.option, rule.value, rule.source) from None


def _header(text: str) -> tuple[str, str]:
    match = _HEADER.fullmatch(text.strip())
    if match is None:
        raise ValueError("a header is written as NAME: VALUE")
    return match[1], environ_text(match[2])


def _name(text: str) -> str:
    if not _TOKEN.fullmatch(text.strip()):
        raise ValueError("this is no name of a header")
    return text.strip()


def _name_and_variable(text: str) -> tuple[str, str]:
    name, space, variable = text.strip().partition(" ")
    if not space or not variable.strip():
        raise ValueError("write it as HEADER VARIABLE, with a space between the two")
    return _name(name).lower(), variable.strip()
