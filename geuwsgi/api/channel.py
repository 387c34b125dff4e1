"""`uwsgi.channel_*` and `uwsgi.websocket_channel_*`: named channels.

uWSGI's 1.9 development tree documented these names and dropped them before a release; `count`, `channels`, `exclude_self`
and binary messages are ours.
"""

from __future__ import annotations

from typing import Any, Optional, Union

from ..channels.hub import ChannelHub
from ..channels.message import opcode_of
from ..channels.names import decode_name
from ..channels.queue import Queue
from ..errors import ChannelError, ConnectionClosed
from ..log import log
from ..protocol.frames import BINARY
from ..server.request import Request, find_request
from .context import serving
from .state import state
from .websocket import _over

__all__ = [
    "channel_count",
    "channel_join",
    "channel_leave",
    "channel_recv",
    "channel_send",
    "channel_send_binary",
    "channels",
    "websocket_channel_join",
    "websocket_channel_leave",
]

Name = Union[str, bytes]


def websocket_channel_join(name: Name, request_context: Any = None) -> None:
    """Forward the channel's messages to this websocket from now on, in the background, whatever the application does.

    Joining twice is one membership; the end of the request, and a peer that is gone, leave.

    Args:
        name: the channel; it springs into being unless `--channel-strict`.
        request_context: the request; by default the caller's.

    Raises:
        OSError: "unable to join channel": not a websocket, or it is over; then `.code` and `.reason` say how.
        ValueError: "unable to find channel": not declared, with `--channel-strict`.
    """
    websocket = serving(request_context).websocket
    if websocket is None:
        raise OSError("unable to join channel")
    _raise_if_over("unable to join channel", websocket)
    try:
        _hub_call(_hub().join, _name(name), websocket)
    except ValueError:
        _raise_if_over("unable to join channel", websocket)  # it ended while this waited for the backend
        raise


def websocket_channel_leave(name: Name, request_context: Any = None) -> None:
    """Forward no longer. Does nothing when it had not joined.

    Raises:
        ValueError: as `websocket_channel_join`.
    """
    websocket = serving(request_context).websocket
    if websocket is not None:
        _hub_call(_hub().leave, _name(name), websocket)


def channel_join(name: Name, request_context: Any = None, stay: bool = False) -> None:
    """Collect the channel's messages for `channel_recv`, until the end of the request, or of its websocket.

    Args:
        name: the channel.
        request_context: the request; by default the caller's.
        stay: until the end of the request also when its websocket is over before, or until the worker is about to end: for a
            request that goes on serving others.

    Raises:
        ValueError: as `websocket_channel_join`.
    """
    request = serving(request_context)
    key = _name(name)
    hub = _hub()
    if request.channel_queues is None:
        request.channel_queues = {}
        _at_end(request)
    if key in request.channel_queues:
        return
    queue = request.channel_queues[key] = Queue(hub.settings)
    try:
        _hub_call(hub.join_queue, key, queue, request.websocket, stay)
    except BaseException:
        if request.channel_queues is not None and request.channel_queues.get(key) is queue:
            del request.channel_queues[key]
        raise
    if queue.closed:  # the request ended, or left again, while this waited
        hub.leave(key, queue)


def channel_leave(name: Name, request_context: Any = None) -> None:
    """Collect no longer; what was not read is gone. Does nothing when it had not joined.

    Raises:
        ValueError: as `websocket_channel_join`.
    """
    request = serving(request_context)
    key = _name(name)
    queue = request.channel_queues.pop(key, None) if request.channel_queues else None
    if queue is None:
        _hub_call(_hub().check, key)
    else:
        queue.close()
        _hub_call(_hub().leave, key, queue)


def channel_recv(name: Name, timeout: Optional[float] = None, request_context: Any = None) -> Optional[bytes]:
    """The channel's next message; waits for it.

    Args:
        name: a channel that `channel_join` was called for.
        timeout: seconds to wait; 0 only looks; None or a negative number waits for ever.
        request_context: the request; by default the caller's.

    Returns:
        the message, None on a time-out.

    Raises:
        OSError: "unable to receive channel message": not joined, or the websocket is over and all that came before is read; then
            `.code` and `.reason` say how.
    """
    request = serving(request_context)
    queue = request.channel_queues.get(_name(name)) if request.channel_queues else None
    if queue is None:
        raise OSError("unable to receive channel message")
    if queue.websocket is None and request.websocket is not None:
        # It joined before the handshake.
        _hub().attach_queue(_name(name), queue, request.websocket)
    message: Optional[bytes] = _hub_call(_hub().receive, queue, None if timeout is None or timeout < 0 else timeout)
    if message is None and queue.closed:
        if request.websocket is not None:
            _raise_if_over("unable to receive channel message", request.websocket)
        raise OSError("unable to receive channel message")
    return message


def channel_send(name: Name, message: Union[str, bytes], exclude_self: bool = False, request_context: Any = None) -> None:
    """Send a message to everyone who joined, here, on the other workers and hosts. Never waits for any of them.

    Works outside of requests too: in a timer, a background greenlet, or a thread of gevent's pool.

    Args:
        name: the channel; the sender need not be in it.
        message: str is text; bytes are text when they are UTF-8 and binary otherwise.
        exclude_self: leave the calling request's own membership out.
        request_context: the request that `exclude_self` means; by default the caller's.

    Raises:
        ValueError: "unable to find channel" with `--channel-strict`; a message over `--channel-max-size`.
        TypeError: neither str nor bytes.
    """
    opcode, payload = opcode_of(message)
    _publish(name, opcode, payload, exclude_self, request_context)


def channel_send_binary(name: Name, message: Union[str, bytes], exclude_self: bool = False, request_context: Any = None) -> None:
    """As `channel_send`, as a binary message."""
    _publish(name, BINARY, opcode_of(message)[1], exclude_self, request_context)


def channel_count(name: Name, request_context: Any = None) -> int:
    """Members here and on the other workers and hosts that can be reached. Waits for their answers, at most half a second.

    Raises:
        ValueError: as `websocket_channel_join`.
    """
    return int(_hub_call(_hub().count, _name(name)))


def channels(request_context: Any = None) -> dict[str, dict[str, int]]:
    """The channels of this worker by name.

    Returns:
        for each: subscribers here; published by this worker; delivered to subscribers here; dropped, because one of them read too
        slowly; lost, which did not reach some other worker or host. A channel that has lost something stays in the list for a while.
    """
    return _hub().statistics()


def _raise_if_over(text: str, websocket: Any) -> None:
    if not websocket.open:
        try:
            websocket.pause()
        except ConnectionClosed as error:
            raise _over(text, error) from error


def _publish(name: Name, opcode: int, payload: bytes, exclude_self: bool, request_context: Any) -> None:
    exclude: tuple[Any, ...] = ()
    if exclude_self:
        request = request_context if request_context is not None else find_request()
        if isinstance(request, Request):
            queue = request.channel_queues.get(_name(name)) if request.channel_queues else None
            writer = request.websocket.writer if request.websocket is not None else None
            exclude = tuple(member for member in (writer, queue) if member is not None)
    _hub_call(_hub().publish, _name(name), opcode, payload, exclude)


def _at_end(request: Request) -> None:
    """Leave, at the end of the request, what `channel_join` joined."""

    def leave() -> None:
        queues, request.channel_queues = request.channel_queues or {}, None
        hub = _hub()
        dropped = 0
        for name, queue in queues.items():
            queue.close()
            hub.leave(name, queue)
            dropped += queue.dropped
        if dropped:
            environ = request.environ
            what = f"{environ.get('REQUEST_METHOD')} {environ.get('REQUEST_URI')}"
            log(f"{what}: {dropped} channel messages were dropped because channel_recv was called too rarely")

    if request.at_end is None:
        request.at_end = []
    request.at_end.append(leave)


def _hub() -> ChannelHub:
    if state.server is None or state.server.channels is None:
        raise OSError("channels work once the server runs")
    return state.server.channels


def _hub_call(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except ChannelError as error:
        raise ValueError(str(error)) from error


def _name(name: Name) -> str:
    if isinstance(name, bytes):
        return decode_name(name)
    if not isinstance(name, str):
        raise TypeError(f"a channel's name is str or bytes, not {type(name).__name__}")
    return name
