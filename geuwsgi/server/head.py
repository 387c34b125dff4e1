"""Response heads: what `start_response` may be given, and the bytes that come of it. No I/O.

Source: PEP 3333, RFC 9110 section 5 (fields) and RFC 9112 section 4 (status line).
"""

from __future__ import annotations

import re
import time
from email.utils import formatdate
from typing import Any

ORDINARY = 0
CONTENT_LENGTH = 1
CONNECTION = 2
DATE = 3
#: Framing and connections are the server's business; PEP 3333 forbids these to applications. Frameworks set some of them all the
#: same and expect a server to know better, so they are dropped, not refused.
DROPPED = 4

_SPECIAL = {
    "content-length": CONTENT_LENGTH,
    "connection": CONNECTION,
    "date": DATE,
    "transfer-encoding": DROPPED,
    "keep-alive": DROPPED,
    "proxy-connection": DROPPED,
    "te": DROPPED,
    "trailer": DROPPED,
}

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: What the value of a header must not have in it.
BAD_IN_VALUE = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
#: What `start_response` takes as a status.
STATUS = re.compile(r"[1-9][0-9][0-9](?: [\t\x20-\x7e\x80-\xff]*)?")

#: What applications repeat in every response is judged once. Bounded, since names and reasons may come from users.
_MAX_CACHED = 1024
_names: dict[str, int] = {}
_statuses: dict[str, int] = {}


class Head:
    """One validated head.

    Attributes:
        lines: the status (without the protocol) and the header lines.
        code: the status code.
        length: the application's Content-Length; -1 without one.
        close: the application said `Connection: close`.
        has_date: it has sent its own Date.
    """

    __slots__ = ("close", "code", "has_date", "length", "lines")

    def __init__(self, status: str, headers: Any) -> None:
        """Validate.

        Raises:
            TypeError: not the types of PEP 3333.
            ValueError: something that would break the head apart, or two different lengths.
        """
        self.length = -1
        self.close = False
        self.has_date = False
        code = _statuses.get(status)
        self.code = _status_code(status) if code is None else code
        if not isinstance(headers, list):
            raise TypeError(f"http headers must be in a python list, not {type(headers).__name__}")
        lines = [status]
        for item in headers:
            if not isinstance(item, tuple):
                raise TypeError(f"an http header must be a tuple, not {type(item).__name__}")
            name, value = item
            kind = _names.get(name)
            if kind is None:
                kind = _name_kind(name)
            # The cheap questions first; what they refuse may still be right (a tab, a latin-1 letter).
            if type(value) is not str or not value.isascii() or not value.isprintable():
                _check_value(name, value)
            if kind:
                if kind == CONTENT_LENGTH:
                    if not self._set_length(value):
                        continue
                elif kind == CONNECTION:
                    self.close = self.close or "close" in [token.strip().lower() for token in value.split(",")]
                    continue
                elif kind == DATE:
                    self.has_date = True
                else:
                    continue
            lines.append(name + ": " + value)
        self.lines = lines

    def _set_length(self, value: str) -> bool:
        """False when the same was said before."""
        if not (value.isascii() and value.isdigit()):
            raise ValueError(f"Content-Length must be a number, not {value!r}")
        length = int(value)
        if self.length >= 0:
            if self.length != length:
                raise ValueError("two different Content-Length headers")
            return False
        self.length = length
        return True

    def drop_length(self) -> None:
        """Forget the Content-Length, for a status that must not have one (RFC 9110 section 8.6)."""
        if self.length >= 0:
            self.length = -1
            self.lines = [line for line in self.lines if line[:15].lower() != "content-length:"]


def _status_code(status: Any) -> int:
    if not isinstance(status, str):
        raise TypeError(f"http status must be a string, not {type(status).__name__}")
    if not STATUS.fullmatch(status):
        raise ValueError(f"invalid http status {status!r}")
    code = int(status[:3])
    if len(_statuses) < _MAX_CACHED:
        _statuses[status] = code
    return code


def _name_kind(name: Any) -> int:
    if not isinstance(name, str):
        raise TypeError(f"a header name must be a string, not {type(name).__name__}")
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"invalid header name {name!r}")
    kind = _SPECIAL.get(name.lower(), ORDINARY)
    if len(_names) < _MAX_CACHED and len(name) <= 64:
        _names[name] = kind
    return kind


def _check_value(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"the value of header {name} must be a string, not {type(value).__name__}")
    if BAD_IN_VALUE.search(value):
        raise ValueError(f"control character in the value of header {name}: {value!r}")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"the value of header {name} has characters beyond latin-1: {value!r}") from None


_date_second = -1
_date_line = ""


def date_line(now: float) -> str:
    """The Date header for a time in seconds since the epoch; made once a second."""
    global _date_second, _date_line
    second = int(now)
    if second != _date_second:
        day = time.gmtime(second)
        # Not strftime: names of days and months must not depend on the locale.
        _date_line = (
            f"Date: {_DAYS[day.tm_wday]}, {day.tm_mday:02} {_MONTHS[day.tm_mon - 1]} {day.tm_year} "
            f"{day.tm_hour:02}:{day.tm_min:02}:{day.tm_sec:02} GMT"
        )
        _date_second = second
    return _date_line


def http_date(when: float) -> str:
    """A time in seconds since the epoch as headers have it; the earliest or latest date that can be written, for one beyond."""
    return formatdate(min(max(when, _FIRST_DATE), _LAST_DATE), usegmt=True)


#: The beginning of the year 1 and the end of 9999.
_FIRST_DATE = -62135596800
_LAST_DATE = 253402300799

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
