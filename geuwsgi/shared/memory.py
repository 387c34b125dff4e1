"""Anonymous memory that a process and all that it forks from then on see alike."""

from __future__ import annotations

import mmap

#: Bytes of one number.
WORD = 8


def shared_words(count: int) -> memoryview:
    """`count` signed 64-bit numbers, all 0. Made before the fork, and gone with the last process that has them.

    Reading and writing one of them is a single access of the processor, so nobody sees half a number. Adding to one is two accesses:
    each should have one writer.
    """
    return memoryview(mmap.mmap(-1, max(1, count) * WORD)).cast("q")
