"""Imports run one way: cli -> process -> api -> {server, channels, shared} -> protocol -> errors and log.

Only `process` and `cli` (and the files that start it) see `config`, and nothing imports in a circle through it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import geuwsgi

PACKAGE = Path(geuwsgi.__file__).parent

#: A layer may import itself and layers of a lower number. Two layers of one number do not know each other.
LAYERS = {
    "__init__": 0,
    "errors": 0,
    "log": 0,
    "accel": 0,
    "protocol": 1,
    "server": 2,
    "channels": 2,
    "shared": 2,
    "api": 3,
    "process": 4,
    "cli": 5,
    "__main__": 6,
}

#: `config` stands beside the layers: it sees only the ground, and these alone see it. `process` builds from it the settings
#: objects that `server` defines, so `config` may not need them either.
CONFIG_USERS = {"config", "process", "cli"}

GROUND = {name for name, level in LAYERS.items() if level == 0}


def imports(source: str, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """(line, first name below geuwsgi) of every import of geuwsgi in the source of a module of `package`.

    Those inside functions and under TYPE_CHECKING count as well.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] == "geuwsgi":
                    yield node.lineno, parts[1] if len(parts) > 1 else "__init__"
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            parts = base + (node.module.split(".") if node.module else [])
            if parts[:1] != ["geuwsgi"]:
                continue
            if len(parts) > 1:
                yield node.lineno, parts[1]
            else:
                for alias in node.names:
                    is_module = (PACKAGE / alias.name).is_dir() or (PACKAGE / f"{alias.name}.py").exists()
                    yield node.lineno, alias.name if is_module else "__init__"


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def complaints() -> Iterator[str]:
    for path in sorted(PACKAGE.rglob("*.py")):
        layer = layer_of(path)
        where = path.relative_to(PACKAGE)
        if layer != "config" and layer not in LAYERS:
            yield f"{where}: {layer} is no layer that this test knows"
            continue
        for line, target in imports(path.read_text("utf-8"), ("geuwsgi", *where.parent.parts)):
            if target == "config":
                allowed = layer in CONFIG_USERS
            elif layer == "config":
                allowed = target in GROUND
            elif target not in LAYERS:
                yield f"{where}:{line}: {target} is no layer that this test knows"
                continue
            else:
                allowed = target == layer or LAYERS[target] < LAYERS[layer]
            if not allowed:
                yield f"{where}:{line}: {layer} may not import {target}"


def test_imports_run_one_way() -> None:
    assert list(complaints()) == []


def test_no_file_is_too_long() -> None:
    """One idea a file: none over 600 lines, but the table of options, which is data."""
    lengths = {path.relative_to(PACKAGE).as_posix(): len(path.read_text("utf-8").splitlines()) for path in PACKAGE.rglob("*.py")}
    long = {name: length for name, length in lengths.items() if length > 600 and name != "config/options.py"}
    assert long == {}
    ordered = sorted(lengths.values())
    assert ordered[len(ordered) // 2] < 250


def test_every_form_of_import_is_seen() -> None:
    source = """
import os
import geuwsgi.cli
from ..api import websocket
from .. import log, __version__
from geuwsgi.config.options import OPTIONS
def f():
    from . import body
    from ..channels.hub import Hub
"""
    found = sorted(imports(source, ("geuwsgi", "server")))
    assert found == [(3, "cli"), (4, "api"), (5, "__init__"), (5, "log"), (6, "config"), (8, "server"), (9, "channels")]
