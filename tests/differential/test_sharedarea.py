"""Shared areas held against the real server's."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest
import requests

from tests.harness.servers import Server

pytestmark = pytest.mark.differential

APP = Path(__file__).with_name("sharedarea_app.py")
Start = Callable[..., Server]

#: Of uWSGI's documentation, but not in its Python module.
ADDED = {f"sharedarea_{name}" for name in ("dec16", "dec8", "decbyte", "declong", "inc16", "inc8", "incbyte", "update", "wait")}


def test_rows(server: Start, uwsgi_server: Start) -> None:
    areas = ["--sharedarea", "10", "--sharedarea", "size=5000", "--py-sharedarea", "100"]
    arguments = [None, "--wsgi-file", str(APP), "--master", "--processes", "2", "--gevent", "5", *areas]
    ours, theirs = (requests.get(one.url, timeout=20).json() for one in (server(*arguments), uwsgi_server(*arguments)))
    assert set(eval(ours.pop("names"))) == set(eval(theirs.pop("names"))) | ADDED
    assert ours == theirs
