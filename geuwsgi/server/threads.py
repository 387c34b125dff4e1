"""`--threads N`: the application runs in real threads, the server stays in the event loop.

A request has one thread from the call of the application to the end of its iterable, and the connection's greenlet, which meanwhile does
what the thread asks for: it reads the body, waits for a websocket, takes a lock. So whatever belongs to the loop is touched only in the
loop's thread, and every call finds its request as it does without threads. What blocks in the application (a C extension, a socket of
the standard library, `time.sleep`) stalls its thread and nothing else.

Nothing is shared between the two sides but queues of the standard library, which block the thread, and
`run_callback_threadsafe`, which wakes the loop.
"""

from __future__ import annotations

import functools
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Callable, Optional

import gevent
from gevent import get_hub, monkey
from greenlet import getcurrent

from . import forked
from .body import NO_BODY
from .filewrapper import FileWrapper
from .loader import Mount

_start_new_thread = monkey.get_original("_thread", "start_new_thread")
_get_ident = monkey.get_original("_thread", "get_ident")
_Local = monkey.get_original("threading", "local")
_Queue = monkey.get_original("queue", "SimpleQueue")

#: What a thread asks of the greenlet, and what it tells.
_CALL = 0
_DONE = 1
#: What the greenlet tells its thread.
_RUN = 0
_RETURN = 1
_RAISE = 2
_LEAVE = 3

_OVER = "the request of this call is over"

#: `session`: that of the request which the calling thread serves.
_local = _Local()


class ThreadPool:
    """The threads of one worker; they are started with the first request, so that they outlive no fork.

    Args:
        count: threads.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._started = 0
        self._busy = 0
        self._waiting: Any = _Queue()
        #: Session -> when its request was killed, as long as its thread goes on.
        self._lost: dict[Session, float] = {}

    @property
    def lost_for(self) -> float:
        """Seconds for which a thread has gone on although its request was killed; 0 when none does."""
        return max((time.monotonic() - since for since in tuple(self._lost.values())), default=0.0)

    def attach(self) -> Session:
        """A session with a thread of its own; waits for nothing: there are as many threads as cores."""
        session = Session(self)
        self._busy += 1
        if self._started < min(self._busy, self._count):
            self._started += 1
            _start_new_thread(self._work, ())
        self._waiting.put(session)
        return session

    def detached(self) -> None:
        """A session has ended. Called in the loop's thread."""
        self._busy -= 1

    def abandoned(self, session: Session) -> None:
        """The thread of a session may not come back for long, as its request was killed: another one takes its place. As `detached`."""
        self._started -= 1
        self._lost[session] = time.monotonic()

    def _work(self) -> None:
        while self._serve_one():
            pass

    def _serve_one(self) -> bool:
        session = self._waiting.get()
        session.serve()
        self._lost.pop(session, None)
        return not session.abandoned


class Session:
    """A thread and a greenlet that serve the same request together.

    `run` belongs to the greenlet, `call` to the thread.

    Attributes:
        abandoned: the greenlet was killed while the thread was busy.
    """

    def __init__(self, pool: ThreadPool) -> None:
        self._pool = pool
        self._hub = get_hub()
        self._orders: Any = _Queue()
        self._told: deque[tuple[int, Any]] = deque()
        self._waiting: Any = None
        self._over = False
        self.abandoned = False

    # -- the greenlet's side

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the thread, and do meanwhile what it asks for; its result.

        Raises:
            BaseException: what the function raises.
        """
        self._orders.put((_RUN, (function, arguments)))
        while True:
            kind, content = self._hear()
            if kind == _DONE:
                error, result = content
                if error is not None:
                    raise error
                return result
            asked, positional, named = content
            try:
                answer = _RETURN, asked(*positional, **named)
            except BaseException as error:  # the end of this greenlet too is for the application to hear of
                answer = _RAISE, error
            self._orders.put(answer)

    def _hear(self) -> tuple[int, Any]:
        while not self._told:
            self._waiting = getcurrent()
            try:
                self._hub.switch()
            except BaseException:
                # Killed, while the thread computes: it learns of it with its next call.
                if not self._over:
                    self.abandoned = True
                    self._pool.abandoned(self)
                    self.leave()
                raise
            finally:
                self._waiting = None
        return self._told.popleft()

    def leave(self) -> None:
        """Let the thread go."""
        if not self._over:
            self._over = True
            self._orders.put((_LEAVE, None))
            self._pool.detached()

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.switch()

    # -- the thread's side

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Have the greenlet call a function; waits for its result.

        A thread that the application has started, such as one that reads the body while the response is written, has a greenlet of its
        own do it: both may wait for the client at once, and the queue of orders is the request's thread's alone.

        Raises:
            BaseException: what the function raises.
            OSError: the greenlet was killed, or the request is over.
        """
        if getattr(_local, "session", None) is not self:
            return _in_loop(self._hub, self._unless_over, function, *arguments, **named)
        if not self._over:
            self._tell(_CALL, (function, arguments, named))
            kind, content = self._orders.get()
            if kind == _RETURN:
                return content
            if kind == _RAISE:
                raise content
            self._orders.put((_LEAVE, None))  # for `serve`
        raise OSError(_OVER)

    def _unless_over(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        if self._over:
            raise OSError(_OVER)
        return function(*arguments, **named)

    def _tell(self, kind: int, content: Any) -> None:
        self._told.append((kind, content))
        self._hub.loop.run_callback_threadsafe(self._wake)

    def serve(self) -> None:
        """Run what the greenlet orders, until it has no more. The thread's part of a request."""
        _local.session = self
        try:
            while True:
                kind, content = self._orders.get()
                if kind == _LEAVE:
                    return
                function, arguments = content
                error, result = None, None
                try:
                    result = function(*arguments)
                except BaseException as raised:
                    error = raised
                if forked.child:
                    forked.end(error)
                self._tell(_DONE, (error, result))
                del content, function, arguments, error, result
        finally:
            _local.session = None


class ThreadedApplication:
    """A WSGI application whose calls run in the threads of a pool."""

    def __init__(self, application: Callable[..., Any], pool: ThreadPool) -> None:
        self._application = application
        self._pool = pool

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        session = self._pool.attach()
        body = environ["wsgi.input"]
        if body is not NO_BODY:
            environ["wsgi.input"] = ThreadedInput(body, session)

        def start_threaded(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
            # It only notes what is to be sent, while the greenlet stands still: no need to go there.
            write = start_response(status, headers, exc_info)
            return functools.partial(session.call, write)

        try:
            result = session.run(self._application, environ, start_threaded)
        except BaseException:
            session.leave()
            raise
        kind = type(result)
        if result is None or kind is list or kind is tuple or kind is bytes or (kind is FileWrapper and result.region() is not None):
            session.leave()
            return result
        return ThreadedResult(result, session)


class ThreadedResult:
    """An iterable of the application: its steps run in the thread that made it."""

    __slots__ = ("_iterator", "_result", "_session")

    def __init__(self, result: Any, session: Session) -> None:
        self._result = result
        self._iterator: Any = None
        self._session = session

    def __iter__(self) -> Iterator[Any]:
        self._iterator = self._session.run(iter, self._result)
        return self

    def __next__(self) -> Any:
        return self._session.run(next, self._iterator)

    def close(self) -> None:
        """End the request for the application, and free its thread."""
        close = getattr(self._result, "close", None)
        try:
            if close is not None:
                self._session.run(close)
        finally:
            self._session.leave()


class ThreadedInput:
    """`wsgi.input` for a thread: the greenlet reads."""

    def __init__(self, body: Any, session: Session) -> None:
        self._body = body
        self._session = session

    def read(self, size: Optional[int] = -1) -> bytes:
        """As `Body.read`."""
        return self._session.call(self._body.read, size)  # type: ignore[no-any-return]

    def readline(self, size: Optional[int] = -1) -> bytes:
        """As `Body.readline`."""
        return self._session.call(self._body.readline, size)  # type: ignore[no-any-return]

    def readlines(self, hint: Optional[int] = -1) -> list[bytes]:
        """As `Body.readlines`."""
        return self._session.call(self._body.readlines, hint)  # type: ignore[no-any-return]

    def read_chunk(self, timeout: Optional[float] = None) -> bytes:
        """As `Body.read_chunk`."""
        return self._session.call(self._body.read_chunk, timeout)  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def fileno(self) -> int:
        """The connection's descriptor."""
        return self._body.fileno()  # type: ignore[no-any-return]

    def close(self) -> None:
        """Does nothing: the connection outlives the body."""


def threaded(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the fake module, made callable from every thread: it runs in the loop's, and the caller waits.

    A thread that the application has started itself belongs to no request: it names one by `request_context=`, where one is needed.
    """
    hub = get_hub()
    home = _get_ident()

    @functools.wraps(function)
    def anywhere(*arguments: Any, **named: Any) -> Any:
        session: Optional[Session] = getattr(_local, "session", None)
        if session is not None:
            return session.call(function, *arguments, **named)
        if _get_ident() == home:
            return function(*arguments, **named)
        return _in_loop(hub, function, *arguments, **named)

    return anywhere


def _in_loop(hub: Any, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Have a new greenlet of the loop's thread call a function; the calling thread waits for its result."""
    done = _Queue()

    def run() -> None:
        try:
            done.put((None, function(*arguments, **named)))
        except BaseException as error:
            done.put((error, None))

    hub.loop.run_callback_threadsafe(gevent.spawn, run)
    error, result = done.get()
    if error is not None:
        raise error
    return result


def in_threads(mounts: Sequence[Mount], pool: ThreadPool) -> list[Mount]:
    """Applications to be served by the threads of a pool, in the place of bare ones."""
    return [replace(mount, application=ThreadedApplication(mount.application, pool)) for mount in mounts]
