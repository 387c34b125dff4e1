"""Every error geuwsgi raises, in one tree. The two questions it answers: whose fault, and what now.

GeuwsgiError
  ConfigError(message, option, value, source)   the operator: exit status 1, with file and line
  AppLoadError                                   the application: exit status 1, its traceback printed once
  ProtocolError                                  the peer: one log line, never a traceback
    HTTPError(status)                            answered with that status
    WebSocketError(code)                         answered with that close code
  ConnectionClosed(code, reason)                 the peer is gone; also an OSError
  ChannelError                                   a channel that does not exist, a message that is too large
"""

from __future__ import annotations

from typing import Optional

#: Characters of a value that are repeated in an error: a megabyte of them would bury what was wrong with it.
_SHOWN = 1000


class GeuwsgiError(Exception):
    """Base of every error that geuwsgi raises on its own account."""


class ConfigError(GeuwsgiError):
    """What the operator asked for cannot be done.

    Args:
        message: what is wrong and what to do, without the option's name.
        option: the option as the user spelled it, without leading dashes ("http-socket").
        value: the value as given.
        source: where it was given: "command line", "bombertab.ini:12", "environment".
    """

    def __init__(
        self,
        message: str,
        option: Optional[str] = None,
        value: Optional[str] = None,
        source: Optional[str] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.option = option
        self.value = value
        self.source = source

    def __str__(self) -> str:
        where = f"{self.source}: " if self.source else ""
        what = f"--{self.option}" if self.option and self.source == "command line" else self.option
        value = self.value or ""
        shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "..."
        given = f" = {shown}" if self.option and shown else ""
        return f"{where}{what + given + ': ' if what else ''}{self.message}"


class AppLoadError(GeuwsgiError):
    """The application could not be imported, or has no callable of that name.

    Attributes:
        traceback_text: the application's own traceback, or "" when there is none to show.
    """

    def __init__(self, message: str, traceback_text: str = "") -> None:
        super().__init__(message)
        self.traceback_text = traceback_text


class ProtocolError(GeuwsgiError):
    """The peer broke a protocol. Logged in one line, never with a traceback."""


class HTTPError(ProtocolError):
    """A request that cannot be served.

    Args:
        status: the status line to answer with, such as "400 Bad Request".
        detail: for the log only; never sent to the peer.
    """

    def __init__(self, status: str, detail: str = "") -> None:
        super().__init__(f"{status}: {detail}" if detail else status)
        self.status = status
        self.detail = detail


class WebSocketError(ProtocolError):
    """A frame that RFC 6455 forbids.

    Args:
        code: the close code to fail the connection with (1002, 1007, 1009, ...).
        reason: at most 123 bytes of UTF-8, sent in the close frame.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class ConnectionClosed(GeuwsgiError, OSError):
    """The websocket is over.

    Attributes:
        code: the close code; 1005 when the peer sent none, 1006 when it left without a close frame.
        reason: the peer's reason, or this side's.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"websocket closed ({code}{' ' + reason if reason else ''})")
        self.code = code
        self.reason = reason


class ChannelError(GeuwsgiError):
    """A channel that was not declared (`--channel-strict`), or a message over `--channel-max-size`."""
