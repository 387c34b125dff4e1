"""What an operator wants done at certain moments: `--hook-PHASE = VERB:ARGUMENT`, and `--exec-PHASE = COMMAND`.

Source: uWSGI's documentation "Hooks" and its core/hooks.c: the verbs, their arguments, what is logged, and that a failure ends the server.
"""

from __future__ import annotations

import os
import signal
import stat
import time
from typing import TYPE_CHECKING, Callable, NoReturn, Optional

from ..errors import ConfigError
from ..log import log
from . import originals
from .ending import leave
from .privileges import group_number, user_number

if TYPE_CHECKING:
    from ..config.config import Config

#: In the order of their moments, with uWSGI's words for the log.
PHASES = {
    "asap": "asap",
    "pre-jail": "pre-jail",
    "post-jail": "post-jail",
    "in-jail": "in-jail",
    "as-root": "as root",
    "as-user": "as user",
    "pre-app": "pre app",
    "post-app": "post app",
    "master-start": "master-start",
    "post-fork": "post-fork",
    "accepting": "accepting",
    "accepting-once": "accepting-once",
    "accepting1": "accepting1",
    "accepting1-once": "accepting1-once",
    "as-user-atexit": "atexit",
}

#: Phases that uWSGI has `--exec-PHASE` for.
EXEC_PHASES = ("asap", "pre-jail", "post-jail", "in-jail", "as-root", "as-user", "as-user-atexit", "pre-app", "post-app")

#: What `unix_signal:NUMBER FUNCTION` may name of uWSGI's own functions, as the letters of `--master-fifo` that do the same.
SIGNAL_FUNCTIONS = {"gracefully_kill_them_all": "q", "kill_them_all": "Q", "grace_them_all": "r", "reap_them_all": "R"}

#: The option that is the place for it.
_SIGNALS_SAID = "hook-master-start"

#: Seconds that the verbs wait_for_... wait, and between two looks.
WAIT_LIMIT = 60.0
_LOOK = 0.1


class HookFailed(ConfigError):
    """A hook has failed, which ends the server."""


class Hooks:
    """All of them.

    Attributes:
        signals: signal number -> the letter of `--master-fifo` that it stands for (`unix_signal`).

    Raises:
        ConfigError: an unknown verb, an argument that makes no sense.
    """

    def __init__(self, config: Config) -> None:
        self._actions: dict[str, list[tuple[str, str, str]]] = {}
        self.signals: dict[int, str] = {}
        for phase in PHASES:
            option = "hook-" + phase
            for index, value in enumerate(config.get(option)):
                verb, argument = _parse(value, option, config.source(option, index))
                if verb == "unix_signal":
                    self.signals.update([_signal(argument, value, config.source(option, index))])
                self._add(phase, verb, argument, value)
        for phase in EXEC_PHASES:
            for command in config.get("exec-" + phase):
                self._add(phase, "exec", command, command)
        #: Path -> what to do when it is touched.
        self.touch: list[tuple[str, str]] = []
        for option, prefix in (("hook-touch", ""), ("touch-exec", "exec:")):
            for index, value in enumerate(config.get(option)):
                path, _, action = value.strip().partition(" ")
                if not action.strip():
                    raise ConfigError(
                        "write it as FILE and what to do, with a space between them", option, value, config.source(option, index)
                    )
                _parse(prefix + action.strip(), option, config.source(option, index), value)
                self.touch.append((path, prefix + action.strip()))

    def _add(self, phase: str, verb: str, argument: str, text: str) -> None:
        self._actions.setdefault(phase, []).append((verb, argument, text))

    def run(self, phase: str) -> None:
        """Do everything that was asked for at this moment.

        Raises:
            HookFailed: one of them failed, which the log does not tell yet; those behind it are not done.
        """
        for verb, argument, text in self._actions.get(phase, ()):
            log(f'running "{text}" ({PHASES[phase]})...')
            _do(verb, argument, text)

    def touched(self, text: str) -> None:
        """Do what a touched file asks for; a failure is logged."""
        log(f'running "{text}" (touch)...')
        verb, argument = _parse(text, "hook-touch", None)
        try:
            _do(verb, argument, text)
        except HookFailed as error:
            log(f"geuwsgi: {error}")


def _parse(value: str, option: str, source: Optional[str], whole: str = "") -> tuple[str, str]:
    verb, colon, argument = value.partition(":")
    if not colon or verb not in _VERBS:
        known = " ".join(sorted(_VERBS))
        raise ConfigError(f"write it as VERB:ARGUMENT; the verbs are {known}", option, whole or value, source)
    if verb == "unix_signal" and option != _SIGNALS_SAID:
        raise ConfigError(f"says what a signal does to the master, so it belongs into {_SIGNALS_SAID}", option, whole or value, source)
    return verb, argument


def _signal(argument: str, value: str, source: Optional[str]) -> tuple[int, str]:
    number, _, function = argument.partition(" ")
    possible = {str(int(one)): signal.Signals(one).name for one in originals.DANGEROUS}
    letter = SIGNAL_FUNCTIONS.get(function.strip())
    if number not in possible or letter is None:
        numbers = " ".join(f"{number} ({name})" for number, name in possible.items())
        form = f"write it as unix_signal:NUMBER FUNCTION; the numbers are {numbers}, the functions {' '.join(SIGNAL_FUNCTIONS)}"
        raise ConfigError(form, _SIGNALS_SAID, value, source)
    return int(number), letter


def _do(verb: str, argument: str, text: str) -> None:
    try:
        _VERBS[verb](argument)
    except OSError as error:
        raise HookFailed(f"the hook {text!r} has failed: {error.strerror or error}") from None
    except (ValueError, KeyError) as error:
        raise HookFailed(f"the hook {text!r} has failed: {error}") from None


# -- the verbs


def _exec(command: str) -> None:
    status = originals.run_shell(command)
    if status:
        raise ValueError(f"exit status {status}" if status > 0 else f"killed by signal {-status}")


def _safeexec(command: str) -> None:
    status = originals.run_shell(command)
    if status:
        log(f'command "{command}" exited with non-zero code: {status}')


def _exit(status: str) -> NoReturn:
    leave(int(status or 0))


def _putenv(assignment: str) -> None:
    name, equals, value = assignment.partition("=")
    if not equals:
        raise ValueError("write it as NAME=VALUE")
    os.environ[name] = value


def _words(argument: str, count: int, form: str) -> list[str]:
    words = argument.split(None, count - 1)
    if len(words) != count:
        raise ValueError(f"its argument must be {form}")
    return words


def _write(mode: str, end: str) -> Callable[[str], None]:
    def write(argument: str) -> None:
        path, _, text = argument.partition(" ")
        if not text:
            raise ValueError("its argument must be <file> <string>")
        with open(path, mode) as file:
            file.write(text + end)

    return write


def _writefifo(argument: str) -> None:
    path, _, text = argument.partition(" ")
    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)  # with nobody who reads it is an error, not a wait
    try:
        os.write(fd, os.fsencode(text))
    finally:
        originals.close(fd)


def _create(path: str) -> None:
    originals.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666))


def _chmod(argument: str) -> None:
    path, mode = _words(argument, 2, "<file> <mode>")
    os.chmod(path, int(mode, 8))


def _sticky(path: str) -> None:
    os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | stat.S_ISVTX)


def _chown(argument: str) -> None:
    path, user, group = _words(argument, 3, "<file> <uid> <gid>")
    os.chown(path, user_number(user), group_number(group))


def _wait_for(there: Callable[[str], bool]) -> Callable[[str], None]:
    def wait(argument: str) -> None:
        path, _, seconds = argument.partition(" ")
        deadline = time.monotonic() + (float(seconds) if seconds else WAIT_LIMIT)
        while not there(path):
            if time.monotonic() > deadline:
                raise ValueError(f"{path} has not come")
            originals.sleep(_LOOK)

    return wait


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


_VERBS: dict[str, Callable[[str], object]] = {
    "exec": _exec,
    "run": _exec,
    "safeexec": _safeexec,
    "print": log,
    "log": log,
    "cd": os.chdir,
    "chdir": os.chdir,
    "mkdir": os.mkdir,
    "exit": _exit,
    "putenv": _putenv,
    "umask": lambda text: os.umask(int(text, 8)),
    "chmod": _chmod,
    "sticky": _sticky,
    "chown": _chown,
    "chown2": _chown,
    "write": _write("w", ""),
    "writen": _write("w", "\n"),
    "append": _write("a", ""),
    "appendn": _write("a", "\n"),
    "writefifo": _writefifo,
    "create": _create,
    "creat": _create,
    "unlink": os.unlink,
    "unix_signal": lambda argument: None,  # the master knows it already, from `Hooks.signals`
    "wait_for_file": _wait_for(os.path.isfile),
    "wait_for_dir": _wait_for(os.path.isdir),
    "wait_for_fs": _wait_for(os.path.exists),
    "wait_for_socket": _wait_for(_is_socket),
}
