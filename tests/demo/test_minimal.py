"""minimal.py: short enough to be read in a minute, and it works on several workers."""

from __future__ import annotations

from typing import Any, Callable

import pytest
import requests

from tests.harness.programs import ROOT
from tests.harness.servers import Geuwsgi

SOURCE = ROOT / "bombertab_demo" / "minimal.py"


def test_it_is_short() -> None:
    assert len(SOURCE.read_text().splitlines()) <= 45


def test_the_readme_shows_it() -> None:
    shown = (ROOT / "README.rst").read_text().partition("in 40 lines of which these are the server:")[2]
    block = shown.partition(".. code-block:: python\n\n")[2].partition("\n\n::")[0]
    lines = [line.strip() for line in block.splitlines()]
    assert len(lines) >= 9
    source = [line.strip() for line in SOURCE.read_text().splitlines()]
    start = source.index(lines[0])
    assert source[start : start + len(lines)] == lines


@pytest.mark.parametrize("workers", [(), ("--processes", "2", "--master")], ids=["one worker", "two workers"])
def test_what_one_moves_all_see(server: Callable[..., Geuwsgi], ws: Callable[..., Any], workers: tuple[str, ...]) -> None:
    game = server(None, "--module", "bombertab_demo.minimal", "--gevent", "100", "--http", "127.0.0.1:0", *workers)
    assert "<title>Squares</title>" in requests.get(game.url, timeout=10).text
    tabs = [ws(game.ws_url) for _ in range(4)]
    for number, tab in enumerate(tabs):
        tab.send(f"{number} 7")
        while not tab.recv().endswith(f" {number} 7"):
            pass
    heard = {tab: [] for tab in tabs}  # type: ignore[var-annotated]
    # Channels take up nobody who has not joined yet, so speak once more, now that all have.
    for number, tab in enumerate(tabs):
        tab.send(f"10{number} 9")
    for tab, lines in heard.items():
        while sum(line.endswith(" 9") for line in lines) < len(tabs):
            lines.append(tab.recv())
    who = {line.split()[0] for line in heard[tabs[0]] if line.endswith(" 9")}
    assert len(who) == len(tabs)
    tabs[0].close()
    leaver = tabs[1].recv()
    assert leaver in who
    tabs[1].send("nonsense")
    assert tabs[2].recv() == leaver
    assert tabs[2].recv() in who
