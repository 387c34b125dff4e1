"""What a server's log may not hold unless the test says so."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: A line that tells of trouble: a traceback, an exception's name, a warning, a crash.
_SUSPECT = re.compile(
    r"Traceback \(most recent call last\)|\b\w*(Error|Exception|Warning)\b(:|$| at 0x)|^warning\b"
    r"|Segmentation fault|core dumped|Fatal Python",
    re.IGNORECASE,
)


#: What stands between two tracebacks of which one caused the other.
_CHAIN = ("The above exception was the direct cause", "During handling of the above exception")


def _blocks(text: str) -> list[str]:
    """The log's lines, with each traceback (and the tracebacks chained to it) joined to one block."""
    blocks: list[str] = []
    in_traceback = chained = False
    for line in text.splitlines():
        if line.startswith("Traceback (most recent call last)"):
            in_traceback = True
            if chained:
                blocks[-1] += "\n" + line
            else:
                blocks.append(line)
            chained = False
        elif in_traceback:
            blocks[-1] += "\n" + line
            in_traceback = line.startswith((" ", "\t")) or not line
        elif line.startswith(_CHAIN):
            while len(blocks) > 1 and not blocks[-1]:
                blocks.pop()
            blocks[-1] += "\n" + line
            chained = True
        elif not (chained and not line):
            blocks.append(line)
    return blocks


def unexpected_lines(text: str, expected: Iterable[str] = ()) -> list[str]:
    """Blocks of a log that tell of trouble and match none of `expected` (regular expressions)."""
    patterns = [re.compile(pattern, re.DOTALL) for pattern in expected]
    return [block for block in _blocks(text) if _SUSPECT.search(block) and not any(pattern.search(block) for pattern in patterns)]


def absent_lines(text: str, expected: Iterable[str] = ()) -> list[str]:
    """Those of `expected` that the log does not hold: a declared trouble that never came is a mistake of the test."""
    return [pattern for pattern in expected if not re.search(pattern, text, re.DOTALL)]
