"""`--pypy-eval` and `--pypy-exec`: code that uWSGI's PyPy plugin runs before the application is loaded.

What that code prepares there, in its own interpreter, is ready here from the start; so the functions it calls for that are there and have
nothing to do. Source: uWSGI's `pypy_setup.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import AppLoadError


def _nothing(*arguments: Any) -> None:
    """The requests run in greenlets, which on PyPy are made of continulets."""


def run(expressions: Sequence[str], files: Sequence[str]) -> None:
    """Run them, the expressions first.

    Raises:
        AppLoadError: one raises, or a file cannot be read.
    """
    names: dict[str, Any] = {"__name__": "uwsgi_pypy_setup", "uwsgi_pypy_setup_continulets": _nothing}
    for expression in expressions:
        _execute(expression, "<pypy-eval>", f"--pypy-eval {expression}", names)
    for path in files:
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except (OSError, ValueError) as error:
            raise AppLoadError(f"--pypy-exec {path}: it cannot be read: {error}") from None
        _execute(text, path, f"--pypy-exec {path}", names)


def _execute(text: str, path: str, what: str, names: dict[str, Any]) -> None:
    try:
        exec(compile(text, path, "exec"), names)
    except Exception as error:
        raise AppLoadError(f"{what}: {type(error).__name__}: {error}") from error
