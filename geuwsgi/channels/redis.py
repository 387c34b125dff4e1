"""Messages between hosts: Redis publish and subscribe.

One subscription connection per worker, on which channels are subscribed when their first local member comes, and one
connection for publishing, which sends what has collected in one pipeline. While Redis is away, local delivery goes on; what
this worker publishes meanwhile does not reach the others and is counted, not queued.

A message of ours carries an origin, so that it is not delivered twice where it came from. Anything else that is published
under `<prefix><name>` (redis-cli, a Django view, a cron job) goes to the members as it stands.
"""

from __future__ import annotations

import random
import uuid
from collections import deque
from typing import Any, Callable

import gevent
from gevent.event import Event

from ..errors import ChannelError
from ..log import log
from . import wire
from .address import BackendAddress
from .backend import Deliver
from .background import spawn
from .message import opcode_of

#: What stands before a message of ours. No text begins with a zero byte.
_MAGIC = b"\x00geuwsgi\x01"
_ORIGIN_SIZE = 8

#: Messages and bytes that may wait for the publishing connection.
QUEUE_MESSAGES = 20_000
QUEUE_BYTES = 64 * 1024 * 1024

#: Messages in one pipeline.
_PIPELINE = 500

#: Seconds: for a connection, for a confirmation of Redis, for answers to a count, and the bounds of the pause between tries.
CONNECT_TIMEOUT = 2.0
CONFIRM_TIMEOUT = 1.0
ANSWER_TIMEOUT = 0.5
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0

_CONTROL = "\x00control"


def import_redis() -> Any:
    """The redis package, which is an extra.

    Raises:
        ChannelError: it is not installed.
    """
    try:
        import redis
    except ImportError:
        raise ChannelError("the redis package is needed: pip install geuwsgi[redis]") from None
    return redis


class RedisBackend:
    """See `Backend`.

    Args:
        address: where Redis is, and the prefix of its channels.
        deliver: takes the messages of others.
        local_count: members of a channel in this worker.
        max_size: the largest message in bytes.

    Raises:
        ChannelError: the redis package is missing, or the address is none.
    """

    def __init__(self, address: BackendAddress, deliver: Deliver, local_count: Callable[[str], int], max_size: int) -> None:
        self.lost = 0
        self._redis = import_redis()
        self._failures = (self._redis.exceptions.ConnectionError, self._redis.exceptions.TimeoutError, OSError)
        self._prefix = address.prefix
        self._location = address.location
        self._deliver = deliver
        self._local_count = local_count
        self._max_size = max_size
        self._origin = uuid.uuid4().bytes[:_ORIGIN_SIZE]
        self._control = self._prefix + _CONTROL
        self._reply = self._control + self._origin.hex()
        #: Channels that have members here; those whose subscription Redis has confirmed; who waits for that.
        self._wanted: set[str] = set()
        self._confirmed: set[str] = set()
        self._waiting: dict[str, Event] = {}
        #: Subscriptions to make and end, in order, by a greenlet of their own: a membership may end in the hub, which cannot wait.
        self._commands: deque[tuple[bool, str]] = deque()
        self._commanded = Event()
        self._queue: deque[tuple[str, bytes]] = deque()
        self._queue_bytes = 0
        self._queued = Event()
        self._subscribed = Event()
        self._pubsub: Any = None
        self._connected = False
        self._lost_before = 0
        self._counts: dict[bytes, tuple[list[int], list[int], Event]] = {}
        self._greenlets: list[Any] = []
        try:
            self._client = self._new_client()
        except ValueError as error:
            raise ChannelError(str(error)) from None

    def start(self) -> None:
        """Connect; waits for Redis for a moment, and does without it if it does not come."""
        self._greenlets = [spawn(run) for run in (self._listen, self._command, self._send)]
        self._subscribed.wait(CONNECT_TIMEOUT)

    def stop(self) -> None:
        """Send what is queued, for a moment, and disconnect."""
        with gevent.Timeout(CONFIRM_TIMEOUT, False):  # type: ignore[arg-type]  # False: end quietly
            while self._queue and self._connected:
                gevent.sleep(0.005)
        gevent.killall(self._greenlets)
        if self._pubsub is not None:
            self._pubsub.close()
        self._client.close()

    def publish(self, name: str, opcode: int, payload: bytes) -> None:
        """Queue one PUBLISH, whatever the number of members."""
        self._put(self._prefix + name, b"%b%b%c%b" % (_MAGIC, self._origin, opcode, payload))

    def joined(self, name: str) -> None:
        """Subscribe, and wait until Redis has confirmed it, so that what is published behind the join arrives."""
        self._wanted.add(name)
        self._commands.append((True, name))
        self._commanded.set()
        if not self._connected or gevent.getcurrent() is gevent.get_hub():
            return
        done = self._waiting.setdefault(name, Event())
        try:
            if name not in self._confirmed:
                done.wait(CONFIRM_TIMEOUT)
        finally:
            self._waiting.pop(name, None)

    def left(self, name: str) -> None:
        """Unsubscribe."""
        self._wanted.discard(name)
        self._confirmed.discard(name)
        self._commands.append((False, name))
        self._commanded.set()

    def count(self, name: str) -> int:
        """Ask all others on the control channel; those that do not answer in time are not counted."""
        if not self._connected:
            return 0
        token = uuid.uuid4().bytes
        expected = [0]
        numbers: list[int] = []
        done = Event()
        self._counts[token] = (expected, numbers, done)
        try:
            # PUBLISH says how many have got it, this worker among them.
            question = wire.pack(wire.COUNT, name, 0, token + self._reply.encode("utf-8"))
            expected[0] = self._client.publish(self._control, question) - 1
            if len(numbers) < expected[0]:
                done.wait(ANSWER_TIMEOUT)
        except self._failures:
            pass
        finally:
            del self._counts[token]
        return sum(numbers)

    # -- publishing

    def _put(self, channel: str, data: bytes) -> None:
        if not self._connected or len(self._queue) >= QUEUE_MESSAGES or self._queue_bytes + len(data) > QUEUE_BYTES:
            self.lost += 1
            return
        self._queue.append((channel, data))
        self._queue_bytes += len(data)
        self._queued.set()

    def _send(self) -> None:
        while True:
            self._queued.wait()
            self._queued.clear()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), _PIPELINE))]
                self._queue_bytes -= sum(len(data) for _, data in batch)
                try:
                    pipeline = self._client.pipeline(transaction=False)
                    for channel, data in batch:
                        pipeline.publish(channel, data)
                    pipeline.execute()
                except self._failures:
                    # Some of these may have arrived; at most once means that none is sent again.
                    self.lost += len(batch) + len(self._queue)
                    self._queue.clear()
                    self._queue_bytes = 0
                except self._redis.exceptions.RedisError as error:
                    self.lost += len(batch)
                    log(f"channels: Redis refuses to publish: {error}")

    # -- subscribing

    def _listen(self) -> None:
        """Hold the subscription connection, for ever."""
        pause = FIRST_PAUSE
        announced = False
        while True:
            try:
                self._subscribe_all()
                pause = FIRST_PAUSE
                if announced:
                    announced = False
                    log(f"channels: Redis is back; {self.lost - self._lost_before} messages did not reach other hosts meanwhile")
                while True:
                    message = self._pubsub.get_message(timeout=None)
                    if message is not None:
                        self._received(message)
            except self._failures + (self._redis.exceptions.RedisError,) as error:
                was_connected, self._connected = self._connected, False
                self._confirmed.clear()
                if not announced:
                    announced = True
                    self._lost_before = self.lost
                    log(f"channels: Redis is {'gone' if was_connected else 'not there'} ({error}); messages stay here until it is back")
                if self._pubsub is not None:
                    self._pubsub.close()
                    self._pubsub = None
                # Many workers lose Redis at the same instant and shall not come back at the same.
                gevent.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, LONGEST_PAUSE)

    def _subscribe_all(self) -> None:
        pubsub = self._client.pubsub()
        self._commands.clear()
        pubsub.subscribe(self._control, self._reply, *(self._prefix + name for name in sorted(self._wanted)))
        self._pubsub = pubsub
        self._connected = True

    def _command(self) -> None:
        while True:
            self._commanded.wait()
            self._commanded.clear()
            while self._commands and self._connected:
                wanted, name = self._commands.popleft()
                try:
                    if wanted:
                        self._pubsub.subscribe(self._prefix + name)
                    else:
                        self._pubsub.unsubscribe(self._prefix + name)
                except self._failures:
                    break  # _listen notices, and subscribes all anew

    def _received(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        channel = message["channel"].decode("utf-8", "surrogateescape")
        if kind == "message":
            data = message["data"]
            if channel in (self._control, self._reply):
                self._answer(data)
            else:
                self._deliver_data(channel[len(self._prefix) :], data)
        elif kind == "subscribe":
            if channel == self._reply:
                self._subscribed.set()
            name = channel[len(self._prefix) :]
            if name in self._wanted:
                self._confirmed.add(name)
            done = self._waiting.get(name)
            if done is not None:
                done.set()

    def _deliver_data(self, name: str, data: bytes) -> None:
        if data.startswith(_MAGIC):
            start = len(_MAGIC) + _ORIGIN_SIZE
            if data[len(_MAGIC) : start] != self._origin and len(data) > start:
                self._deliver(name, data[start], data[start + 1 :])
        elif len(data) > self._max_size:
            log(f"channels: a message of {len(data)} bytes published to {name!r} by another program is over --channel-max-size: dropped")
        else:
            self._deliver(name, *opcode_of(data))

    def _answer(self, data: bytes) -> None:
        try:
            kind, name, _, payload = wire.unpack(data)
        except ChannelError:
            return  # somebody else publishes on our control channel
        if kind == wire.COUNT:
            token, reply = payload[:16], payload[16:].decode("utf-8")
            if reply != self._reply:
                number = self._local_count(name)
                self._put(reply, wire.pack(wire.ANSWER, "", 0, token + number.to_bytes(8, "big")))
        elif kind == wire.ANSWER:
            question = self._counts.get(payload[:16])
            if question is not None:
                expected, numbers, done = question
                numbers.append(int.from_bytes(payload[16:], "big"))
                if expected[0] and len(numbers) >= expected[0]:
                    done.set()

    def _new_client(self) -> Any:
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        return self._redis.Redis.from_url(
            self._location,
            # Retrying is done above, with a pause that grows; a publish is never repeated.
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_TIMEOUT,
            socket_keepalive=True,
        )


def publish(address: BackendAddress, name: str, payload: bytes) -> int:
    """Publish from any program; returns how many workers got it.

    Raises:
        ChannelError: Redis cannot be reached, or refuses.
    """
    redis = import_redis()
    client = redis.Redis.from_url(address.location, socket_connect_timeout=CONNECT_TIMEOUT)
    try:
        return int(client.publish(address.prefix + name, payload))
    except (redis.exceptions.RedisError, OSError) as error:
        raise ChannelError(f"Redis: {error}") from None
    finally:
        client.close()
