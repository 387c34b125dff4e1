"""Order, exactly once and no cross-talk among several hubs that meet in a directory, with random joins, leaves, sends and kills.

What must be, whatever happens: a member hears only channels that it is in or was in; of each publisher and channel, what it
hears is in order and holds nothing twice; nothing after it left. What must be heard: whatever was published while it was in,
by a hub that was not killed before its messages were on their way, until it leaves.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, Callable

import gevent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geuwsgi.channels.hub import DIRECT, ChannelHub
from geuwsgi.channels.queue import Queue
from geuwsgi.channels.settings import ChannelSettings
from tests.channels.local import Client, clients, crash, make_hub

TEXT = 1
ROOMS = ("red", "blue")
HUBS = 3

CHANNEL_SETTINGS = ChannelSettings(queue=10_000)

#: (what, hub, which member, which room, how many)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "join", "leave", "send", "send", "send", "settle", "turn", "kill"]),
        st.integers(0, HUBS - 1),
        st.integers(0, 3),
        st.sampled_from(ROOMS),
        st.sampled_from([1, 3, 40]),
    ),
    max_size=40,
)


class Member:
    """A websocket or a queue, what it must hear, and what it may hear.

    Attributes:
        since: room -> number of its next message when this one joined, by publisher.
        must: (room, publisher, number) of what it has to hear.
        may: of what may come or not.
    """

    def __init__(self, make: Callable[[], Client], is_queue: bool) -> None:
        self.queue = Queue(CHANNEL_SETTINGS) if is_queue else None
        self.client = None if is_queue else make()
        self.rooms: set[str] = set()
        self.must: set[tuple[str, int, int]] = set()
        self.may: set[tuple[str, int, int]] = set()
        self._heard: list[bytes] = []

    def join(self, hub: ChannelHub, room: str, under_way: set[tuple[str, int, int]]) -> None:
        if room not in self.rooms:
            # Another worker's message may come although it was published before.
            self.may |= {item for item in under_way if item[0] == room} - self.must
            self.rooms.add(room)
            if self.queue is not None:
                hub.join_queue(room, self.queue)
            else:
                hub.join(room, self.client.connection)  # type: ignore[union-attr]

    def leave(self, hub: ChannelHub, room: str) -> None:
        if room in self.rooms:
            self.rooms.discard(room)
            hub.leave(room, self.queue if self.queue is not None else self.client.connection)  # type: ignore[union-attr]
            # What has not come yet need not come any more.
            heard = set(self.heard())
            gone = {item for item in self.must if item[0] == room and item not in heard}
            self.must -= gone
            self.may |= gone

    def heard(self) -> list[tuple[str, int, int]]:
        if self.client is not None:
            self._heard = self.client.payloads()
        elif self.queue is not None:
            while (payload := self.queue.get(0)) is not None:
                self._heard.append(payload)
        return [(room, int(publisher), int(number)) for room, publisher, number in (payload.decode().split() for payload in self._heard)]


class World:
    """Hubs, their members, and what has been said."""

    def __init__(self, directory: Path, make: Callable[[], Client]) -> None:
        self.directory = directory
        self.make = make
        self.publishers = 0
        self.sent: dict[tuple[str, int], int] = defaultdict(int)
        self.hubs: list[ChannelHub] = []
        self.names: list[int] = []
        self.members: list[list[Member]] = []
        self.gone: list[Member] = []
        #: Messages of a hub that may not be on their way yet.
        self.fresh: list[set[tuple[str, int, int]]] = []
        #: Messages that may not have come everywhere yet.
        self.under_way: set[tuple[str, int, int]] = set()
        for _ in range(HUBS):
            self.hubs.append(make_hub(directory, queue=10_000))
            self._populate(len(self.hubs) - 1)

    def _populate(self, index: int) -> None:
        members = [Member(self.make, number == 3) for number in range(4)]
        for values, value in ((self.members, members), (self.names, self.publishers), (self.fresh, set())):
            if index < len(values):
                values[index] = value  # type: ignore[call-overload]
            else:
                values.append(value)  # type: ignore[attr-defined]
        self.publishers += 1

    def send(self, index: int, room: str, count: int) -> None:
        name = self.names[index]
        for _ in range(count):
            # Before it is published, because that may wait, and others go on meanwhile.
            number = self.sent[room, name]
            self.sent[room, name] += 1
            item = (room, name, number)
            self.fresh[index].add(item)
            self.under_way.add(item)
            for members in self.members:
                for member in members:
                    if room in member.rooms:
                        member.must.add(item)
            self.hubs[index].publish(room, TEXT, f"{room} {name} {number}".encode())

    def kill(self, index: int) -> None:
        crash(self.hubs[index])
        for member in self.members[index]:
            # Nobody reads any more.
            member.may |= member.must
            member.must.clear()
            if member.client is not None:
                member.heard()
                member.client.finish()
            self.gone.append(member)
        lost = self.fresh[index]
        for members in self.members:
            for member in members:
                gone = member.must & lost
                member.must -= gone
                member.may |= gone
        self.hubs[index] = make_hub(self.directory, queue=10_000)
        self._populate(index)

    def settle(self) -> None:
        """Wait until all has come that must."""
        with gevent.Timeout(20, False):
            while any(member.must - set(member.heard()) for member in self.everybody()):
                gevent.sleep(0.001)
        self.check()
        for fresh in self.fresh:
            fresh.clear()
        # A message of a killed hub may still lie in a socket, though not for long.
        for _ in range(100):
            gevent.sleep(1e-9)  # a turn of the loop, however long it takes
        self.under_way.clear()

    def everybody(self) -> list[Member]:
        return [member for members in self.members for member in members]

    def check(self) -> None:
        for member in [*self.gone, *self.everybody()]:
            heard = member.heard()
            assert len(set(heard)) == len(heard), "twice"
            assert set(heard) <= member.must | member.may, "what was not for it"
            assert member.must <= set(heard), "missing"
            last: dict[tuple[str, int], int] = {}
            for room, publisher, number in heard:
                assert number > last.get((room, publisher), -1), "out of order"
                last[room, publisher] = number

    def stop(self) -> None:
        for hub in self.hubs:
            hub.stop()


def play(steps: list[tuple[str, int, int, str, int]], crowd: int) -> None:
    with tempfile.TemporaryDirectory() as folder, clients() as make:
        world = World(Path(folder), make)
        # So many others that rooms are served in line, or none.
        others = [make() for _ in range(crowd)]
        for other in others:
            for room in ROOMS:
                world.hubs[0].join(room, other.connection)
        for what, index, which, room, count in steps:
            member = world.members[index][which]
            if what == "join":
                member.join(world.hubs[index], room, world.under_way)
            elif what == "leave":
                member.leave(world.hubs[index], room)
            elif what == "send":
                world.send(index, room, count)
            elif what == "turn":
                gevent.sleep(1e-9)
            elif what == "settle":
                world.settle()
            else:
                world.kill(index)
        world.settle()
        world.stop()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS, st.sampled_from([0, DIRECT + 8]))
def test_order_exactly_once_no_cross_talk(steps: Any, crowd: int) -> None:
    play(steps, crowd)
