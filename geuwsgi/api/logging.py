"""`uwsgi.log`, and what a request adds to its line in the log."""

from __future__ import annotations

from typing import Any, Optional, Union

from ..log import log as write_log
from .context import current

__all__ = ["get_logvar", "log", "log_this_request", "set_logvar"]

Text = Union[str, bytes]


def log(logline: Text, /) -> bool:
    """Write a line to the server's log. True.

    Args:
        logline: without its newline; bytes too, which uWSGI's Python 3 plugin refuses.

    Raises:
        ValueError: it holds a NUL.
        TypeError: neither str nor bytes.
    """
    if isinstance(logline, bytes):
        logline = logline.decode("utf-8", "backslashreplace")
    elif not isinstance(logline, str):
        raise TypeError(f"log() argument 1 must be str, not {type(logline).__name__}")
    if "\0" in logline:
        raise ValueError("embedded null character")
    write_log(logline)
    return True


def set_logvar(key: Text, val: Text, /, *, request_context: Any = None) -> None:
    """Set a variable of the request for the log. Of any length: uWSGI keeps 255 bytes at most, and other ones than the first.

    Raises:
        TypeError: neither str nor bytes.
    """
    name, value = _name(key), _bytes(val)
    request = current(request_context)
    if request.logvars is None:
        request.logvars = {}
    request.logvars[name] = value


def get_logvar(key: Text, /, *, request_context: Any = None) -> Optional[bytes]:
    """What `set_logvar` set, or None."""
    name = _name(key)
    return (current(request_context).logvars or {}).get(name)


def log_this_request(*, request_context: Any = None) -> None:
    """Have this request logged even where logging is off."""
    current(request_context).log = True


def _bytes(value: Text) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, bytes):
        return value
    raise TypeError(f"str or bytes expected, not {type(value).__name__}")


def _name(value: Text) -> str:
    return _bytes(value).decode("utf-8", "surrogateescape")
