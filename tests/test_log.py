"""geuwsgi/log.py"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from geuwsgi.log import Writer, log
from tests.harness.pipes import FullPipe


def test_text_stays_and_commands_to_a_terminal_do_not(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log("GET /\xe9\u20ac\n/\x9b31m/\udcff")
    assert capfdbinary.readouterr().err == "GET /é€\n/\\x9b31m/\\udcff\n".encode()


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "look first"])
def test_a_reader_that_stands_still(at_once: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geuwsgi.log.PATIENCE", 0.05)
    if not at_once:
        monkeypatch.setattr("geuwsgi.log._AT_ONCE", 0)
    with FullPipe() as pipe:
        writer = Writer(pipe.end)
        writer.write(b"one\n")
        monkeypatch.setattr("geuwsgi.log.PATIENCE", 3600)  # the second one does not wait
        writer.write(b"two\n")
        pipe.make_room(8192)
        writer.write(b"three\n")
        assert pipe.rest() == b"2 writes to this log were lost: its reader stands still\nthree\n"


def test_a_line_that_is_cut_does_not_swallow_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geuwsgi.log.PATIENCE", 0.05)
    with FullPipe() as pipe:
        pipe.make_room(4096)
        writer = Writer(pipe.end)
        writer.write(b"x" * 10_000 + b"\n")
        pipe.make_room(16384)
        writer.write(b"next\n")
        assert pipe.rest() == b"x" * 4096 + b"\n1 writes to this log were lost: its reader stands still\nnext\n"


def test_all_of_a_long_line_goes_into_a_file(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    try:
        writer = Writer(fd)
        writer.write(b"x" * 1_000_000 + b"\n")
        writer.write(memoryview(b"y\n"))
    finally:
        os.close(fd)
    assert (tmp_path / "log").read_bytes() == b"x" * 1_000_000 + b"\ny\n"
