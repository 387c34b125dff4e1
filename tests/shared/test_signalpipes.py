"""The queues of the signal framework."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from geuwsgi.shared.signalpipes import SignalPipes, receive


@pytest.fixture
def pipes() -> Iterator[SignalPipes]:
    made = SignalPipes(2)
    yield made
    for fd in made.descriptors():
        with suppress(OSError):  # which `become_worker` has closed
            os.close(fd)


def test_both_directions(pipes: SignalPipes) -> None:
    common, own = pipes.become_worker(2)
    assert pipes.raise_signal(0)
    assert pipes.raise_signal(255)
    assert receive(pipes.ours, 10) == b"\x00\xff"
    assert receive(pipes.ours) == b""
    assert pipes.deliver(1)
    assert pipes.deliver(2, 2)
    assert pipes.deliver(3, 2)
    assert (receive(common), receive(common)) == (b"\x01", b"")
    assert (receive(own), receive(own), receive(own)) == (b"\x02", b"\x03", b"")


def test_a_full_queue(pipes: SignalPipes, capfd: pytest.CaptureFixture[str]) -> None:
    delivered = 0
    while pipes.deliver(5, 1):
        delivered += 1
        assert delivered < 1_000_000
    assert delivered > 50
    assert "*** SIGNAL QUEUE IS FULL: buffer size " in capfd.readouterr().err
    assert pipes.deliver(5, 2)


def test_its_size(capfd: pytest.CaptureFixture[str]) -> None:
    def holds(size: int) -> int:
        pipes = SignalPipes(1, size=size)
        count = 0
        while pipes.raise_signal(1):
            count += 1
        for fd in pipes.descriptors():
            os.close(fd)
        return count

    assert holds(8192) < holds(65536)
    capfd.readouterr()


def test_the_next_image_keeps_them(pipes: SignalPipes) -> None:
    pipes.deliver(9, 2)
    again = SignalPipes(3, pipes.descriptors())
    assert again.descriptors()[:6] == pipes.descriptors()
    new = again.descriptors()[6:]
    assert len(new) == 2
    _, own = again.become_worker(2)
    assert receive(own) == b"\x09"
    for fd in new[:1]:
        os.close(fd)  # the other end went with `become_worker`
