"""What the configuration may say about the game: `bombertab-rate = 60` in the ini file, or --set bombertab-rate=60."""

from __future__ import annotations

import uwsgi

from .game.units import TICKS_PER_SECOND


def _number(name: str, default: int, low: int, high: int) -> int:
    value = uwsgi.opt.get(name)
    if value is None:
        return default
    text = value.decode() if isinstance(value, bytes) else str(value)
    if not text.isdigit() or not low <= int(text) <= high:
        raise ValueError(f"{name} = {text}: a whole number from {low} to {high} is wanted")
    return int(text)


#: Ticks a second. Anything else than 30 makes the whole game faster or slower.
RATE = _number("bombertab-rate", TICKS_PER_SECOND, 1, 1000)

#: Seconds in which a page that was lost finds its player again.
BACK_WITHIN = _number("bombertab-back-within", 10, 1, 3600)
