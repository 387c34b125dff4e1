"""The channels of one worker: joining, leaving, publishing, and giving messages to members.

A message is encoded once and handed to each member without waiting: to a websocket through `deliver`, which tries the
kernel and queues within bounds, to a reader of `channel_recv` through its queue. Whoever is too slow loses messages, which
are counted; nobody else notices.

Small rooms are served in the publisher's own greenlet. Large ones go to a greenlet of the hub's, in batches between which
the loop turns; the order in a channel is kept because messages wait in the channel itself.
"""

from __future__ import annotations

from typing import Any, Callable

import gevent
from gevent import get_hub, monkey
from greenlet import getcurrent

from ..errors import ChannelError
from .backend import Backend
from .background import spawn
from .channel import Channel, Message, Queue
from .settings import CLOSE, DROP_NEWEST, DROP_OLDEST, ChannelSettings

#: Members served between two turns of the loop: about a millisecond of system calls.
BATCH = 256

#: Messages that may wait in one channel before its publishers are made to wait for a turn of the loop.
WAITING_LIMIT = 64

_thread_id: Callable[[], int] = monkey.get_original("_thread", "get_ident")


class ChannelHub:
    """All channels of one worker.

    Args:
        settings: limits and habits.
        backend: the way to other workers and hosts.
    """

    def __init__(self, settings: ChannelSettings, backend: Backend) -> None:
        self.settings = settings
        self.backend = backend
        self._channels: dict[str, Channel] = {}
        #: Deliveries left before the publisher has to let the loop turn.
        self._budget = BATCH
        self._overflow = (DROP_NEWEST, DROP_OLDEST, CLOSE).index(settings.overflow)
        #: One bound method for all members.
        self._leave_all = self._leave
        self._loop = get_hub().loop
        self._thread = _thread_id()
        for name in settings.declared:
            self._channels[name] = Channel(name, settings.history, declared=True)

    # -- membership

    def join(self, name: str, member: Any) -> None:
        """Make a websocket or a Queue a member; joining twice is one membership.

        Raises:
            ChannelError: the name does not exist (strict).
        """
        channel = self._channel(name)
        first = not len(channel)
        if not channel.add(member):
            return
        if not isinstance(member, Queue):
            if member.channels is None:
                member.channels = []
                member.on_end = self._leave_all
            member.channels.append(name)
        if first:
            self.backend.joined(name)
        if channel.history and not isinstance(member, Queue):
            for message in tuple(channel.history):
                self._give(channel, member, message)
        elif channel.history:
            for message in tuple(channel.history):
                channel.dropped += member.put(message.payload)

    def leave(self, name: str, member: Any) -> None:
        """End a membership; does nothing without one.

        Raises:
            ChannelError: the name does not exist (strict).
        """
        channel = self._channels.get(name)
        if channel is None:
            if self.settings.strict:
                raise ChannelError("unable to find channel")
            return
        if not channel.remove(member):
            return
        if not isinstance(member, Queue):
            member.channels.remove(name)
        if not len(channel):
            self.backend.left(name)
        if channel.idle:
            del self._channels[name]

    def _leave(self, member: Any) -> None:
        """A websocket is over: end all its memberships."""
        for name in tuple(member.channels):
            self.leave(name, member)

    # -- publishing

    def publish(self, name: str, opcode: int, payload: bytes, exclude: tuple[Any, ...] = ()) -> None:
        """Send a message to all members everywhere. Never waits for any of them.

        May be called from any greenlet, from the hub, and from a thread of gevent's pool.

        Args:
            name: the channel; nobody needs to be in it.
            opcode: TEXT or BINARY.
            payload: the message; UTF-8 if it is TEXT.
            exclude: members that are left out.

        Raises:
            ChannelError: the name does not exist (strict), or the message is larger than `max_size`.
        """
        if len(payload) > self.settings.max_size:
            raise ChannelError(f"a channel message may have {self.settings.max_size} bytes, this one has {len(payload)}")
        if _thread_id() != self._thread:
            self._channel_exists(name)
            self._loop.run_callback_threadsafe(spawn, self._publish, name, opcode, payload, exclude)
            return
        self._publish(name, opcode, payload, exclude)

    def _publish(self, name: str, opcode: int, payload: bytes, exclude: tuple[Any, ...]) -> None:
        channel = self._channel(name)
        channel.published += 1
        lost = self.backend.lost
        self.backend.publish(name, opcode, payload)
        channel.lost += self.backend.lost - lost
        self._spread(channel, Message(opcode, payload, exclude))
        in_hub = getcurrent() is get_hub()
        self._budget -= len(channel) + 1
        if self._budget <= 0 and not in_hub:
            self._budget = BATCH
            gevent.sleep(0)
        while len(channel.waiting) > WAITING_LIMIT and not in_hub:
            gevent.sleep(0)
        if channel.idle:
            self._channels.pop(name, None)

    def deliver(self, name: str, opcode: int, payload: bytes) -> None:
        """A message that came through the backend: give it to the members here."""
        channel = self._channels.get(name)
        if channel is None:
            if not self.settings.history or self.settings.strict:
                return
            channel = self._channel(name)
        self._spread(channel, Message(opcode, payload))

    def _spread(self, channel: Channel, message: Message) -> None:
        if channel.history is not None:
            channel.history.append(Message(message.opcode, message.payload))
        if not len(channel):
            return
        if not channel.draining and len(channel) <= BATCH:
            for member in channel.members():
                if member not in message.exclude:
                    self._give(channel, member, message)
            return
        channel.waiting.append(message)
        if not channel.draining:
            channel.draining = True
            spawn(self._drain, channel)

    def _drain(self, channel: Channel) -> None:
        """Give out what waits in a channel, a batch per turn of the loop."""
        try:
            served = 0
            while channel.waiting:
                # It stays in line until it is out, so that a later message cannot overtake it.
                message = channel.waiting[0]
                for member in channel.members():
                    if member in message.exclude or member not in channel:
                        continue
                    self._give(channel, member, message)
                    served += 1
                    if served >= BATCH:
                        served = 0
                        gevent.sleep(0)
                channel.waiting.popleft()
        finally:
            channel.draining = False

    def _give(self, channel: Channel, member: Any, message: Message) -> None:
        if isinstance(member, Queue):
            dropped = member.put(message.payload)
            channel.dropped += dropped
            channel.delivered += 1
            return
        writer = member.writer
        kind = writer.frame_kind
        frame = message.frames.get(kind)
        if frame is None:
            frame = message.frames[kind] = bytearray(writer.encode_for_many(message.opcode, message.payload))
        settings = self.settings
        dropped = writer.deliver(frame, settings.queue, settings.queue_bytes, self._overflow)
        if dropped:
            channel.dropped += dropped
        else:
            channel.delivered += 1

    # -- looking

    def count(self, name: str) -> int:
        """Members here and on all others that can be reached."""
        self._channel_exists(name)
        channel = self._channels.get(name)
        return (len(channel) if channel is not None else 0) + self.backend.count(name)

    def local_count(self, name: str) -> int:
        """Members in this worker."""
        channel = self._channels.get(name)
        return len(channel) if channel is not None else 0

    def statistics(self) -> dict[str, dict[str, int]]:
        """Name -> subscribers, published, delivered, dropped, lost; of this worker alone."""
        return {
            name: {
                "subscribers": len(channel),
                "published": channel.published,
                "delivered": channel.delivered,
                "dropped": channel.dropped,
                "lost": channel.lost,
            }
            for name, channel in self._channels.items()
        }

    def is_member(self, name: str, member: Any) -> bool:
        """Whether it has joined."""
        channel = self._channels.get(name)
        return channel is not None and member in channel

    def _channel_exists(self, name: str) -> None:
        if self.settings.strict and name not in self._channels:
            raise ChannelError("unable to find channel")

    def _channel(self, name: str) -> Channel:
        channel = self._channels.get(name)
        if channel is None:
            self._channel_exists(name)
            channel = self._channels[name] = Channel(name, self.settings.history)
        return channel
