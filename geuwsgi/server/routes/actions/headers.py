"""Actions on the headers of the response."""

from __future__ import annotations

import os
import re

from ....log import log
from ...head import http_date
from ..conditions import number, path
from ..context import NEXT, Context
from ..engine import Action
from .answers import check_status, status_line
from .workshop import Workshop, key_values

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Seconds for which a browser keeps the answer to a preflight request.
_PREFLIGHT_AGE = 600


def add(argument: str, workshop: Workshop) -> Action:
    """addheader: one more header."""
    name, colon, value = argument.partition(":")
    if not colon:
        raise ValueError("write it as addheader:NAME: VALUE")
    names, values = workshop.template(name.strip()), workshop.template(value.strip())
    if names.constant is not None and not _NAME.fullmatch(names.constant):
        raise ValueError(f"{name.strip()!r} is no name of a header")

    def action(context: Context) -> int:
        found = names(context)
        if _NAME.fullmatch(found):
            context.add_header(found, values(context))
        else:
            log(f"[uwsgi-route] addheader: {found!r} is no name of a header, left out")
        return NEXT

    return action


def remove(argument: str, workshop: Workshop) -> Action:
    """delheader, remheader: take a header out, whoever has put it there."""
    name = workshop.template(argument.strip())
    if not argument.strip():
        raise ValueError("which header?")

    def action(context: Context) -> int:
        context.removed.add(name(context).lower())
        return NEXT

    return action


def clear(argument: str, workshop: Workshop) -> Action:
    """clearheaders, resetheaders: begin the head anew, with this status."""
    workshop.must_be_able_to_answer("clearheaders")
    status = workshop.template(argument.strip())
    if status.constant is not None:
        check_status(status.constant, "404 Not Found")

    def action(context: Context) -> int:
        context.prepared = status_line(status(context))
        return NEXT

    return action


def compress(argument: str, workshop: Workshop) -> Action:
    """gzip: compress the body, for a client that takes it, unless it is in some coding already."""
    workshop.must_be_able_to_answer("gzip")

    def action(context: Context) -> int:
        context.compress = True
        return NEXT

    return action


def media_type(argument: str, workshop: Workshop) -> Action:
    """mime: another Content-Type; without an argument the one that the name in PATH_INFO tells."""
    kind = workshop.template(argument.strip() or "${mime[PATH_INFO]}")

    def action(context: Context) -> int:
        value = kind(context)
        if value:
            context.removed.add("content-type")
            context.add_header("Content-Type", value)
        return NEXT

    return action


def expires(argument: str, workshop: Workshop) -> Action:
    """expires: an Expires header: `filename=` a file whose modification counts, or `unix=` a time, and `value=` seconds after it.

    Source: uWSGI's router_expires.
    """
    keys = key_values(argument, {"filename": "filename", "file": "filename", "unix": "unix", "value": "value"})
    texts = {key: workshop.template(value) for key, value in keys.items()}

    def action(context: Context) -> int:
        when = 0
        if "filename" in texts:
            try:
                when = int(os.stat(path(texts["filename"](context))).st_mtime)
            except (OSError, ValueError):
                return NEXT  # uWSGI hangs up
        elif "unix" in texts:
            when = number(texts["unix"](context))
        if "value" in texts:
            when += number(texts["value"](context))
        context.add_header("Expires", http_date(max(0, when)))
        return NEXT

    return action


def cors(argument: str, workshop: Workshop) -> Action:
    """cors: let pages of other origins in: `*`, or origins, with `credentials` and `max-age=SECONDS` among them if wanted.

    A preflight request is answered on the spot. uWSGI has no such action.

    Source: the Fetch standard, section 3.3 ("CORS protocol").
    """
    words = [word.strip() for word in argument.split(",") if word.strip()]
    origins = {word for word in words if word != "credentials" and not word.startswith("max-age=")}
    credentials = "credentials" in words
    age = next((workshop.number_of(word[8:], "max-age") for word in words if word.startswith("max-age=")), _PREFLIGHT_AGE)
    if not origins:
        raise ValueError("write it as cors:* or cors:https://a.example,https://b.example[,credentials][,max-age=600]")
    if "*" in origins and credentials:
        raise ValueError("browsers refuse credentials for *: name the origins")
    for origin in origins - {"*"}:
        if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]+|null", origin):
            raise ValueError(f"{origin} is no origin, which is written as https://host or https://host:port")

    def action(context: Context) -> int:
        origin = context.variable("HTTP_ORIGIN")
        if "*" not in origins:
            context.add_header("Vary", "Origin")
        if not origin or not ("*" in origins or origin in origins):
            return NEXT
        context.add_header("Access-Control-Allow-Origin", "*" if "*" in origins else origin)
        if credentials:
            context.add_header("Access-Control-Allow-Credentials", "true")
        method = context.variable("HTTP_ACCESS_CONTROL_REQUEST_METHOD")
        if context.variable("REQUEST_METHOD") != "OPTIONS" or not method or workshop.phase != "route":
            return NEXT
        context.add_header("Access-Control-Allow-Methods", method)
        wanted = context.variable("HTTP_ACCESS_CONTROL_REQUEST_HEADERS")
        if wanted:
            context.add_header("Access-Control-Allow-Headers", wanted)
        context.add_header("Access-Control-Max-Age", str(age))
        return context.respond("204 No Content", [], b"")

    return action


ACTIONS = {
    "addheader": add,
    "delheader": remove,
    "remheader": remove,
    "clearheaders": clear,
    "resetheaders": clear,
    "mime": media_type,
    "gzip": compress,
    "expires": expires,
    "cors": cors,
}
