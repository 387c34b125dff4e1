"""Actions that decide where to go on, and those that do something beside the request."""

from __future__ import annotations

import os
import re

from ....log import log
from ..conditions import path
from ..context import BREAK, CONTINUE, JUMP, NEXT, Context
from ..engine import Action, find_label
from .workshop import Workshop


def go_on(argument: str, workshop: Workshop) -> Action:
    """continue, last: no further rules, the application."""
    return lambda context: CONTINUE


def next_rule(argument: str, workshop: Workshop) -> Action:
    """goon: the next rule, as if this one did not apply; `chunked` is what happens in any case."""
    return lambda context: NEXT


def goto(argument: str, workshop: Workshop) -> Action:
    """goto: the rule behind a label, or the rule of a number, further down."""
    label = workshop.template(argument)
    phase = workshop.phase
    if label.constant is None:
        return lambda context: find_label(context, phase, label(context))
    target = workshop.labels.get(label.constant)
    if target is None:
        if not label.constant.isdigit():
            raise ValueError(f"there is no label {label.constant} among the {phase} rules")
        target = int(label.constant)
    if target <= workshop.number:
        raise ValueError(f"{label.constant} is rule {target} and this is rule {workshop.number}: goto only leads forward")

    def action(context: Context) -> int:
        context.jump = target
        return JUMP

    return action


def disconnect(argument: str, workshop: Workshop) -> Action:
    """disconnect: the connection ends, without an answer."""
    return _end_connection


def _end_connection(context: Context) -> int:
    context.disconnected = True
    context.request.connection.disconnect()
    return BREAK


def log_text(argument: str, workshop: Workshop) -> Action:
    """log: a line for the log."""
    text = workshop.template(argument)

    def action(context: Context) -> int:
        # What a client has sent cannot begin a line of its own.
        line = text(context).encode("latin-1").decode("utf-8", "backslashreplace")
        log("".join(character if character.isprintable() else ascii(character)[1:-1] for character in line))
        return NEXT

    return action


def do_not_log(argument: str, workshop: Workshop) -> Action:
    """donotlog: no line for this request."""

    def action(context: Context) -> int:
        context.request.log = False
        return NEXT

    return action


def log_variable(argument: str, workshop: Workshop) -> Action:
    """logvar: a variable of the request's line in the log."""
    name, equals, value = argument.partition("=")
    if not equals or not name:
        raise ValueError("write it as logvar:NAME=VALUE")
    text = workshop.template(value)

    def action(context: Context) -> int:
        request = context.request
        if request.logvars is None:
            request.logvars = {}
        request.logvars[name] = text(context).encode("latin-1")
        return NEXT

    return action


def harakiri(argument: str, workshop: Workshop) -> Action:
    """harakiri: this request may take so many seconds; with 0 nothing changes."""
    seconds = workshop.number_of(argument, "harakiri")

    def action(context: Context) -> int:
        if seconds:
            context.routes.services.set_harakiri(seconds)
        return NEXT

    return action


def signal(argument: str, workshop: Workshop) -> Action:
    """signal: raise a signal of the signal framework."""
    numbers = workshop.template(argument)
    if numbers.constant is not None and workshop.number_of(argument, "a signal") > 255:
        raise ValueError("signals go from 0 to 255")
    if not workshop.can_signal:
        raise ValueError("the action signal needs a master to deliver it: add --master")

    def action(context: Context) -> int:
        text = numbers(context)
        if re.fullmatch("0*[0-9]{1,3}", text) and int(text) <= 255:
            context.routes.services.signal(int(text))
        else:
            log(f"[uwsgi-route] signal:{text!a}: signals go from 0 to 255")
        return NEXT

    return action


def change_directory(argument: str, workshop: Workshop) -> Action:
    """chdir: change the directory, of the whole worker."""
    directory = workshop.template(argument)

    def action(context: Context) -> int:
        name = path(directory(context))
        try:
            os.chdir(name)
        except (OSError, ValueError) as error:
            log(f"[uwsgi-route] chdir:{name}: {error}")
            return context.respond("500 Internal Server Error", [("Content-Type", "text/plain")], b"Internal Server Error")
        return NEXT

    return action


def process_name(argument: str, workshop: Workshop) -> Action:
    """setprocname: what `ps` shows."""
    name = workshop.template(argument)

    def action(context: Context) -> int:
        context.routes.services.set_process_name(name(context).encode("latin-1").decode("utf-8", "replace").replace("\0", ""))
        return NEXT

    return action


ACTIONS = {
    "continue": go_on,
    "last": go_on,
    "goon": next_rule,
    "chunked": next_rule,
    "donotoffload": next_rule,
    "goto": goto,
    "disconnect": disconnect,
    "log": log_text,
    "donotlog": do_not_log,
    "logvar": log_variable,
    "harakiri": harakiri,
    "signal": signal,
    "chdir": change_directory,
    "setprocname": process_name,
}
