"""The connection on which a worker hears from Redis: kept up for ever, and subscribed to what is wanted.

What is wanted and what Redis has been asked for are two sets; a greenlet of its own brings them together, because a membership
may end in the hub, which cannot wait.
"""

from __future__ import annotations

import random
from typing import Any, Callable

import gevent
from gevent import get_hub
from gevent.event import Event
from greenlet import getcurrent

from ..log import log
from .background import spawn

#: Seconds until Redis is asked whether it is still there, and for its answer.
PING_AFTER = 2.0
#: Seconds for the confirmation of a subscription.
CONFIRM_TIMEOUT = 1.0
#: Seconds between two tries to connect: the first pause, which doubles, and the longest.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0

#: Channels in one command.
_AT_ONCE = 500


class Subscription:
    """One subscription connection.

    Args:
        client: of the redis package.
        failures: the exceptions that mean that Redis is away.
        fixed: channels of Redis that are always subscribed.
        received: takes (channel, data) of each message.
        came: called when the connection is up after it was down, and returns what to say about it.

    Attributes:
        connected: Redis is there, as far as is known.
    """

    def __init__(
        self,
        client: Any,
        failures: tuple[type[BaseException], ...],
        fixed: tuple[bytes, ...],
        received: Callable[[bytes, bytes], None],
        came: Callable[[], str],
    ) -> None:
        self.connected = False
        self._client = client
        self._failures: tuple[type[BaseException], ...] = (*failures, Broken)
        self._fixed = fixed
        self._received = received
        self._came = came
        self._wanted: set[bytes] = set()
        self._asked: set[bytes] = set()
        #: Of these, `_wanted` or `_asked` has changed.
        self._dirty: set[bytes] = set()
        self._some = Event()
        #: SUBSCRIBE commands that Redis has not confirmed yet, by channel; channels of which it has confirmed the last one.
        self._pending: dict[bytes, int] = {}
        self._confirmed: set[bytes] = set()
        self._waiting: dict[bytes, Event] = {}
        self._pubsub: Any = None
        self._listener: Any = None
        self._commander: Any = None
        self._up = Event()

    def start(self, patience: float) -> None:
        """Connect; waits for at most `patience` seconds, and goes on in the background."""
        self._listener = spawn(self._listen)
        self._commander = spawn(self._command)
        self._up.wait(patience)

    def stop(self) -> None:
        """Disconnect for good."""
        self.connected = False
        gevent.killall([greenlet for greenlet in (self._listener, self._commander) if greenlet is not None])
        self._drop()

    def want(self, channel: bytes) -> None:
        """Subscribe, and wait until Redis has confirmed it, for a moment; not in the hub, and not while Redis is away."""
        if channel in self._confirmed:
            return
        if channel not in self._wanted:
            self._wanted.add(channel)
            if self.connected and channel in self._asked and channel not in self._pending:
                # Left a moment ago: nothing has been said to Redis, and there is no confirmation to come.
                self._confirmed.add(channel)
                return
            self._change(channel)
        if not self.connected or getcurrent() is get_hub():
            return
        done = self._waiting.get(channel)
        if done is None:
            done = self._waiting[channel] = Event()
        done.wait(CONFIRM_TIMEOUT)

    def leave(self, channel: bytes) -> None:
        """Unsubscribe. May be called in the hub."""
        if channel in self._wanted:
            self._wanted.discard(channel)
            self._confirmed.discard(channel)
            self._change(channel)
            done = self._waiting.pop(channel, None)
            if done is not None:
                done.set()

    def broken(self, error: BaseException) -> None:
        """Another connection to the same Redis has failed."""
        if self.connected:
            self.connected = False
            self._listener.kill(Broken(str(error)), block=False)

    def _change(self, channel: bytes) -> None:
        self._dirty.add(channel)
        self._some.set()

    # -- listening

    def _listen(self) -> None:
        pause = FIRST_PAUSE
        announced = False
        while True:
            try:
                try:
                    self._connect()
                    if announced:
                        log(f"channels: Redis is back; {self._came()}")
                    pause, announced = FIRST_PAUSE, False
                    self._hear()
                except self._failures as error:
                    if not announced:
                        announced = True
                        state = "gone" if self._up.is_set() else "not there"
                        meanwhile = "until it is back messages stay in the worker that publishes them"
                        log(f"channels: Redis is {state} ({reason(error)}); {meanwhile}")
                self._drop()
                # Many workers lose Redis at the same instant and shall not come back at the same.
                gevent.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, LONGEST_PAUSE)
            except Broken:
                pass  # came late, when the failure was known already

    def _connect(self) -> None:
        pubsub = self._client.pubsub()
        try:
            wanted = sorted(self._wanted)
            pubsub.subscribe(*self._fixed)
            for start in range(0, len(wanted), _AT_ONCE):
                pubsub.subscribe(*wanted[start : start + _AT_ONCE])
        except BaseException:
            pubsub.close()
            raise
        self._pubsub = pubsub
        self._asked = set(wanted)
        self._pending = dict.fromkeys(wanted, 1)
        self._confirmed.clear()
        for channel in self._wanted.symmetric_difference(self._asked):
            self._change(channel)

    def _drop(self) -> None:
        self.connected = False
        self._confirmed.clear()
        self._release_waiting()
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None

    def _release_waiting(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for done in waiting.values():
            done.set()

    def _hear(self) -> None:
        asked = False
        while True:
            message = self._pubsub.get_message(timeout=PING_AFTER)
            if message is None:
                if asked:
                    raise Broken(f"no answer within {PING_AFTER:g} seconds")
                asked = True
                self._pubsub.ping()
                continue
            asked = False
            kind = message["type"]
            if kind == "message":
                self._received(message["channel"], message["data"])
            elif kind == "subscribe":
                self._confirm(message["channel"])

    def _confirm(self, channel: bytes) -> None:
        if channel in self._fixed:
            if channel == self._fixed[-1]:
                self.connected = True
                self._up.set()
            return
        left = self._pending.get(channel, 0) - 1
        if left > 0:
            self._pending[channel] = left
            return
        self._pending.pop(channel, None)
        if channel in self._wanted and channel in self._asked:
            self._confirmed.add(channel)
            done = self._waiting.pop(channel, None)
            if done is not None:
                done.set()

    # -- subscribing

    def _command(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            dirty, self._dirty = self._dirty, set()
            pubsub = self._pubsub
            if pubsub is None:
                continue  # all that is wanted is subscribed when Redis is there
            more = sorted(channel for channel in dirty if channel in self._wanted and channel not in self._asked)
            less = sorted(channel for channel in dirty if channel in self._asked and channel not in self._wanted)
            self._asked.update(more)
            self._asked.difference_update(less)
            for channel in more:
                self._pending[channel] = self._pending.get(channel, 0) + 1
            try:
                for start in range(0, len(less), _AT_ONCE):
                    pubsub.unsubscribe(*less[start : start + _AT_ONCE])
                for start in range(0, len(more), _AT_ONCE):
                    pubsub.subscribe(*more[start : start + _AT_ONCE])
            except self._failures as error:
                self.broken(error)


def reason(error: BaseException) -> str:
    """What went wrong, in words that say what to do."""
    text = str(error)
    # redis-py says it in one way or the other, depending on the version of the protocol that it begins with.
    if text.startswith(("Authentication required", "NOAUTH", "HELLO must be called")):
        return "it wants a password, as in redis://user:password@host:port/0"
    return text


class Broken(Exception):
    """Redis does not answer."""
