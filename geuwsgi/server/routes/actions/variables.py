"""Actions that change what the application, and the rules behind them, see of the request."""

from __future__ import annotations

from typing import Callable
from urllib.parse import unquote_to_bytes

from ...patterns import environ_text
from ..conditions import number
from ..context import CONTINUE, NEXT, Context
from ..engine import Action
from .workshop import Workshop


def add(argument: str, workshop: Workshop) -> Action:
    """addvar, setenv: a variable of the request."""
    name, equals, value = argument.partition("=")
    if not equals or not name:
        raise ValueError("write it as addvar:NAME=VALUE")
    if name.startswith("wsgi."):
        raise ValueError(f"{name} is the server's business")
    return setter(environ_text(name))(value, workshop)


def setter(variable: str) -> Callable[[str, Workshop], Action]:
    """What makes an action that sets one variable."""

    def make(argument: str, workshop: Workshop) -> Action:
        text = workshop.template(argument)

        def action(context: Context) -> int:
            context.environ[variable] = text(context)
            return NEXT

        return action

    return make


def user(argument: str, workshop: Workshop) -> Action:
    """setuser: REMOTE_USER, up to the first colon."""
    text = workshop.template(argument)

    def action(context: Context) -> int:
        context.environ["REMOTE_USER"] = text(context).partition(":")[0]
        return NEXT

    return action


def scheme(argument: str, workshop: Workshop) -> Action:
    """setscheme: http or https, for `wsgi.url_scheme`."""
    text = workshop.template(argument)

    def action(context: Context) -> int:
        context.environ["wsgi.url_scheme"] = context.environ["UWSGI_SCHEME"] = text(context)
        return NEXT

    return action


def fix_path(argument: str, workshop: Workshop) -> Action:
    """fixpathinfo: take SCRIPT_NAME off the beginning of PATH_INFO."""

    def action(context: Context) -> int:
        script, path = context.variable("SCRIPT_NAME"), context.variable("PATH_INFO")
        if script and path.startswith(script):  # uWSGI cuts without looking
            context.environ["PATH_INFO"] = path[len(script) :]
        return NEXT

    return action


def _rewrite(verdict: int) -> Callable[[str, Workshop], Action]:
    """rewrite, rewrite-last: another path, and what stands behind a question mark in front of the query.

    Source: uWSGI's `uwsgi_routing_func_rewrite`.
    """

    def make(argument: str, workshop: Workshop) -> Action:
        target = workshop.template(argument)

        def action(context: Context) -> int:
            path, mark, query = target(context).partition("?")
            environ = context.environ
            environ["PATH_INFO"] = unquote_to_bytes(path.encode("latin-1")).decode("latin-1")
            if mark:
                before = context.variable("QUERY_STRING")
                environ["QUERY_STRING"] = query + "&" + before if before else query
            return verdict

        return action

    return make


def _calculate(operation: Callable[[int, int], int]) -> Callable[[str, Workshop], Action]:
    """+, -, *, /: calculate with a variable that holds a number: VARIABLE[,NUMBER], 1 without one."""

    def make(argument: str, workshop: Workshop) -> Action:
        name, comma, other = argument.partition(",")
        text = workshop.template(other if comma else "1")

        def action(context: Context) -> int:
            context.environ[name] = str(operation(number(context.variable(name)), number(text(context))))
            return NEXT

        return action

    return make


ACTIONS = {
    "addvar": add,
    "setenv": add,
    "setapp": setter("UWSGI_APPID"),
    "setdocroot": setter("DOCUMENT_ROOT"),
    "sethost": setter("HTTP_HOST"),
    "setmethod": setter("REQUEST_METHOD"),
    "setpathinfo": setter("PATH_INFO"),
    "setqs": setter("QUERY_STRING"),
    "setremoteaddr": setter("REMOTE_ADDR"),
    "setscheme": scheme,
    "setscriptname": setter("SCRIPT_NAME"),
    "seturi": setter("REQUEST_URI"),
    "setuser": user,
    "fixpathinfo": fix_path,
    "rewrite": _rewrite(NEXT),
    "rewrite-last": _rewrite(CONTINUE),
    "+": _calculate(lambda a, b: a + b),
    "-": _calculate(lambda a, b: a - b),
    "*": _calculate(lambda a, b: a * b),
    # Towards zero, as in C; a division by zero gives 0.
    "/": _calculate(lambda a, b: (abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1) if b else 0),
}
