"""The configuration: every option checked and typed, with where it was given."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Optional, Union

from ..errors import ConfigError
from . import logic, options
from .expand import arithmetic, read_reference, replace_all
from .options import Option, Scalar
from .sources import COMMAND_LINE, Collector, Entry, suggestion

#: Words that switch a flag off (uWSGI's `uwsgi_opt_true`) and on.
_NO = frozenset(("false", "off", "no", "0"))
_YES = frozenset(("true", "on", "yes", "1", ""))


#: Arguments in which a semicolon is nothing that looks like a comment.
_COMMANDS = (
    *("COMMAND", "PIDFILE COMMAND", "FILE COMMAND", "WHEN COMMAND", "KEYS COMMAND", "CODE"),
    *("ACTION", "FILE ACTION", "KEYS", "KEY=VALUE", "NAME=VALUE"),
    *("REGEXP ACTION", "CONDITION ACTION", "STATUS ACTION", "NAME: VALUE"),
)


class Config:
    """What was asked for. Made by `load`.

    Attributes:
        opt: what `uwsgi.opt` is: name as spelled -> True for an option of the command line without an argument, else bytes; of a
            repeated option the last value.
        warnings: lines for the log, about what has no effect or is ignored.
        magic_table: the magic variables as the last file left them.
    """

    def __init__(self, entries: Sequence[Entry], warnings: Sequence[str] = (), magic_table: Optional[Mapping[str, str]] = None) -> None:
        """Check the values.

        Args:
            entries: in order, with all references replaced.
            warnings: from reading them.
            magic_table: for the attribute.
        Raises:
            ConfigError: a value of the wrong kind; with `strict`, an option that is unknown or would be ignored.
        """
        self.opt: dict[str, Union[bytes, bool]] = {}
        self.warnings: list[str] = list(warnings)
        self.magic_table: dict[str, str] = dict(magic_table or {})
        self._values: dict[str, list[Scalar]] = {}
        self._sources: dict[str, list[str]] = {}
        self._order: list[tuple[str, Scalar, str]] = []
        ignored: list[Entry] = []
        unknown: list[Entry] = []
        for entry in entries:
            self.opt[entry.name] = True if entry.value is None else os.fsencode(entry.value)
            option = options.BY_NAME.get(entry.name)
            if option is not None:
                value = self._check(option, entry)
                self._values.setdefault(option.name, []).append(value)
                self._order.append((option.name, value, entry.source))
                self._sources.setdefault(option.name, []).append(entry.source)
            elif entry.name in logic.CONDITIONS or entry.name in logic.ENDS or entry.placeholder:
                pass
            elif options.argument(entry.name) is not None:
                ignored.append(entry)
            else:
                unknown.append(entry)
        if self.get("strict"):
            self._refuse(unknown, ignored)
        self._warn(ignored)

    def get(self, name: str) -> Any:
        """The value of an option.

        Args:
            name: any of its spellings, without dashes.
        Returns:
            bool, int, float or str as the row in `options.py` says; a list in order for a repeatable option; else the value given
            last, or the default, which is None where there is none.
        Raises:
            KeyError: there is no such row.
        """
        option = options.BY_NAME[name]
        given = self._values.get(option.name, [])
        if option.repeatable:
            return list(given)
        return given[-1] if given else option.default

    def forget(self, name: str) -> None:
        """Take an option as not given, because it cannot be followed here."""
        self._values.pop(options.BY_NAME[name].name, None)

    def given(self, name: str) -> bool:
        """Whether an option was given at all."""
        return options.BY_NAME[name].name in self._values

    def source(self, name: str, index: int = -1) -> Optional[str]:
        """Where an option was given: "command line", "environment" or "file.ini:12".

        Args:
            name: any of its spellings.
            index: which of the values that `get` returns, for a repeatable option; the last one counts otherwise.
        Returns:
            None if it was not given.
        """
        sources = self._sources.get(options.BY_NAME[name].name)
        return sources[index] if sources else None

    def in_order(self, names: Collection[str]) -> list[tuple[str, Scalar, str]]:
        """(name, value, source) of all that was given of some options, in the order in which it was given.

        Args:
            names: canonical names.
        """
        return [given for given in self._order if given[0] in names]

    def _check(self, option: Option, entry: Entry) -> Scalar:
        value = entry.value
        if option.kind == "str":
            if value is None or not value:
                if option.bare is not None:
                    return option.bare
                raise ConfigError(f"needs an argument: {option.metavar}", entry.name, value, entry.source)
            self._look_for_comment(option, entry, value)
            return value
        plain = _without_comment(value or "")
        if option.kind == "flag":
            return self._check_flag(option, entry, plain)
        if option.bare is not None and (value is None or plain.lower() in _YES):
            return option.bare
        if option.kind == "mode":
            if not re.fullmatch("[0-7]{3}", plain):
                raise ConfigError("permissions are three octal digits, as in 660", entry.name, value, entry.source)
            return plain
        return _number(option, entry, plain)

    def _check_flag(self, option: Option, entry: Entry, plain: str) -> bool:
        if plain.lower() in _NO:
            if option.always:
                self.warnings.append(f"{_label(entry)} = {plain} has no effect: {option.always}")
            return False
        if plain.lower() not in _YES:
            self.warnings.append(f"{_label(entry)} = {plain} is taken as true, as uWSGI does; write true or false")
        return True

    def _look_for_comment(self, option: Option, entry: Entry, value: str) -> None:
        # A shell command may well hold a semicolon, and nobody writes comments on a command line.
        if option.metavar in _COMMANDS or entry.source == COMMAND_LINE:
            return
        if _without_comment(value) != value.strip():
            self.warnings.append(f"{_label(entry)}: comments stand on lines of their own, so {value!r} is taken whole, as uWSGI does")

    def _refuse(self, unknown: Sequence[Entry], ignored: Sequence[Entry]) -> None:
        for entry in unknown:
            raise ConfigError(
                f"there is no such option (strict){suggestion(entry.name)}; the application's own values are set with set-placeholder",
                entry.name, entry.value, entry.source,
            )  # fmt: skip
        for entry in ignored:
            raise ConfigError("geuwsgi does not implement this option of uWSGI yet (strict)", entry.name, entry.value, entry.source)

    def _warn(self, ignored: Sequence[Entry]) -> None:
        for name in self._values:
            option = options.BY_NAME[name]
            if option.no_effect:
                self.warnings.append(f"{name} ({self.source(name)}) has no effect: {option.no_effect}")
        if ignored:
            named = ", ".join(dict.fromkeys(f"{entry.name} ({entry.source})" for entry in ignored))
            self.warnings.append(f"known to uWSGI, not implemented by geuwsgi, ignored: {named}")


def load(arguments: Sequence[str], environ: Mapping[str, str]) -> Config:
    """Read everything that a command line and an environment ask for.

    Args:
        arguments: the command line without the program's name.
        environ: the process's environment.
    Raises:
        ConfigError: with the option, its value, and where it was given.
    """
    collector = Collector(environ)
    collector.add_environment()
    collector.add_arguments(arguments)
    collector.finish()
    _replace_references(collector, environ)
    return Config(collector.entries, collector.warnings, collector.magic.table)


def _replace_references(collector: Collector, environ: Mapping[str, str]) -> None:
    passes = (
        ("$", environ.get),
        ("@", lambda target: read_reference(target, environ)),
        ("%", lambda expression: arithmetic(expression, collector.lookup)),
    )
    for symbol, lookup in passes:
        for entry in collector.entries:
            if entry.value is None or entry.immediate or symbol not in entry.value:
                continue
            try:
                entry.value = replace_all(entry.value, symbol, lookup)
            except ConfigError as error:
                raise ConfigError(error.message, entry.name, entry.value, entry.source) from None


def _number(option: Option, entry: Entry, plain: str) -> Scalar:
    whole = option.kind == "int"
    number: Union[int, float]
    try:
        if not plain.isascii() or "_" in plain:
            raise ValueError  # Python reads numerals of all scripts, and 1_000
        number = int(plain) if whole else float(plain)
        if not whole and not math.isfinite(number):
            raise ValueError
    except ValueError:
        wanted = "a whole number" if whole else "a number"
        raise ConfigError(f"{option.metavar} must be {wanted}", entry.name, entry.value, entry.source) from None
    if option.minimum is not None and number < option.minimum:
        raise ConfigError(f"must be at least {option.minimum:g}", entry.name, entry.value, entry.source)
    if option.maximum is not None and number > option.maximum:
        raise ConfigError(f"must be at most {option.maximum}", entry.name, entry.value, entry.source)
    return number


def _without_comment(value: str) -> str:
    """A value without a comment behind it. uWSGI keeps the comment, but reads numbers only as far as they are digits."""
    return re.sub(r"(^|[ \t]+)[;#].*", "", value).strip()


def _label(entry: Entry) -> str:
    return f"{entry.source}: {'--' if entry.source == COMMAND_LINE else ''}{entry.name}"
