"""An application with handlers for signals; a request raises them, or calls whatever it is asked for."""

from __future__ import annotations

import json
import os
from typing import Any, Callable
from urllib.parse import unquote

import uwsgi


def say(name: str, who: bool = False) -> Callable[[int], None]:
    """A handler that tells of each call in one write, so that lines of two workers do not mix."""

    def handler(number: int) -> None:
        os.write(1, f"handled {name} {number}{f' by {uwsgi.worker_id()}' if who else ''}\n".encode())
        if name == "bad":
            raise ZeroDivisionError("on purpose")

    return handler


def outcome(function: Callable[..., Any], *arguments: Any) -> str:
    """What a call returns or raises."""
    try:
        return repr(function(*arguments))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def register() -> None:
    """All handlers, and what raises signals."""
    uwsgi.register_signal(101, "", say("any"))
    uwsgi.register_signal(102, "workers", say("all", who=True))
    uwsgi.register_signal(103, "worker2", say("second", who=True))
    uwsgi.register_signal(104, "active-workers", say("active", who=True))
    uwsgi.register_signal(105, "worker1", say("bad", who=True))
    uwsgi.register_signal(106, "worker0", say("zero"))
    uwsgi.register_signal(112, "workers", say("twice", who=True))
    uwsgi.add_rb_timer(112, 1, 2)
    try:
        import uwsgidecorators
    except ImportError:  # Debian's uWSGI comes without
        pass
    else:
        uwsgidecorators.timer(1, signum=110)(say("timer"))
        uwsgidecorators.rbtimer(1, target="workers", signum=111)(say("again", who=True))
        uwsgidecorators.signal(113, target="worker2")(say("decorated", who=True))
        uwsgidecorators.cron(-1, -1, -1, -1, -1)(say("cron"))
        uwsgidecorators.filemon(os.environ["WATCHED"], target="worker1", signum=115)(say("path", who=True))


def outcomes() -> dict[str, str]:
    """What calls return or raise."""
    return {
        "again": outcome(uwsgi.register_signal, 101, "", print),
        "no text": outcome(uwsgi.register_signal, 200, b"", print),
        "no number": outcome(uwsgi.register_signal, "200", "", print),
        "a fraction": outcome(uwsgi.register_signal, 1.5, "", print),
        "a long target": outcome(uwsgi.register_signal, 200, "x" * 64, print),
        "an unknown target": outcome(uwsgi.register_signal, 201, "nonsense", print),
        "256": outcome(uwsgi.register_signal, 256, "", print),
        "nothing to call": outcome(uwsgi.register_signal, 202, "", None),
        "registered": outcome(uwsgi.signal_registered, 101),
        "not registered": outcome(uwsgi.signal_registered, 199),
        "chosen": outcome(uwsgi.signal_registered, 0),
        "registered text": outcome(uwsgi.signal_registered, "1"),
        "received": outcome(uwsgi.signal_received),
        "timer": outcome(uwsgi.add_timer, 198, 1000),
        "timer fraction": outcome(uwsgi.add_timer, 198, 1.5),
        "rb_timer": outcome(uwsgi.add_rb_timer, 198, 1000, 1),
        "cron": outcome(uwsgi.add_cron, 198, 99, 99, 99, 99, 99),
        "file": outcome(uwsgi.add_file_monitor, 198, "/nowhere/at/all"),
        "file bytes": outcome(uwsgi.add_file_monitor, 198, b"/"),
        "long file": outcome(uwsgi.add_file_monitor, 198, "/" + "x" * 300),
        "remote": outcome(uwsgi.signal, 1, "127.0.0.1:1"),
        "remote number": outcome(uwsgi.signal, 1, 2),
        "all crons": outcome(lambda: [uwsgi.add_cron(198, 99, 99, 99, 99, number) for number in range(64)]),
    }


ROWS: dict[str, str] = {}
if uwsgi.masterpid():  # without one, add_file_monitor ends uWSGI
    register()
    ROWS = outcomes()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """/rows, or /EXPRESSION."""
    path = unquote(environ["PATH_INFO"])[1:]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [json.dumps(ROWS if path == "rows" else outcome(lambda: eval(path)) if path.startswith("uwsgi.") else "ok").encode()]
