"""Packets of the uwsgi protocol as a front server may send them."""

from __future__ import annotations


def encode_vars(variables: dict[str, str]) -> bytes:
    """The block of a request.

    Args:
        variables: with characters of latin-1 only, each of which stands for a byte.
    """
    texts = [text.encode("latin-1") for item in variables.items() for text in item]
    return b"".join(len(text).to_bytes(2, "little") + text for text in texts)
