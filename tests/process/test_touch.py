"""How files and directories are seen to change."""

from __future__ import annotations

import os
from pathlib import Path

from geuwsgi.process.touch import Touched


def test_what_counts(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    folder.mkdir()
    touched = Touched([("reload", str(file)), ("log", str(folder))])
    assert touched.changes() == []
    file.touch()
    assert touched.changes() == [("reload", str(file))]
    (folder / "new").touch()
    assert touched.changes() == [("log", str(folder))]
    os.utime(folder / "new", (1, 1))
    assert touched.changes() == [("log", str(folder))]
    file.unlink()
    assert touched.changes() == []


def test_a_link_to_nowhere_does_not_hide_the_rest(tmp_path: Path) -> None:
    """Emacs makes one for as long as a file is edited."""
    (tmp_path / "file").touch()
    (tmp_path / ".#file").symlink_to("me@here.1234:5678")
    touched = Touched([("reload", str(tmp_path))])
    os.utime(tmp_path / "file", (1, 1))
    assert touched.changes() == [("reload", str(tmp_path))]
    assert touched.changes() == []
