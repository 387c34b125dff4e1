"""Messages between hosts: Redis publish and subscribe.

One subscription connection per worker, on which channels are subscribed when their first local member comes, and one
connection for publishing, which sends what has collected in one pipeline. While Redis is away, local delivery goes on; what
this worker publishes meanwhile does not reach the others and is counted, not queued.

A message of ours carries an identity, so that it is not delivered twice where it came from. Anything else that is published
under `<prefix><name>` (redis-cli, a Django view, a cron job) goes to the members as it stands.
"""

from __future__ import annotations

import uuid
from collections import Counter, deque
from typing import Any, Optional

import gevent
from gevent.event import Event

from ..errors import ChannelError
from ..log import log
from . import wire
from .address import BackendAddress
from .backend import IDENTITY_SIZE, ORIGIN_SIZE, Ways
from .background import spawn
from .channel import Message
from .message import opcode_of
from .names import decode_name, encode_name
from .subscription import Subscription, reason

#: What stands before a message of ours. No text begins with a zero byte.
_MAGIC = b"\x00geuwsgi\x01"
_BODY = len(_MAGIC) + IDENTITY_SIZE + 1

#: Messages and bytes that may wait for the publishing connection.
QUEUE_MESSAGES = 20_000
QUEUE_BYTES = 64 * 1024 * 1024

#: Messages and bytes in one pipeline.
_PIPELINE = 500
_PIPELINE_BYTES = 1024 * 1024

#: Seconds: for a connection, for any answer, for answers to a count, and for what is on its way when a worker ends.
CONNECT_TIMEOUT = 2.0
SOCKET_TIMEOUT = 2.0
ANSWER_TIMEOUT = 0.5
FLUSH_TIMEOUT = 1.0

#: Seconds that Redis keeps the history of a channel in which nothing is published.
HISTORY_SECONDS = 86400

_CONTROL = b"\x00control"
_HISTORY = b"\x00history:"


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


def new_client(address: BackendAddress) -> Any:
    """A client that does not try again by itself, and does not wait for ever.

    Raises:
        ChannelError: the redis package is missing, or does not take the address.
    """
    redis = import_redis()
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    options: dict[str, Any] = {"socket_timeout": SOCKET_TIMEOUT, "retry": Retry(NoBackoff(), 0)}
    if not address.location.startswith("unix:"):
        options.update(socket_connect_timeout=CONNECT_TIMEOUT, socket_keepalive=True)
    try:
        client = redis.Redis.from_url(address.location, **options)
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # an option that it does not have is noticed here and not later
        return client
    except TypeError as error:
        unknown = str(error).rpartition("unexpected keyword argument ")[2]
        hint = ", which needs rediss://" if unknown.startswith("'ssl_") else ""
        raise ChannelError(f"the redis package does not take {unknown} behind the question mark{hint}") from None
    except (ValueError, redis.exceptions.RedisError) as error:
        raise ChannelError(str(error)) from None


class RedisBackend:
    """See `Backend`.

    Args:
        address: where Redis is, and the prefix of its channels.
        ways: to the hub.

    Raises:
        ChannelError: the redis package is missing, or the address is none.
    """

    def __init__(self, address: BackendAddress, ways: Ways) -> None:
        self._client = new_client(address)
        exceptions = import_redis().exceptions
        self._failures = (exceptions.ConnectionError, exceptions.TimeoutError, OSError)
        self._refusals = exceptions.RedisError
        self._refused = self._forgotten = ""
        self._ways = ways
        self._prefix = encode_name(address.prefix)
        self._control = self._prefix + _CONTROL
        self._reply = self._control + ways.origin.hex().encode()
        self._subscription = Subscription(
            self._client, (*self._failures, exceptions.RedisError), (self._control, self._reply), self._received, self._came
        )
        #: (name, or None for an answer; channel of Redis; data)
        self._queue: deque[tuple[Optional[str], bytes, bytes]] = deque()
        self._queue_bytes = 0
        self._some = Event()
        self._idle = Event()
        self._idle.set()
        self._sender: Any = None
        self._lost = 0
        self._counts: dict[bytes, tuple[list[int], list[int], Event]] = {}

    def start(self) -> None:
        """Connect; waits for Redis for a moment, and does without it if it does not come."""
        self._sender = spawn(self._send)
        self._subscription.start(CONNECT_TIMEOUT)

    def stop(self) -> None:
        """Send what is queued, for a moment, and disconnect."""
        if self._subscription.connected:
            self._idle.wait(FLUSH_TIMEOUT)
        self._subscription.stop()
        if self._sender is not None:
            self._sender.kill()
        self._client.close()

    def publish(self, name: str, message: Message) -> None:
        """Queue one PUBLISH, whatever the number of members."""
        data = b"%b%b%c%b" % (_MAGIC, message.identity, message.opcode, message.payload)
        self._put(name, self._prefix + _encode(name), data)

    def joined(self, name: str) -> None:
        """Subscribe, and wait until Redis has confirmed it, so that what is published behind the join arrives."""
        self._subscription.want(self._prefix + _encode(name))

    def left(self, name: str) -> None:
        """Unsubscribe."""
        self._subscription.leave(self._prefix + _encode(name))

    def past(self, name: str) -> Optional[list[Message]]:
        """What Redis has kept. Foreign publishers leave nothing there."""
        if not self._subscription.connected:
            return None
        try:
            self._idle.wait(ANSWER_TIMEOUT)  # our own may still be queued
            kept = self._client.lrange(self._prefix + _HISTORY + encode_name(name), -self._ways.history, -1)
        except self._failures as error:
            self._subscription.broken(error)
            return None
        except self._refusals as error:
            self._refuse(f"Redis refuses to tell the history of channels: {error}")
            return None
        return [_message(data) for data in kept if _is_ours(data)]

    def count(self, name: str) -> int:
        """Ask all others on the control channel; those that do not answer in time are not counted."""
        if not self._subscription.connected:
            return 0
        token = uuid.uuid4().bytes
        expected = [0]
        numbers: list[int] = []
        done = Event()
        self._counts[token] = (expected, numbers, done)
        try:
            with gevent.Timeout(ANSWER_TIMEOUT, False):  # type: ignore[arg-type]  # False: end quietly
                # PUBLISH says how many have got it, this worker among them.
                expected[0] = self._client.publish(self._control, wire.pack(wire.COUNT, name, 0, token + self._reply)) - 1
                if len(numbers) < expected[0]:
                    done.wait()
        except self._failures as error:
            self._subscription.broken(error)
        except self._refusals as error:
            self._refuse(f"Redis refuses to ask the others: {error}")
        finally:
            del self._counts[token]
        return sum(numbers)

    # -- publishing

    def _put(self, name: Optional[str], channel: bytes, data: bytes) -> None:
        full = len(self._queue) >= QUEUE_MESSAGES or self._queue_bytes + len(data) > QUEUE_BYTES
        if full or not self._subscription.connected:
            self._count_lost([name])
            return
        self._queue.append((name, channel, data))
        self._queue_bytes += len(data)
        self._idle.clear()
        self._some.set()

    def _send(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            while self._queue:
                batch = self._take_batch()
                try:
                    refused = self._publish(batch)
                except (*self._failures, self._refusals) as error:
                    # No single message was refused, but this connection, or the next one to Redis.
                    # Some of these may have arrived; at most once means that none is sent again.
                    self._count_lost([name for name, _, _ in (*batch, *self._queue)])
                    self._queue.clear()
                    self._queue_bytes = 0
                    self._subscription.broken(error)
                else:
                    self._count_lost([name for name, _ in refused])
                    self._refuse(f"Redis refuses to publish: {refused[0][1]}" if refused else "")
            self._idle.set()

    def _take_batch(self) -> list[tuple[Optional[str], bytes, bytes]]:
        batch: list[tuple[Optional[str], bytes, bytes]] = []
        size = 0
        while self._queue and len(batch) < _PIPELINE and size < _PIPELINE_BYTES:
            batch.append(self._queue.popleft())
            size += len(batch[-1][2])
        self._queue_bytes -= size
        return batch

    def _publish(self, batch: list[tuple[Optional[str], bytes, bytes]]) -> list[tuple[Optional[str], Any]]:
        """Publish; what Redis does not want, with its reason."""
        history = self._ways.history
        pipeline = self._client.pipeline(transaction=False)
        places: list[int] = []
        for name, channel, data in batch:
            if history and name is not None:
                # Before it is published: whoever subscribes in between finds it in one place or in both, never in none.
                key = self._prefix + _HISTORY + encode_name(name)
                pipeline.rpush(key, data)
                pipeline.ltrim(key, -history, -1)
                pipeline.expire(key, HISTORY_SECONDS)
            pipeline.publish(channel, data)
            places.append(len(pipeline) - 1)
        results = pipeline.execute(raise_on_error=False)
        for error in results:
            if isinstance(error, self._failures):
                raise error
        published = [results[place] for place in places]
        if history:
            self._look_at_history(results, places)
        return [(name, result) for (name, _, _), result in zip(batch, published) if isinstance(result, self._refusals)]

    def _look_at_history(self, results: list[Any], places: list[int]) -> None:
        """Say so when Redis does not want to keep messages, as one that is full, once until it does again."""
        publishing = set(places)
        kept = [result for place, result in enumerate(results) if place not in publishing]
        refused = next((str(result) for result in kept if isinstance(result, self._refusals)), "")
        if refused and refused != self._forgotten:
            log(f"channels: Redis refuses to keep the history of channels: {refused}")
        if kept:
            self._forgotten = refused

    def _count_lost(self, names: list[Optional[str]]) -> None:
        for name, number in Counter(names).items():
            if name is not None:
                self._lost += number
                self._ways.lost(name, number)

    def _came(self) -> str:
        lost, self._lost = self._lost, 0
        return f"{lost} messages did not reach other hosts meanwhile"

    def _refuse(self, what: str) -> None:
        if what != self._refused:
            self._refused = what
            if what:
                log(f"channels: {what}")

    # -- hearing

    def _received(self, channel: bytes, data: bytes) -> None:
        if channel in (self._control, self._reply):
            self._answer(data)
            return
        name = _decode(channel[len(self._prefix) :])
        if _is_ours(data):
            if data[len(_MAGIC) : len(_MAGIC) + ORIGIN_SIZE] != self._ways.origin:
                self._ways.deliver(name, _message(data))
        elif not data.startswith(_MAGIC):
            self._ways.deliver(name, Message(*opcode_of(data)))

    def _answer(self, data: bytes) -> None:
        try:
            item = wire.unpack(data)
        except ChannelError:
            return  # somebody else publishes on our control channel
        token, rest = item.payload[:16], item.payload[16:]
        if item.kind == wire.COUNT:
            if rest != self._reply and rest.startswith(self._control):
                number = self._ways.local_count(item.name)
                self._put(None, rest, wire.pack(wire.ANSWER, "", 0, token + number.to_bytes(8, "big")))
        elif item.kind == wire.ANSWER:
            question = self._counts.get(token)
            if question is not None:
                expected, numbers, done = question
                numbers.append(int.from_bytes(rest, "big"))
                if expected[0] and len(numbers) >= expected[0]:
                    done.set()


def _encode(name: str) -> bytes:
    """A channel's name behind the prefix. What begins with one NUL is ours, with two the application's that begins with one."""
    encoded = encode_name(name)
    return b"\x00" + encoded if encoded.startswith(b"\x00") else encoded


def _decode(encoded: bytes) -> str:
    return decode_name(encoded[1:] if encoded.startswith(b"\x00\x00") else encoded)


def _is_ours(data: bytes) -> bool:
    return data.startswith(_MAGIC) and len(data) >= _BODY and data[_BODY - 1] in (1, 2)


def _message(data: bytes) -> Message:
    return Message(data[_BODY - 1], data[_BODY:], data[len(_MAGIC) : _BODY - 1])


def workers(address: BackendAddress) -> int:
    """How many workers of servers are subscribed under the prefix.

    Raises:
        ChannelError: as `publish`.
    """
    client = new_client(address)
    try:
        return int(client.pubsub_numsub(encode_name(address.prefix) + _CONTROL)[0][1])
    except (import_redis().exceptions.RedisError, OSError) as error:
        raise ChannelError(f"Redis: {reason(error)}") from None
    finally:
        client.close()


def publish(address: BackendAddress, name: str, payload: bytes) -> int:
    """Publish from any program; returns how many workers got it.

    Raises:
        ChannelError: Redis cannot be reached, or refuses.
    """
    client = new_client(address)
    try:
        return int(client.publish(encode_name(address.prefix) + _encode(name), payload))
    except (import_redis().exceptions.RedisError, OSError) as error:
        raise ChannelError(f"Redis: {reason(error)}") from None
    finally:
        client.close()
