"""The server's log: whole lines to standard error, in one write each.

`--logto` points descriptors 1 and 2 at a file before anything is served, so nothing here knows about files.
"""

from __future__ import annotations

import os

#: What a terminal of UTF-8 may take for a command (ECMA-48 section 5.3): it comes out of the paths of requests, whose bytes are characters.
_COMMANDS = {code: f"\\x{code:02x}" for code in range(0x80, 0xA0)}


def log(line: str) -> None:
    """Write one line (without its newline) to the log.

    `os.write`, not `print`: one system call per line keeps lines of several workers whole, and it
    works from a hub callback, where a patched stream may not block.
    """
    if not line.isascii():
        line = line.translate(_COMMANDS)
    data = (line + "\n").encode("utf-8", "backslashreplace")
    try:
        while data:
            data = data[os.write(2, data) :]
    except OSError:
        pass  # a full disk or a closed stderr must not take the server down
