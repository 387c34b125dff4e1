"""geuwsgi/log.py"""

from __future__ import annotations

import pytest

from geuwsgi.log import log


def test_text_stays_and_commands_to_a_terminal_do_not(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log("GET /\xe9\u20ac\n/\x9b31m/\udcff")
    assert capfdbinary.readouterr().err == "GET /é€\n/\\x9b31m/\\udcff\n".encode()
