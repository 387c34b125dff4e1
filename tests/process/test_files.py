"""Small files that are seen whole, and their removal."""

from __future__ import annotations

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
