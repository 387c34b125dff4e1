"""geuwsgi/server/filewrapper.py"""

from __future__ import annotations

import gzip
import io
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from geuwsgi.server.filewrapper import FileWrapper


def test_iterating_reads_blocks() -> None:
    wrapper = FileWrapper(io.BytesIO(b"0123456789"), 4)
    assert list(wrapper) == [b"0123", b"4567", b"89"]


def test_closing() -> None:
    file = io.BytesIO()
    FileWrapper(file).close()
    assert file.closed

    class Reader:
        def read(self, size: int) -> bytes:
            return b""

    FileWrapper(Reader()).close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "file"
    found.write_bytes(b"0123456789")
    return found


@pytest.mark.parametrize("opener", [lambda p: p.open("rb"), lambda p: p.open("rb", buffering=0), lambda p: p.open("r+b")])
def test_a_regular_file_has_a_region(path: Path, opener: Any) -> None:
    with opener(path) as file:
        assert FileWrapper(file).region() == (file.fileno(), 0, 10)
        file.read(3)
        assert FileWrapper(file).region() == (file.fileno(), 3, 7)
        file.seek(100)
        assert FileWrapper(file).region() == (file.fileno(), 100, 0)


def test_a_temporary_file_has_one() -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"abc")
        file.seek(1)
        assert FileWrapper(file).region() == (file.fileno(), 1, 2)


def test_what_has_none(path: Path) -> None:
    assert FileWrapper(io.BytesIO(b"abc")).region() is None
    assert FileWrapper(object()).region() is None
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe:
        os.close(writing)
        assert FileWrapper(pipe).region() is None
    closed = path.open("rb")
    closed.close()
    assert FileWrapper(closed).region() is None


def test_a_compressed_file_is_read_not_sent(path: Path) -> None:
    with gzip.open(path, "wb") as file:
        file.write(b"plain text")
    with gzip.open(path, "rb") as file:
        wrapper = FileWrapper(file)
        assert wrapper.region() is None
        assert b"".join(wrapper) == b"plain text"
