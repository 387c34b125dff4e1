"""What strangers send, and what they are told."""

from __future__ import annotations

import pytest

from bombertab_demo.game.player import Player
from bombertab_demo.limits import Allowance
from bombertab_demo.protocol import Commands, Mistake, moves, parse, player_record

HELLO = b'{"t": "hello", "room": "a  b", "name": "Ada", "hue": 200, "token": "", "watch": false, "fill": 4, "x": 1}'


def test_commands() -> None:
    message = parse(b"\x01\x01\x02\x0a\x04")
    assert isinstance(message, Commands)
    assert (message.number, message.commands) == (258, b"\x0a\x04")


def test_json_keeps_what_is_known_and_clean() -> None:
    assert parse(HELLO) == {"t": "hello", "room": "a b", "name": "Ada", "hue": 200, "token": "", "watch": False, "fill": 4}
    assert parse(b'{"t": "chat", "text": " Gr\\u00fc\\u0000\\n\\u202e\\ud800\\u00dfe "}') == {"t": "chat", "text": "Grü ße"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\xff\xfe",
        b"\x01",
        b"\x01\x00\x01",
        b"\x01\x00\x01\x05",
        b"\x01\x00\x01\x02\x10",
        b"\x01\x00\x01" + b"\x01" * 17,
        b"\x02\x00\x00\x00\x00",
        b"[" * 2000,
        b"9" * 2000,
        b"[]",
        b'{"t": 1}',
        b'{"t": "__class__"}',
        b'{"t": "ping", "n": true}',
        b'{"t": "ping", "n": -1}',
        b'{"t": "ping", "n": NaN}',
        b'{"t": "chat"}',
        b'{"t": "chat", "text": "  "}',
        b'{"t": "chat", "text": "' + b"x" * 201 + b'"}',
        b'{"t": "fill", "fill": 9}',
        HELLO.replace(b"false", b"0"),
        HELLO.replace(b"200", b"360"),
        HELLO.replace(b"Ada", b"\\u200b"),
        b" " * 3000 + HELLO,
    ],
)
def test_rubbish(data: bytes) -> None:
    with pytest.raises(Mistake):
        parse(data)


def test_moves_are_eight_bytes_each() -> None:
    player = Player.at(3, 15, 11)
    player.facing, player.speed, player.acknowledged = 2, 5, 0x1234
    assert player_record(player) == bytes.fromhex("03 0e88 0ac8 5a 1234".replace(" ", ""))
    assert moves(258, [player_record(player)]) == b"\x02\x00\x00\x01\x02" + player_record(player)


def test_an_allowance_runs_out() -> None:
    allowance = Allowance(rate=0.0001, burst=3)
    assert [allowance.spend() for _ in range(4)] == [True, True, True, False]
    assert Allowance(1, 5).spend(5)
    assert not Allowance(1, 5).spend(6)
