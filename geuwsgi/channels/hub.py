"""The channels of one worker: joining, leaving, publishing, and giving messages to members.

A message is encoded once and handed to each member without waiting: to a websocket through its writer, which tries the kernel
and queues within bounds, to a reader of `channel_recv` through its queue. Whoever is too slow loses messages, which are
counted; nobody else notices.

Small rooms are served in the publisher's own greenlet. Messages for larger ones stand in line in their channel until the loop
turns, and are sent to some members at a time (see `pace`): what was published in one turn goes out together, and a room of
thousands does not hold up the rest of the worker.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from typing import Any, Callable, Optional

from ..errors import ChannelError
from ..log import log
from .backend import IDENTITY_SIZE, ORIGIN_SIZE, Backend, MakeBackend, MemoryBackend, Ways
from .channel import Channel, Message
from .counters import KEYS, Counters
from .names import check_name
from .pace import Pace
from .queue import Queue
from .settings import CLOSE, DROP_NEWEST, DROP_OLDEST, ChannelSettings
from .threads import Loop

#: (writers, start, stop, messages, queue, queue_bytes, overflow) -> (taken, dropped); see `server.writer.spread`.
Spread = Callable[[Any, int, int, tuple[Message, ...], int, int, int], tuple[int, int]]

#: Sending up to so many units is not worth a turn of the loop.
DIRECT = 32

#: Channels that nobody is in whose history is kept; those in which nothing was published for the longest time are forgotten first.
KEPT = 10_000

#: A message costs one unit and one more for each so many bytes.
UNIT_BYTES = 8192


class ChannelHub:
    """All channels of one worker.

    Args:
        settings: limits and habits.
        spread: sends a message to websockets.
        make_backend: makes the way to other workers and hosts.

    Attributes:
        backend: that way.
    """

    def __init__(self, settings: ChannelSettings, spread: Spread, make_backend: MakeBackend = lambda ways: MemoryBackend()) -> None:
        self.settings = settings
        self._spread = spread
        self._limits = (settings.queue, settings.queue_bytes, (DROP_NEWEST, DROP_OLDEST, CLOSE).index(settings.overflow))
        self._channels: dict[str, Channel] = {}
        #: Those that are there for their history alone, the longest silent one first.
        self._kept: dict[str, Channel] = {}
        self._counters = Counters()
        self._origin = os.urandom(ORIGIN_SIZE)
        self._identities = itertools.count(1)
        self._pace = Pace(self._serve)
        self._loop = Loop()
        #: One bound method for all members.
        self._leave_all = self._leave
        #: Queue -> (channel, websocket) of those that outlive it.
        self._staying: dict[Queue, tuple[str, Any]] = {}
        self._retiring = False
        for name in settings.declared:
            self._channels[name] = Channel(check_name(name), settings.history, declared=True)
        self.backend: Backend = make_backend(
            Ways(
                self._origin,
                self.deliver,
                self.local_count,
                self._lost,
                self._histories,
                self._recall,
                settings.max_size,
                settings.history,
            )
        )

    def start(self) -> None:
        """Connect with the others. Called in each worker, once its loop runs."""
        self.backend.start()

    def retire(self) -> None:
        """The worker is going to end: memberships that outlive their websocket end with it from now on, so that whoever reads finds out."""
        self._retiring = True
        staying, self._staying = self._staying, {}
        for queue, (name, websocket) in staying.items():
            queue.stays = False
            self.attach_queue(name, queue, websocket)

    def stop(self) -> None:
        """Disconnect, and say what was lost."""
        self.backend.stop()
        self._pace.close()
        counters = self._counters
        if counters.dropped or counters.lost:
            log(
                f"channels: {counters.dropped} deliveries were dropped because somebody read too slowly, "
                f"{counters.lost} messages did not reach some other worker or host"
            )

    # -- membership

    def join(self, name: str, member: Any) -> None:
        """Make a websocket a member; joining twice is one membership.

        Args:
            member: has a `writer`; its `channels` and `on_end` are set here.

        Raises:
            ChannelError: the name does not exist (strict) or is none; the websocket ended while it waited.
        """
        if not self._loop.is_here():
            self._loop.call(self.join, name, member)
            return
        channel = self._prepare(name)
        writer = member.writer
        if not member.open:
            self._release(channel)
            raise ChannelError("the websocket is over")
        if writer not in channel:
            self._attach(member, name, writer)
            channel.add(writer)
            if channel.history:
                self._send(channel, (writer,), 0, 1, tuple(channel.history))
        self._joined(name, member)

    def join_queue(self, name: str, queue: Queue, websocket: Any = None, stay: bool = False) -> None:
        """Make a Queue a member.

        Args:
            websocket: the membership ends with it.
            stay: no, it does not, until the worker retires.

        Raises:
            ChannelError: the name does not exist (strict) or is none.
        """
        if not self._loop.is_here():
            self._loop.call(self.join_queue, name, queue, websocket, stay)
            return
        channel = self._prepare(name)
        if queue.closed:
            self._release(channel)
            return
        channel.add(queue)
        queue.stays = stay and not self._retiring
        if not queue.stays:
            self.attach_queue(name, queue, websocket)
        elif websocket is not None:
            self._staying[queue] = (name, websocket)
        for message in tuple(channel.history or ()):
            self._put(channel, queue, message)
        self._joined(name, queue)

    def _joined(self, name: str, member: Any) -> None:
        try:
            self.backend.joined(name)
        except BaseException:  # a time-out or a kill of whoever waits: it has not joined
            self.leave(name, member)
            raise

    def attach_queue(self, name: str, queue: Queue, websocket: Any) -> None:
        """From now on the membership of a Queue ends with a websocket."""
        if websocket is None or queue.websocket is not None or queue.stays:
            return
        if websocket.open:
            queue.websocket = websocket
            self._attach(websocket, name, queue)
        else:
            self.leave(name, queue)
            queue.close()

    def receive(self, queue: Queue, timeout: Optional[float]) -> Optional[bytes]:
        """See `Queue.get`; may be called in a thread of gevent's pool too."""
        if not self._loop.is_here():
            message: Optional[bytes] = self._loop.call(queue.get, timeout)
            return message
        return queue.get(timeout)

    def leave(self, name: str, member: Any) -> None:
        """End a membership of a websocket or a Queue; does nothing without one. May be called in the hub.

        Raises:
            ChannelError: the name does not exist (strict).
        """
        if not self._loop.is_here():
            self._loop.call(self.leave, name, member)
            return
        channel = self._channels.get(name)
        if channel is None:
            self.check(name)
            return
        websocket, key = (member.websocket, member) if isinstance(member, Queue) else (member, member.writer)
        if key not in channel:
            return
        channel.remove(key)
        if key is member:
            self._staying.pop(member, None)
        if websocket is not None:
            websocket.channels.remove((name, key))
        self._release(channel)

    def _attach(self, websocket: Any, name: str, key: Any) -> None:
        if websocket.channels is None:
            websocket.channels = []
            websocket.on_end = self._leave_all
        websocket.channels.append((name, key))

    def _leave(self, websocket: Any) -> None:
        """A websocket is over: end all its memberships."""
        for name, key in tuple(websocket.channels):
            self.leave(name, key if isinstance(key, Queue) else websocket)
            if isinstance(key, Queue):
                key.close()

    def _prepare(self, name: str) -> Channel:
        """The channel, with what was published before if that is kept, so that whoever joins has each message once: then, or live."""
        channel = self._channel(name)
        if channel.history is None:
            return channel
        self._kept.pop(name, None)
        if channel.known:
            return channel
        channel.held += 1
        try:
            self.backend.joined(name)
            before = set(channel.history)
            past = self.backend.past(name)
            if past is not None and not channel.known:
                # What has come since the question was asked may be in the answer too.
                self._remember(channel, past, [message for message in channel.history if message not in before])
            channel.known = True
        except BaseException:  # a time-out or a kill of whoever joins
            channel.held -= 1
            self._release(channel)
            raise
        channel.held -= 1
        return channel

    def _release(self, channel: Channel) -> None:
        """Somebody has left, or does not join after all."""
        if len(channel) or channel.held:
            return
        self.backend.left(channel.name)
        # Where messages come only while there are members, what is kept has a gap from now on.
        channel.known = False
        self._tidy(channel)

    def _tidy(self, channel: Channel) -> None:
        """Forget a channel that is not needed, or keep it for its history, in the place of another one."""
        if not channel.idle or self._channels.get(channel.name) is not channel:
            return
        if channel.history:
            self._kept.pop(channel.name, None)
            self._kept[channel.name] = channel
            if len(self._kept) <= KEPT:
                return
            channel = self._kept.pop(next(iter(self._kept)))
        self._counters.keep(channel)
        del self._channels[channel.name]

    # -- publishing

    def publish(self, name: str, opcode: int, payload: bytes, exclude: tuple[Any, ...] = ()) -> None:
        """Send a message to all members everywhere. Waits for none of them, at most for the loop to turn.

        May be called from any greenlet, from the hub, and from a thread of gevent's pool.

        Args:
            name: the channel; nobody needs to be in it.
            opcode: TEXT or BINARY.
            payload: the message; UTF-8 if it is TEXT.
            exclude: websockets' writers and queues that are left out.

        Raises:
            ChannelError: the name does not exist (strict) or is none, or the message is larger than `max_size`.
        """
        if len(payload) > self.settings.max_size:
            raise ChannelError(f"a channel message may have {self.settings.max_size} bytes, this one has {len(payload)}")
        if not self._loop.is_here():
            self.check(name)
            check_name(name)
            self._loop.call_later(self.publish, name, opcode, payload, exclude)
            return
        channel = self._admit(name)
        message = Message(opcode, payload, self._identity(), exclude)
        channel.published += 1
        self.backend.publish(name, message)
        if not self._give(channel, message):
            self._tidy(channel)

    def deliver(self, name: str, message: Message) -> None:
        """A message that came through the backend: give it to the members here. Waits as a publisher does."""
        if name not in self._channels and (not self.settings.history or self.settings.strict):
            self._pace.spend(1)
            return
        size = len(message.payload)
        if size > self.settings.max_size:
            log(f"channels: a message of {size} bytes, published to {name!r} by another program, is over --channel-max-size: dropped")
            self._lost(name, 1)
            return
        try:
            channel = self._admit(name)
        except ChannelError:
            return  # another instance, which shares the backend, allows more than this one
        if message.identity in channel.recalled:
            channel.recalled.discard(message.identity)  # everybody here has it from the history
            return
        if not self._give(channel, message):
            self._tidy(channel)

    def _admit(self, name: str) -> Channel:
        """The channel, when it is the caller's turn."""
        channel = self._channel(name)
        if self._pace.admit(channel):
            return channel
        return self._channel(name)  # it may have been forgotten meanwhile

    def _identity(self) -> bytes:
        return self._origin + next(self._identities).to_bytes(IDENTITY_SIZE - ORIGIN_SIZE, "big")

    def _give(self, channel: Channel, message: Message) -> bool:
        """Give a message to the members, or put it in line for them; False when there are none."""
        channel.number += 1
        message.number = channel.number
        if channel.history is not None:
            kept = Message(message.opcode, message.payload, message.identity) if message.exclude else message
            channel.history.append(kept)
        queues = channel.queues()
        for queue in queues:
            if queue not in message.exclude:
                self._put(channel, queue, message)
        writers = channel.writers()
        count = members = len(writers)
        cost = _cost(len(message.payload))
        if count and (channel.line is not None or count * cost > DIRECT):
            if channel.line is None:
                self._pace.line_up(channel)
            channel.line_up(message, writers)
            count = 0
        elif count:  # else there is nobody, and no order to keep
            self._send(channel, writers, 0, count, (message,))
        self._pace.spend(1 + (count + len(queues)) * cost)
        return bool(members or queues)

    def _serve(self, channel: Channel, units: int) -> int:
        """Send to some of those for whom messages stand in line; how many units it took. Runs in the hub."""
        line = channel.line
        if line is None:
            return 0
        turn = line[0]
        messages = tuple(message for message, _ in turn.messages)
        cost = _cost(sum(len(message.payload) for message in messages))
        # Noted before it is done, so that nothing is sent twice, whatever happens.
        start, stop = turn.advance(max(1, units // cost))
        writers = turn.writers
        if turn.version != channel.version:
            writers = channel.still(turn, start, stop)
            start, stop = 0, len(writers)
        channel.in_line -= turn.finish()
        if not turn.messages:
            line.popleft()
        try:
            self._send(channel, writers, start, stop, messages)
        finally:
            if not line:
                channel.line = None
                self._tidy(channel)
        return max(1, stop - start) * cost

    def _send(self, channel: Channel, writers: tuple[Any, ...], start: int, stop: int, messages: tuple[Message, ...]) -> None:
        taken, dropped = self._spread(writers, start, stop, messages, *self._limits)
        channel.delivered += taken
        if dropped:
            channel.dropped += dropped
            self._counters.dropped += dropped

    def _put(self, channel: Channel, queue: Queue, message: Message) -> None:
        before = queue.dropped
        channel.delivered += queue.put(message.payload)
        dropped = queue.dropped - before
        channel.dropped += dropped
        self._counters.dropped += dropped

    # -- what the backend asks

    def local_count(self, name: str) -> int:
        """Members in this worker."""
        channel = self._channels.get(name)
        return len(channel) if channel is not None else 0

    def _lost(self, name: str, number: int) -> None:
        self._counters.lost += number
        channel = self._channels.get(name)
        if channel is not None:
            channel.lost += number
        else:
            self._counters.lost_without_channel(name, number)

    def _histories(self) -> list[tuple[str, list[Message]]]:
        return [(name, list(channel.history)) for name, channel in self._channels.items() if channel.history]

    def _recall(self, name: str, past: list[Message]) -> None:
        if self.settings.history and (not self.settings.strict or name in self._channels):
            channel = self._channel(name)
            self._remember(channel, past, list(channel.history or ()))
            self._tidy(channel)

    def _remember(self, channel: Channel, past: list[Message], later: list[Message]) -> None:
        """Keep what was published before this worker heard of it, and then what it has heard itself, each message once."""
        known = {message.identity for message in past}
        heard = {message.identity for message in channel.history or ()}
        later = [message for message in later if not message.identity or message.identity not in known]
        channel.history = deque(past + later, maxlen=self.settings.history)
        channel.recalled = {
            message.identity
            for message in channel.history
            if message.identity in known and message.identity not in heard and not message.identity.startswith(self._origin)
        }

    # -- looking

    def count(self, name: str) -> int:
        """Members here and on all others that can be reached.

        Raises:
            ChannelError: the name does not exist (strict) or is none.
        """
        if not self._loop.is_here():
            return int(self._loop.call(self.count, name))
        self.check(name)
        return self.local_count(name) + self.backend.count(check_name(name))

    def statistics(self) -> dict[str, dict[str, int]]:
        """Name -> subscribers, published, delivered, dropped, lost; of this worker alone."""
        found = self._counters.gone()
        for name, channel in list(self._channels.items()):
            found[name] = {"subscribers": len(channel), **{key: getattr(channel, key) for key in KEYS}}
        return found

    def check(self, name: str) -> None:
        """Do nothing.

        Raises:
            ChannelError: the name does not exist (strict).
        """
        if self.settings.strict and name not in self._channels:
            raise ChannelError("unable to find channel")

    def _channel(self, name: str) -> Channel:
        channel = self._channels.get(name)
        if channel is None:
            self.check(name)
            channel = Channel(check_name(name), self.settings.history)
            self._counters.restore(channel)
            self._channels[name] = channel
        return channel


def _cost(size: int) -> int:
    """Units that it takes to send so many bytes to one websocket."""
    return 1 + size // UNIT_BYTES
