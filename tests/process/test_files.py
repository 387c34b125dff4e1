"""Small files that are seen whole, and their removal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from geuwsgi.errors import ConfigError
from geuwsgi.process import files


def test_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    path.write_text("an earlier, longer content")
    files.write_atomically(str(path), "127.0.0.1:1\n", "ready-file")
    assert path.read_text() == "127.0.0.1:1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "ready"
    files.write_atomically(str(path), "/run/\udcff.sock\n", "ready-file")
    assert path.read_bytes() == b"/run/\xff.sock\n"


def test_a_pid_that_stands_there_already(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    for text in (None, "1\n", f"{os.getpid()}", f"{os.getpid()}\n\n"):
        if text is not None:
            path.write_text(text)
        files.write_pid(str(path), "pidfile")
        assert path.read_text() == f"{os.getpid()}\n"
    written = path.stat()
    files.write_pid(str(path), "pidfile")
    assert path.stat().st_ino == written.st_ino


@pytest.mark.parametrize("where", ["gone/pid", "folder"])
def test_what_cannot_be_written(tmp_path: Path, where: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=rf"^app\.ini:2: pidfile = {tmp_path}/{where}: the file cannot be written: "):
        files.write_atomically(str(tmp_path / where), "1\n", "pidfile", "app.ini:2")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_removal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "folder").mkdir()
    files.remove([str(tmp_path / name) for name in ("a", "gone", "folder")])
    files.forget(str(tmp_path / "gone"))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    first, second = capfd.readouterr().err.splitlines()
    assert first == f"VACUUM: {tmp_path}/a removed."
    assert second.startswith(f"VACUUM: {tmp_path}/folder cannot be removed: ")


def test_what_is_no_plain_file_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        files.write_atomically(str(pipe), "127.0.0.1:1\n", "ready-file")
        assert os.read(reader, 100) == b"127.0.0.1:1\n"
    finally:
        os.close(reader)
    files.remove([str(pipe)])
    files.forget(str(pipe))
    assert pipe.is_fifo()


def test_a_descriptor_that_is_a_plain_file_stays(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with open(log, "a") as file:
        path = f"/proc/self/fd/{file.fileno()}"
        files.write_atomically(path, "1\n", "pidfile")
        files.remove([path])
        files.forget(path)
    assert log.read_text() == "1\n"


def test_a_full_device(tmp_path: Path) -> None:
    link = tmp_path / "link"  # not the device itself: should this ever fail, it is the link that is gone
    link.symlink_to("/dev/full")
    with pytest.raises(ConfigError, match=r"^app\.ini:2: pidfile = .*: the file cannot be written: No space left on device$"):
        files.write_atomically(str(link), "1\n", "pidfile", "app.ini:2")
    assert os.readlink(link) == "/dev/full"
