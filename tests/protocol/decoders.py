"""The decoders under test. A further implementation is added here and nowhere else."""

from __future__ import annotations

from typing import Any, Callable

from geuwsgi.protocol import messages


def implementations() -> dict[str, Callable[[int], Any]]:
    """By name: the pure decoder always, and the compiled one where it was built."""
    pure = getattr(messages, "PureMessageDecoder", messages.MessageDecoder)
    found: dict[str, Callable[[int], Any]] = {"pure": pure}
    if messages.MessageDecoder is not pure:
        found["compiled"] = messages.MessageDecoder
    return found


IMPLEMENTATIONS = implementations()


def results(decoder: Any) -> tuple[Any, ...]:
    """Everything that a decoder has delivered, comparable."""
    code = decoder.error.code if decoder.error is not None else None
    return list(decoder.messages), list(decoder.control), code, decoder.close_code, decoder.close_reason
