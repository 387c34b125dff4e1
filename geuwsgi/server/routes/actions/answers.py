"""Actions that answer a request."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, BinaryIO, Callable

from ....log import log
from ...head import STATUS
from ...patterns import environ_text
from ..conditions import path
from ..context import BREAK, NEXT, Context, header_value, url
from ..engine import Action
from ..substitution import Template
from .workshop import Workshop, key_values

_PLAIN = ("Content-Type", "text/plain")


def check_status(text: str, example: str) -> None:
    """Look whether a rule's status can be one.

    Raises:
        ValueError: it is none.
    """
    if not STATUS.fullmatch(environ_text(text)):
        raise ValueError(f"a status belongs there, such as {example}")


def status_line(text: str) -> str:
    """A status with its reason, which is found where it was left out; that of a mistake when variables made something else of it."""
    text = header_value(text)
    if not STATUS.fullmatch(text):
        log(f"[uwsgi-route] {text!r} is no status")
        return "500 Internal Server Error"
    if len(text) > 4:
        return text
    try:
        return f"{text[:3]} {HTTPStatus(int(text[:3])).phrase}"
    except ValueError:
        return f"{text[:3]} Unknown"


def stop(argument: str, workshop: Workshop) -> Action:
    """break: no further rules and no application: a status without a body, or, without a status, no answer at all."""
    if not argument.strip():
        return _silence
    workshop.must_be_able_to_answer("break")
    check_status(argument.rstrip(), "403 Forbidden, or nothing")
    status = workshop.template(argument.strip())
    return lambda context: context.respond(status_line(status(context)), [_PLAIN, ("Connection", "close")], b"")


def _silence(context: Context) -> int:
    return BREAK


def give(argument: str, workshop: Workshop) -> Action:
    """return, break-with-status: a status, with its reason as the body."""
    workshop.must_be_able_to_answer("return")
    check_status(argument, "404")
    status = status_line(argument[:3])
    body = status[4:].encode("latin-1")
    return lambda context: context.respond(status, [_PLAIN], body)


def _redirect(status: str, text: bytes) -> Callable[[str, Workshop], Action]:
    def make(argument: str, workshop: Workshop) -> Action:
        """redirect, redirect-301 and their relatives: to another address."""
        workshop.must_be_able_to_answer("redirect")
        target = workshop.template(argument.strip())
        return lambda context: context.respond(status, [("Location", url(target(context)))], text)

    return make


def _send(end: str) -> Callable[[str, Workshop], Action]:
    def make(argument: str, workshop: Workshop) -> Action:
        """send, send-crnl: text in front of the body."""
        workshop.must_be_able_to_answer("send")
        text = workshop.template(argument)

        def action(context: Context) -> int:
            context.text += (text(context) + end).encode("latin-1")
            return NEXT

        return action

    return make


def _static(missing: int) -> Callable[[str, Workshop], Action]:
    def make(argument: str, workshop: Workshop) -> Action:
        """static, static-next: a file, with all that --static-map does for one."""
        workshop.must_be_able_to_answer("static")
        name, files = workshop.template(argument.strip()), workshop.files

        def action(context: Context) -> int:
            wanted = _within(name, context)
            found = files.find_path(wanted) if wanted else None
            if found is not None:
                context.answer = lambda environ, start_response: files.serve(found, environ, start_response)
                return BREAK
            return missing if missing == NEXT else context.respond("404 Not Found", [_PLAIN], b"Not Found")

        return action

    return make


_FILE_KEYS = {
    "filename": "filename",
    "status": "status",
    "content_type": "content_type",
    "mime": "mime",
    **dict.fromkeys(("nocl", "no_cl", "no_content_length"), "no_length"),
}


def _file(missing: int) -> Callable[[str, Workshop], Action]:
    def make(argument: str, workshop: Workshop) -> Action:
        """file, sendfile, fastfile and their -next relatives: a file as it is: no ranges, no dates.

        Source: uWSGI's `uwsgi_routing_func_file`, where they differ in how the bytes travel. Here the kernel sends them in any case.
        """
        workshop.must_be_able_to_answer("file")
        # A name alone is short for filename=.
        keys = key_values(argument, _FILE_KEYS) if "=" in argument else {"filename": argument}
        if not keys.get("filename"):
            raise ValueError("write it as file:filename=NAME[,status=200 OK][,content_type=text/html][,mime=1]")
        name = workshop.template(keys["filename"])
        status = workshop.template(keys.get("status", "200 OK"))
        if status.constant is not None:
            check_status(status.constant, "404 Not Found")
        content_type = keys.get("content_type", "text/html")
        files = workshop.files

        def action(context: Context) -> int:
            wanted = _within(name, context)
            try:
                file, size = _open(wanted)
            except (OSError, ValueError):
                return missing if missing == NEXT else context.respond("404 Not Found", [_PLAIN], b"Not Found")
            kind = (files.known_type(wanted) if "mime" in keys else None) or content_type
            headers = [("Content-Type", kind)]
            if "no_length" not in keys:
                headers.append(("Content-Length", str(size)))
            line = status_line(status(context))

            def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
                start_response(line, headers)
                return environ["wsgi.file_wrapper"](file, 65536)  # type: ignore[no-any-return]

            context.answer = answer
            return BREAK

        return action

    return make


def _within(name: Template, context: Context) -> str:
    """The path of a file for a request; "" when what was inserted into it leads up and out of where the rule has it begin.

    uWSGI asks for the same in `static:`, whose path has to be the real one; not in `file:`.
    """
    text = name(context)
    begun = name.start
    if ".." in text[len(begun) - len(begun.rpartition("/")[2]) :].split("/") and name.constant is None:
        log(f"[uwsgi-route] {text!r} is not served: what was inserted there leads upwards")
        return ""
    return path(text)


def _open(name: str) -> tuple[BinaryIO, int]:
    """A regular file, and its size. Raises OSError for everything else."""
    fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # to open a pipe would stop the whole server otherwise
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        log(f"[uwsgi-route] {name} is no regular file")
        raise OSError("not a regular file")
    return open(fd, "rb", buffering=0), status.st_size


ACTIONS = {
    "break": stop,
    "return": give,
    "break-with-status": give,
    "redirect": _redirect("302 Found", b"Moved"),
    "redirect-302": _redirect("302 Found", b"Moved"),
    "redirect-301": _redirect("301 Moved Permanently", b"Moved Permanently"),
    "redirect-permanent": _redirect("301 Moved Permanently", b"Moved Permanently"),
    "send": _send(""),
    "send-crnl": _send("\r\n"),
    "static": _static(BREAK),
    "static-next": _static(NEXT),
    **dict.fromkeys(("file", "sendfile", "fastfile"), _file(BREAK)),
    **dict.fromkeys(("file-next", "sendfile-next", "fastfile-next"), _file(NEXT)),
}
