"""What geuwsgi shows people: a game, a chat (chat.py), the game as one wrote it in 2013 (classic.py), and the smallest of all (minimal.py).

geuwsgi bombertab_demo/bombertab.ini
geuwsgi --http :8080 --module bombertab_demo --processes 2 --master
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The game. It is imported with the first request, so that the rules can be imported without a server."""
    from .server import application as game

    return game(environ, start_response)
