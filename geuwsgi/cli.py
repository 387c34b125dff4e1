"""The command line: help, version, and the way from arguments to a running server.

Nothing here may import gevent, or anything that takes time: the standard library is patched by `process.run`, which is imported last.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Optional

from . import EMULATED_UWSGI, __version__, accel
from .config import options, sources
from .config.config import Config, load
from .config.options import Option
from .errors import AppLoadError, ChannelError, ConfigError
from .process.command import SIGNALS, signal_server

USAGE = """\
usage: geuwsgi [OPTION...] [FILE.ini]
       geuwsgi --http :8080 --http-websockets --gevent 100 --wsgi-file myapp.py
       geuwsgi --help
"""

_INTRODUCTION = """\
Serves a Python web application that was written for uWSGI, websockets included.
Options are uWSGI's; they may also stand in the [uwsgi] section of an ini file,
or in the environment (UWSGI_HTTP=:8080).
"""

#: The default is `ServerSettings.cores`; a test holds the two together.
_DEFAULT_CORES = "Without --gevent and --async up to 20000 requests and websockets are served at once."

#: The one option with two arguments.
SEND = "--channel-send"

#: Where the explanations begin.
_INDENT = 32


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command.

    Args:
        argv: the arguments without the program's name; those of the process if None.
    Returns:
        The exit status.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if SEND in arguments:
            return _send(arguments)
        pairs = sources.parse_arguments(arguments)[0]
        given = {name for name, _ in pairs}
        if given & {"help", "usage"}:
            print(help_text(), end="")
            return 0
        if "version" in given:
            print(version_text())
            return 0
        for name, value in pairs:
            if name in SIGNALS and value:
                signal_server(name, value)
                return 0
        if not arguments and not any(name.startswith("UWSGI_") for name in os.environ):
            sys.stderr.write(USAGE)
            return 1
        config = load(arguments, os.environ)
        return _run(config)
    except (ConfigError, AppLoadError, ChannelError) as error:
        if isinstance(error, AppLoadError) and error.traceback_text:
            sys.stderr.write(error.traceback_text.rstrip("\n") + "\n")
        sys.stderr.write(f"geuwsgi: {error}\n")
        return 1


def _run(config: Config) -> int:
    """Serve.

    Raises:
        ConfigError: what geuwsgi stands on is not installed, as in a bare checkout.
    """
    try:
        from .process.run import run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == __package__:
            raise
        raise ConfigError(f"{sys.executable} has no package {error.name!r}: install geuwsgi with pip, which brings it along") from None
    return run(config)


def _send(arguments: list[str]) -> int:
    """Send a message to a channel, as cron jobs and shells do; the exit status.

    Raises:
        ConfigError: no name, no message, or no address.
        ChannelError: the backend cannot be reached, or nobody is there.
    """
    place = arguments.index(SEND)
    try:
        name, message = arguments[place + 1 : place + 3]
    except ValueError:
        raise ConfigError("needs a channel and a message", SEND[2:], None, sources.COMMAND_LINE) from None
    config = load(arguments[:place] + arguments[place + 3 :], os.environ)
    backend = config.get("channel-backend")
    if not backend:
        raise ConfigError("needs the address that the servers have: --channel-backend ADDRESS", SEND[2:], None, sources.COMMAND_LINE)
    from . import channels

    if not channels.publish(backend, name, os.fsencode(message)) and not channels.workers(backend):
        raise ChannelError(f"no server is there with --channel-backend {backend}")
    return 0


def version_text() -> str:
    """One line: the versions of geuwsgi, of the uWSGI it stands for, of Python and gevent, and whether the hot parts are compiled."""
    import platform
    from importlib import metadata

    try:
        gevent = metadata.version("gevent")
    except metadata.PackageNotFoundError:
        gevent = "not installed"
    speed = "compiled" if accel.COMPILED else "pure"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"geuwsgi {__version__} emulating uWSGI {EMULATED_UWSGI} ({speed}), {python}, gevent {gevent}"


def help_text(width: Optional[int] = None) -> str:
    """The help: every option that does something, by group, then those that have no effect.

    Args:
        width: columns; as wide as the terminal, but between 80 and 100, if None.
    """
    import shutil

    columns = min(100, max(80, width or shutil.get_terminal_size().columns))
    parts = [USAGE, _INTRODUCTION]
    for group in options.GROUPS:
        rows = [option for option in options.OPTIONS if option.group == group and not option.no_effect]
        parts.append(f"{group}:\n" + "".join(_row(option, columns) for option in rows))
        if group == "Concurrency":
            parts[-1] += _paragraph(_DEFAULT_CORES, columns)
    idle = " ".join("--" + name for option in options.OPTIONS if option.no_effect for name in option.names)
    parts.append("Accepted without effect, because geuwsgi needs nothing of it:\n" + _paragraph(idle, columns))
    return "\n".join(parts)


def _wrap(text: str, columns: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, columns, break_on_hyphens=False)


def _paragraph(text: str, columns: int) -> str:
    return "".join(f"  {line}\n" for line in _wrap(text, columns - 2))


def _row(option: Option, columns: int) -> str:
    argument = ""
    if option.metavar:
        argument = f"[={option.metavar}]" if option.bare is not None else f" {option.metavar}"
    names = "    " if not option.short else f"-{option.short}, "
    left = f"  {names}--{option.name}{argument}"
    notes = []
    if option.always:
        notes.append("always on")
    elif isinstance(option.default, (int, float, str)) and not isinstance(option.default, bool):
        shown = f"{option.default:g}" if isinstance(option.default, float) else option.default
        notes.append(f"default {shown}")
    if option.repeatable:
        notes.append("repeatable")
    if option.aliases:
        notes.append("also " + " ".join("--" + alias for alias in option.aliases))
    text = option.help + (f" ({'; '.join(notes)})" if notes else "")
    lines = _wrap(text, columns - _INDENT)
    if len(left) > _INDENT - 2:
        return left + "\n" + "".join(" " * _INDENT + line + "\n" for line in lines)
    return left.ljust(_INDENT) + ("\n" + " " * _INDENT).join(lines) + "\n"
