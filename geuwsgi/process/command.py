"""`--stop FILE`, `--reload FILE` and `--pause FILE`: a signal to the server whose id is in a pidfile."""

from __future__ import annotations

import os
import signal

from ..errors import ConfigError

#: Source: uWSGI's `uwsgi_opt_pidfile_signal`.
SIGNALS = {
    "stop": signal.SIGINT,
    "reload": signal.SIGHUP,
    "pause": signal.SIGTSTP,
    "suspend": signal.SIGTSTP,
    "resume": signal.SIGTSTP,
}


def signal_server(command: str, path: str) -> None:
    """Send it.

    Raises:
        ConfigError: there is no such file, no id in it, or no such process.
    """
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read().strip()
    except OSError as error:
        raise ConfigError(f"the pidfile cannot be read: {error.strerror}", command, path, "command line") from None
    if not text.isdigit() or int(text) < 1:
        raise ConfigError("there is no process id in this file", command, path, "command line")
    try:
        os.kill(int(text), SIGNALS[command])
    except ProcessLookupError:
        raise ConfigError(f"there is no process {text} any more; the server has ended", command, path, "command line") from None
    except PermissionError:
        raise ConfigError(f"no permission to send a signal to process {text}", command, path, "command line") from None
