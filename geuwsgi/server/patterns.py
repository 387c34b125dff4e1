"""Regular expressions as uWSGI's users write them, for PCRE, made of Python's `re`."""

from __future__ import annotations

import re
import warnings

#: What PCRE writes in another way than `re`.
_CLASSES = {
    "alpha": "A-Za-z",
    "digit": "0-9",
    "alnum": "A-Za-z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "xdigit": "A-Fa-f0-9",
    "space": r"\s",
    "word": r"\w",
    "punct": r"!-/:-@\[-`{-~",
    "blank": r" \t",
}
_POSIX = re.compile(r"\[:(\w+):\]")
_FOREIGN = re.compile(r"\\.|\(\?<(?=[A-Za-z_])", re.DOTALL)
_ESCAPES = {r"\z": r"\Z", r"\h": r"[ \t]", r"\R": r"(?:\r\n|\n|\r)"}


def environ_text(text: str) -> str:
    """A text of the configuration as PEP 3333 has text: its bytes, each as the character of that number."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def pattern(text: str) -> re.Pattern[str]:
    """Compile a regular expression that is searched for in bytes (each a character, as in an environ).

    Raises:
        ValueError: what is wrong with it.
    """
    translated = _POSIX.sub(lambda match: _CLASSES.get(match[1], match[0]), environ_text(text))
    translated = _FOREIGN.sub(lambda match: "(?P<" if match[0] == "(?<" else _ESCAPES.get(match[0], match[0]), translated)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what may mean something else in a later Python means today what PCRE means by it
            return re.compile(translated, re.ASCII)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{text} is no regular expression: {error}") from None
