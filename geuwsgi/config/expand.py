"""What stands for something else: `%n` in files; `$(HOME)`, `@(file)` and `%(name)` in values.

uWSGI replaces in two steps, and so does this. The magic variables of one character (`%n`, `%d`, ...) are replaced in the text of
a file before it is parsed. The forms with parentheses are replaced in the values, when all options are known: first all `$()`,
then all `@()`, then all `%()`, so `%(name)` may stand before `name` is set.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping
from typing import Callable, Optional

from .. import EMULATED_UWSGI
from ..errors import ConfigError

#: One value may be replaced this often before it is taken to refer to itself (uWSGI would hang).
_MOST_REPLACEMENTS = 1000

#: Characters that a value may grow to: ten references in each of ten lines would be enough to fill any memory.
_LONGEST = 16 * 1024 * 1024

#: The largest number of C's `long long`, where strtoll ends.
_LARGEST = 2**63 - 1


class Magic:
    """uWSGI's table of magic variables. Small letters follow the file being read, capitals keep the first one's values.

    Attributes:
        table: character -> what it stands for.
    """

    def __init__(self) -> None:
        now = time.time()
        uid, gid = os.getuid(), os.getgid()
        try:
            here = os.getcwd()
        except OSError as error:
            raise ConfigError(f"the current directory is gone ({error.strerror}): change to one that is there, and start again") from None
        self.table: dict[str, str] = {
            "%": "%",
            "(": "%(",
            "[": "\033",
            "b": os.path.abspath(sys.argv[0]),
            "v": here,
            "V": EMULATED_UWSGI,
            "h": os.uname().nodename,
            "k": str(os.cpu_count() or 1),
            "t": str(int(now)),
            "T": str(int(now * 1e6)),
            "u": str(uid),
            "U": _user_name(uid),
            "g": str(gid),
            "G": _group_name(gid),
        }
        self._first = True

    def enter(self, given: str, path: str, section: str) -> None:
        """A file is about to be read.

        Args:
            given: the argument as written: "FILE", "FILE:section" or ":section".
            path: the file's path; "" when the file before is read again for another section.
            section: the section as written, "" for none.
        Source: uWSGI's `config_magic_table_fill`. One difference: there, the capitals are empty in a file that is a positional
            argument.
        """
        table = self.table
        table["o"] = given
        if path:
            # A symbolic link counts as itself, so that one file can serve under several names; its directory is still made plain.
            full = os.path.join(os.getcwd(), path) if os.path.islink(path) else os.path.realpath(path)
            directory, name = os.path.split(full)
            stem, dot, extension = name.rpartition(".")
            table["p"], table["s"] = full, name
            table["d"] = directory if directory.endswith("/") else directory + "/"
            table["n"] = stem if dot else name
            table["e"] = extension if dot else ""
            table["c"] = os.path.basename(directory)
            table["j"] = _djb33x(os.fsencode(full))
            table["i"] = str(os.lstat(full).st_ino) if os.path.lexists(full) else ""
            parts = [part for part in directory.split("/") if part]
            for digit in range(10):
                table[str(digit)] = parts[digit] if digit < len(parts) else ""
        table["x"] = section
        if self._first:
            self._first = False
            for letter in "odspcenxij":
                table[letter.upper()] = table.get(letter, "")

    def replace(self, text: str) -> str:
        """Replace the magic variables in a file's text.

        As in uWSGI an unknown one is replaced by nothing, so a percent sign is written `%%`. One at the end of a line is kept
        here (uWSGI swallows the line break and joins the lines).
        """
        return re.sub(r"%([^\r\n])", lambda match: self.table.get(match[1], ""), text)


def _user_name(uid: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        import grp

        return grp.getgrgid(gid).gr_name
    except (ImportError, KeyError):
        return str(gid)


def _djb33x(data: bytes) -> str:
    """Bernstein's hash with exclusive or, as uWSGI prints it: four bytes in the order of memory (little-endian), in hex."""
    value = 5381
    for byte in data:
        value = ((value << 5) + value) & 0xFFFFFFFF ^ byte
    return value.to_bytes(4, "little").hex().upper()


def replace_all(value: str, symbol: str, lookup: Callable[[str], Optional[str]]) -> str:
    """Replace every `symbol(key)` in a value, innermost first, also in what has been put in.

    Args:
        value: the text.
        symbol: "$", "@" or "%".
        lookup: key -> replacement, or None to leave the reference as it is.
    Raises:
        ConfigError: the value refers to itself.
    Source: uWSGI's `uwsgi_apply_config_pass`.
    """
    start, replaced = 0, 0
    while True:
        found = _next_reference(value, symbol, start)
        if found is None:
            return value
        begin, end = found
        replacement = lookup(value[begin + 2 : end - 1])
        if replacement is None:
            start = end
            continue
        replaced += 1
        if replaced > _MOST_REPLACEMENTS:
            raise ConfigError(f"{value[begin:end]} refers to itself")
        if len(value) + len(replacement) > _LONGEST:
            raise ConfigError(f"grows beyond {_LONGEST >> 20} MB with {value[begin:end]}")
        value = value[:begin] + replacement + value[end:]
        start = 0


def _next_reference(value: str, symbol: str, start: int) -> Optional[tuple[int, int]]:
    """Bounds of the first `symbol(key)`, the key not empty, with balanced parentheses and without the symbol."""
    begin = value.find(symbol + "(", start)
    while begin >= 0:
        depth = 1
        for position in range(begin + 2, len(value)):
            character = value[position]
            if character == symbol:
                break
            depth += (character == "(") - (character == ")")
            if not depth:
                if position > begin + 2:
                    return begin, position + 1
                break
        begin = value.find(symbol + "(", begin + 1)
    return None


def arithmetic(expression: str, lookup: Callable[[str], Optional[str]]) -> Optional[str]:
    """The value of `%(expression)`: a name, or words with + - * / ++ -- between them, worked from left to right.

    Words without an operator between them are joined: with a = 2 and b = 8, `%(a b + 2)` is 30. Names that are not set count as
    nothing. Division truncates, and by zero gives 0.

    Args:
        expression: what stands between the parentheses.
        lookup: name -> value, or None.
    Returns:
        None for a single name that is not set.
    Source: uWSGI's `uwsgi_manage_placeholder`.
    """
    if " " not in expression:
        return lookup(expression)
    result: Optional[str] = None
    operator = ""
    for word in expression.split(" "):
        if not word:
            continue
        if word in ("+", "-", "*", "/"):
            operator = word
            continue
        if word in ("++", "--"):
            if result is not None:
                result = str(_number(result) + (1 if word == "++" else -1))
            operator = ""
            continue
        value = word if word.isascii() and word.isdigit() else lookup(word) or ""
        result = _apply(operator, result or "", value)
        operator = ""
    return result


def _apply(operator: str, left: str, right: str) -> str:
    if not operator:
        return left + right
    a, b = _number(left), _number(right)
    if operator == "+":
        return str(a + b)
    if operator == "-":
        return str(a - b)
    if operator == "*":
        return str(a * b)
    quotient = abs(a) // abs(b) if b else 0
    return str(quotient if (a < 0) == (b < 0) else -quotient)


def _number(text: str) -> int:
    """The number that a text begins with, as C's strtoll reads it."""
    match = re.match(r"\s*([+-]?)0*([0-9]+)", text, re.ASCII)
    if match is None:
        return 0
    number = min(int(match[2][:20]), _LARGEST)
    return -number if match[1] == "-" else number


def read_reference(target: str, environ: Mapping[str, str]) -> str:
    """The value of `@(target)`: a file's content, or what a command or a descriptor delivers, without one line break at the end.

    Raises:
        ConfigError: it cannot be read.
    """
    import subprocess  # slow to import, and rarely needed

    scheme, separator, rest = target.partition("://")
    if not separator:
        scheme, rest = "file", target
    try:
        if scheme == "file":
            with open(rest, "rb") as file:
                data = file.read()
        elif scheme == "exec":
            data = subprocess.run(rest, shell=True, stdout=subprocess.PIPE, check=True, env=dict(environ)).stdout
        elif scheme == "fd":
            if not re.fullmatch("[0-9]{1,9}", rest):
                raise ValueError
            with open(int(rest), "rb", closefd=False) as file:
                data = file.read()
        else:
            raise ConfigError(f"@({target}): geuwsgi reads files, exec://COMMAND and fd://NUMBER here, not {scheme}://")
    except OSError as error:
        raise ConfigError(f"@({target}) cannot be read: {error.strerror or error}") from None
    except subprocess.CalledProcessError as error:
        raise ConfigError(f"@({target}): the command ended with status {error.returncode}") from None
    except ValueError:
        raise ConfigError(f"@({target}): {rest!r} is no descriptor") from None
    text = os.fsdecode(data)
    return text[:-1] if text.endswith(("\n", "\r")) else text
