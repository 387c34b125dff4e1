"""geuwsgi/accel.py: compiled or pure, all or nothing."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from geuwsgi import accel
from tests.harness.programs import ROOT

TWINS = [(accel.twin_name(module), f"geuwsgi.{module}") for module in accel.TWINS]

needs_compiled = pytest.mark.skipif(not accel.COMPILED, reason="the compiled modules are not built, or GEUWSGI_PURE is set")


def test_compiled_where_it_can_be() -> None:
    """With a compiler at hand a run of the tests that is not told to be pure tests the compiled modules, too."""
    if accel.COMPILED:
        return
    reasons = {
        "GEUWSGI_PURE is set": os.environ.get("GEUWSGI_PURE", "") not in ("", "0"),
        "no C compiler": shutil.which("cc") is None and shutil.which("gcc") is None,
        "no Cython": importlib.util.find_spec("Cython") is None,
        "not CPython": sys.implementation.name != "cpython",
    }
    reason = ", ".join(reason for reason, holds in reasons.items() if holds)
    if not reason and os.environ.get("CI") == "true":
        pytest.fail("the compiled modules could be built but are not in use: python setup.py build_ext --inplace")
    pytest.skip(reason or "the compiled modules are not built: python setup.py build_ext --inplace")


@needs_compiled
@pytest.mark.parametrize(("twin", "module"), TWINS)
def test_twins_take_the_place_of_the_pure_ones(twin: str, module: str) -> None:
    pure, compiled = importlib.import_module(module), importlib.import_module(twin)
    assert any(str(compiled.__file__).endswith(suffix) for suffix in importlib.machinery.EXTENSION_SUFFIXES)
    replaced = [name[4:] for name in vars(pure) if name.startswith("Pure")]
    assert replaced
    for name in replaced:
        assert getattr(pure, name) is getattr(compiled, name)
        assert getattr(pure, "Pure" + name) is not getattr(compiled, name)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the package with what was built of it, all files of one age, and a setup.py beside it."""
    shutil.copytree(ROOT / "geuwsgi", tmp_path / "geuwsgi", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "setup.py").touch()
    for path in tmp_path.rglob("*"):
        os.utime(path, (1_000_000, 1_000_000))
    return tmp_path


def says(checkout: Path, **env: str) -> str:
    command = [sys.executable, "-P"] if sys.version_info >= (3, 11) else [sys.executable]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1", **env}
    done = subprocess.run(
        [*command, "-m", "geuwsgi", "--version"], env=environment, cwd=checkout, capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.partition("(")[2].partition(")")[0]


def in_package(checkout: Path, module: str, form: str) -> Path:
    return checkout / "geuwsgi" / (module.rpartition(".")[0]) / form.format(module.rpartition(".")[2])


@needs_compiled
def test_switches(checkout: Path) -> None:
    assert says(checkout, GEUWSGI_PURE="") == "compiled"
    assert says(checkout, GEUWSGI_PURE="0") == "compiled"
    assert says(checkout, GEUWSGI_PURE="1") == "pure"


@needs_compiled
@pytest.mark.parametrize(
    ("module", "form"),
    [("protocol.messages", "{}.py"), ("protocol.messages", "_{}.pxd"), ("protocol.frames", "_{}.pyx"), ("api.websocket", "{}.py")],
)
def test_a_twin_older_than_its_source_is_not_used(checkout: Path, module: str, form: str) -> None:
    source = in_package(checkout, module, form)
    os.utime(source, (2_000_000, 2_000_000))
    assert says(checkout, GEUWSGI_PURE="") == "pure"
    # An installed package has no setup.py beside it, and the ages of its files mean nothing.
    (checkout / "setup.py").unlink()
    assert says(checkout, GEUWSGI_PURE="") == "compiled"


@needs_compiled
def test_the_pure_twin_of_what_is_written_by_hand_may_be_newer(checkout: Path) -> None:
    os.utime(in_package(checkout, "protocol.frames", "{}.py"), (2_000_000, 2_000_000))
    assert says(checkout, GEUWSGI_PURE="") == "compiled"


@needs_compiled
@pytest.mark.parametrize("module", accel.TWINS)
def test_with_one_missing_all_are_pure(checkout: Path, module: str) -> None:
    in_package(checkout, module, "_{}" + importlib.machinery.EXTENSION_SUFFIXES[0]).unlink()
    assert says(checkout, GEUWSGI_PURE="") == "pure"
