"""Where options come from: the environment, the command line, ini files. In: words and text; out: entries in order, with their source.

Source: uWSGI's `uwsgi_commandline_config`, `uwsgi_ini_config` and `add_exported_option`, and what the server was seen to do.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, Optional

from ..errors import ConfigError
from . import known, logic, options
from .expand import Magic

COMMAND_LINE = "command line"
ENVIRONMENT = "environment"

_OTHER_ENDINGS = (".yaml", ".yml", ".json", ".js", ".xml")

#: Files that read files that read files ... end here.
_DEEPEST = 32

#: Variables of the environment that begin with UWSGI_ and are no options.
_NO_OPTIONS = frozenset(
    "UWSGI_" + name
    for name in (
        "RELOADS",
        "VASSALS_DIR",
        "EMPEROR_FD",
        "BROODLORD_NUM",
        "EMPEROR_FD_CONFIG",
        "EMPEROR_PROXY",
        "JAIL_PID",
        "ORIGINAL_PROC_NAME",
    )
)


@dataclass
class Entry:
    """One option as it was given.

    Attributes:
        name: as the user spelled it; an abbreviation or a letter is replaced by the name it stands for.
        value: None for an option of the command line without an argument; "" for a bare name in a file.
        source: "command line", "environment", or "file.ini:12".
        immediate: acted on while options are collected, so no reference in its value is replaced.
        placeholder: set by `--set-placeholder`, so it is no unknown option.
    """

    name: str
    value: Optional[str]
    source: str
    immediate: bool = False
    placeholder: bool = False


class Collector:
    """Collects the entries of all sources.

    Attributes:
        entries: in the order in which uWSGI has them: environment, options of the command line, positional files; what a file says
            stands behind the option that named it.
        warnings: lines for the log.
        magic: the magic variables, as the last file left them.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.entries: list[Entry] = []
        self.warnings: list[str] = []
        self.magic = Magic()
        self._environ = environ
        self._last_file = ""
        self._depth = 0
        self._logic: Optional[Entry] = None
        self._in_logic = False

    def add(self, name: str, value: Optional[str], source: str) -> None:
        """Add an option, and do at once what cannot wait: read the file it names, set what it sets.

        Raises:
            ConfigError: see `add_file`; or it is something that geuwsgi has to refuse.
        """
        if not self._in_logic:
            if name in logic.ENDS:
                self._logic = None
            elif self._logic is not None:
                self._in_logic = True
                try:
                    for replaced in logic.values(self._logic.name, self._logic.value or "", value, self._environ, self.lookup):
                        self._append(name, replaced, source)
                except (OSError, ValueError, re.error, RecursionError, OverflowError) as error:
                    raise ConfigError(str(error), self._logic.name, self._logic.value, self._logic.source) from None
                finally:
                    self._in_logic = False
                return
        self._append(name, value, source)

    def lookup(self, name: str) -> Optional[str]:
        """The value of the first entry of that name: what `%(name)` stands for."""
        for entry in self.entries:
            if entry.name == name:
                return entry.value
        return None

    def _append(self, name: str, value: Optional[str], source: str) -> None:
        entry = Entry(name, value, source, name in known.IMMEDIATE)
        self.entries.append(entry)
        if name in options.OTHER_FORMATS:
            raise ConfigError(
                f"configuration of this kind ({options.OTHER_FORMATS[name]}) is not read yet, write it as an ini file", name, value, source
            )
        if name in options.COMMANDS:
            raise ConfigError(options.COMMANDS[name], name, value, source)
        if name in options.REFUSED:
            raise ConfigError(options.REFUSED[name], name, value, source)
        if name in logic.CONDITIONS:
            if self._logic is not None:
                outer = f"{self._logic.name} ({self._logic.source})"
                raise ConfigError(f"stands inside of {outer}; conditions and loops cannot be nested", name, value, source)
            self._logic = entry
        elif name in ("ini", "include"):
            if name == "include" and split_section(value or "")[0].endswith(_OTHER_ENDINGS):
                raise ConfigError("configuration of this kind is not read yet, write it as an ini file", name, value, source)
            self.add_file(value or "", name, source)
        elif name in ("set", "set-placeholder", "set-ph"):
            self._set(entry)

    def _set(self, entry: Entry) -> None:
        key, equals, value = (entry.value or "").partition("=")
        if not equals or not key:
            raise ConfigError("write it as key=value", entry.name, entry.value, entry.source)
        if entry.name == "set":
            self._append(key, value, entry.source)
            return
        if options.argument(key) is not None:
            raise ConfigError(f"{key} is an option and cannot be a placeholder, use --set", entry.name, entry.value, entry.source)
        self.entries.append(Entry(key, value, entry.source, immediate=True, placeholder=True))

    def add_environment(self) -> None:
        """Variables such as UWSGI_HTTP_SOCKET=:8080, as containers have them."""
        for variable, value in self._environ.items():
            if variable.startswith("UWSGI_") and variable not in _NO_OPTIONS:
                self.add(variable[6:].lower().replace("_", "-"), value, ENVIRONMENT)

    def add_arguments(self, arguments: Sequence[str]) -> None:
        """The command line: options first, then the files that stand alone, as uWSGI orders them.

        Raises:
            ConfigError: an unknown or ambiguous option, a missing or unwanted argument, a word that is no configuration file.
        """
        given, alone = parse_arguments(arguments)
        for name, value in given:
            self.add(name, value, COMMAND_LINE)
        for word in alone:
            path, _ = split_section(word)
            if not path.endswith(".ini"):
                _refuse_word(word, given)
            self.add_file(word, None, COMMAND_LINE)

    def add_file(self, given: str, option: Optional[str], source: str) -> None:
        """Read a section of an ini file.

        Args:
            given: "FILE", "FILE:section", ":section" (of the file read last), or "-" for standard input.
            option: the option that named it, if any.
            source: where that stood.
        Raises:
            ConfigError: the file cannot be read, or reads itself, or has a line that is none.
        """
        if not given:
            raise ConfigError("needs the name of a file", option, given, source)
        if "://" in given:
            raise ConfigError("configuration is read from files only, not from URLs", option, given, source)
        path, section = split_section(given)
        again = not path
        if again:
            path = self._last_file
            if not path:
                raise ConfigError("a section without a file only makes sense inside of a file", option, given, source)
        if self._depth >= _DEEPEST:
            raise ConfigError("files that read each other without end", option, given, source)
        text = _read_text(path, option, given, source)
        self.magic.enter(given, "" if again else path, section)
        self._last_file = path
        self._depth += 1
        try:
            self._add_section(self.magic.replace(text), path, section or "uwsgi")
        finally:
            self._depth -= 1

    def _add_section(self, text: str, path: str, wanted: str) -> None:
        section = ""
        found = False
        for number, raw in enumerate(text.split("\n"), 1):
            line = raw.strip(" \t\r")
            if not line or line[0] in ";#":
                continue
            if line[0] == "[":
                section = line[1:].partition("]")[0]
                found = found or section == wanted
                continue
            if section != wanted:
                continue
            key, equals, value = line.partition("=")
            key = key.rstrip(" \t\r")
            first = key.partition(" ")[0]
            if not equals and first != key and options.argument(first) is not None:
                # Kept for uwsgi.opt under the whole line, as uWSGI keeps it.
                self.warnings.append(f"{path}:{number}: {line!r} sets nothing: there is no equals sign between {first} and its value")
            if not key:
                raise ConfigError(f"{line!r} has no name before the equals sign", source=f"{path}:{number}")
            self.add(key, value.lstrip(" \t\r"), f"{path}:{number}")
        if not found:
            self.warnings.append(f"{path}: there is no section [{wanted}]")

    def finish(self) -> None:
        """After the last source."""
        if self._logic is not None:
            self.warnings.append(f"{self._logic.source}: {self._logic.name} has no end")


def parse_arguments(arguments: Sequence[str]) -> tuple[list[tuple[str, Optional[str]]], list[str]]:
    """Take a command line apart, as getopt_long does.

    `--name value`, `--name=value`, unambiguous beginnings of names, letters in a bundle (`-Mp4`), `--` before words that are no
    options. An optional argument needs the equals sign, or to stand right behind its letter.

    Returns:
        The options as (name, argument or None), and the other words.
    Raises:
        ConfigError: unknown, ambiguous, without its argument, or with one that it does not take.
    """
    given: list[tuple[str, Optional[str]]] = []
    alone: list[str] = []
    rest = list(reversed(arguments))
    while rest:
        word = rest.pop()
        if word == "--":
            alone.extend(reversed(rest))
            break
        if word.startswith("--"):
            typed, equals, value = word[2:].partition("=")
            name = _full_name(typed)
            kind = options.argument(name)
            if equals:
                if kind == "none":
                    raise ConfigError("takes no argument on the command line", name, value, COMMAND_LINE)
                given.append((name, value))
            elif kind == "required":
                given.append((name, _argument(name, rest)))
            else:
                given.append((name, None))
        elif word.startswith("-") and len(word) > 1:
            _take_letters(word, rest, given)
        else:
            alone.append(word)
    return given, alone


def _take_letters(word: str, rest: list[str], given: list[tuple[str, Optional[str]]]) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        name = known.SHORT.get(letter)
        if name is None:
            raise ConfigError(f"there is no option -{letter}{f' (in {word})' if len(word) > 2 else ''}", source=COMMAND_LINE)
        kind = options.argument(name)
        if kind == "none":
            given.append((name, None))
            continue
        if kind == "optional":
            given.append((name, letters or None))
        else:
            given.append((name, letters or _argument(name, rest)))
        return


def _argument(name: str, rest: list[str]) -> str:
    if not rest:
        raise ConfigError("needs an argument", name, None, COMMAND_LINE)
    return rest.pop()


def _full_name(typed: str) -> str:
    if options.argument(typed) is not None:
        return typed
    names = list(options.all_names())
    possible = sorted(name for name in names if name.startswith(typed)) if typed else []
    # Spellings of one option are no ambiguity.
    meant = {options.BY_NAME[name].name if name in options.BY_NAME else name for name in possible}
    if len(meant) == 1:
        return possible[0]
    if possible:
        shown = ", ".join("--" + name for name in possible[:8]) + (" and others" if len(possible) > 8 else "")
        raise ConfigError(f"is ambiguous, it may stand for {shown}", typed, None, COMMAND_LINE)
    raise ConfigError(f"there is no such option{suggestion(typed)}", typed, None, COMMAND_LINE)


def suggestion(name: str) -> str:
    """ ", did you mean --x?" for a name that nobody knows, or "". What geuwsgi can do is suggested first."""
    import difflib  # only needed on the way out

    for names in (options.BY_NAME, list(options.all_names())):
        close = difflib.get_close_matches(name, names, 1, 0.75)
        if close:
            return f", did you mean --{close[0]}?"
    return ""


def split_section(given: str) -> tuple[str, str]:
    """ "FILE:section" -> (FILE, section). A file whose name really has a colon is taken whole."""
    path, colon, section = given.rpartition(":")
    if not colon or os.path.isfile(given):
        return given, ""
    return path, section


def _read_text(path: str, option: Optional[str], given: str, source: str) -> str:
    try:
        if path == "-":
            if sys.stdin is None:
                raise ConfigError("standard input is closed", option, given, source)
            data = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                data = file.read()
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise ConfigError(reason if option else f"{path} {reason}", option, given if option else None, source) from None
    # Bytes that are no UTF-8 come back as they were in uwsgi.opt and in file names.
    return data.decode("utf-8", "surrogateescape").lstrip("\ufeff").replace("\0", "")


def _refuse_word(word: str, given: list[tuple[str, Optional[str]]]) -> NoReturn:
    if word.endswith(_OTHER_ENDINGS):
        raise ConfigError(f"{word}: configuration of this kind is not read yet, write it as an ini file", source=COMMAND_LINE)
    if word.endswith((".py", ".wsgi")):
        hint = f"; an application is given as --wsgi-file {word}"
    elif given and given[-1][1] is None and options.argument(given[-1][0]) == "optional":
        hint = f"; an argument of --{given[-1][0]} needs the equals sign: --{given[-1][0]}={word}"
    elif ":" in word:
        hint = f"; an application is given as --module {word}"
    else:
        hint = ""
    raise ConfigError(f"{word} is no ini file{hint}", source=COMMAND_LINE)
