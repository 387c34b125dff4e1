"""Which request a call of the module is about."""

from __future__ import annotations

from typing import Any

from ..server.request import Request, find_request

__all__ = ["request_context"]


def current(context: Any = None) -> Request:
    """The request given, or else that of the calling greenlet.

    Raises:
        SystemError: outside of any request, with uWSGI's text.
        TypeError: `context` is not what `request_context()` returns.
    """
    if context is None:
        request = find_request()
        if request is None:
            raise SystemError("you can call uwsgi api function only from the main callable")
        return request
    if not isinstance(context, Request):
        raise TypeError("request_context must come from uwsgi.request_context()")
    return context


def serving(context: Any = None) -> Request:
    """As `current`, for calls that touch the connection, which after the request's end may carry another one.

    Raises:
        OSError: the request is over.
    """
    request = current(context)
    if request.finished:
        raise OSError("the request of this call is over")
    return request


def request_context() -> Request:
    """The request of the calling greenlet, to be given to other calls as `request_context=`. In uWSGI's master branch only.

    Raises:
        SystemError: outside of any request.
    """
    return current()
