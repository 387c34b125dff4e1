"""The memory of `--sharedarea` and `--py-sharedarea`: what was asked for, checked and mapped."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Union

from ..errors import ConfigError
from ..shared.sharedarea import SharedArea, make_areas

if TYPE_CHECKING:
    from ..config.config import Config

_KEYS = ("pages", "file", "fd", "ptr", "size", "offset")
_FORM = "write it as a number of pages, or as pages=N, size=BYTES, file=PATH,size=BYTES or fd=N,size=BYTES, with offset=BYTES if need be"


def shared_areas(config: Config) -> list[SharedArea]:
    """All areas, those of `--sharedarea` first, as uWSGI numbers them. Before the fork.

    Raises:
        ConfigError: one cannot be had.
    """
    memories: list[Union[memoryview, bytearray]] = []
    for option, make in (("sharedarea", _mapped), ("py-sharedarea", _object)):
        for number, value in enumerate(config.get(option)):
            try:
                memories.append(make(value))
            except (ValueError, OverflowError, MemoryError) as error:
                raise ConfigError(str(error) or "there is not so much memory", option, value, config.source(option, number)) from None
            except OSError as error:
                raise ConfigError(f"it cannot be mapped: {error.strerror}", option, value, config.source(option, number)) from None
    return make_areas(memories)


def _object(value: str) -> bytearray:
    size = _number(value, "a number of bytes")
    if not size:
        raise ValueError("an area of 0 bytes is of no use")
    return bytearray(size)


def _mapped(value: str) -> memoryview:
    asked = _pairs(value) if "=" in value else {"pages": value}
    if "ptr" in asked:
        raise ValueError("an address in memory (ptr=) cannot be used from here; leave it out for anonymous memory")
    size = _number(asked.get("size", "0"), "size= takes bytes, such as 65536 or 0x10000")
    pages = _number(asked.get("pages", "0"), "pages are a plain number")
    offset = _number(asked.get("offset", "0"), "offset= takes bytes, such as 4096 or 0x1000")
    if not size and not pages:
        raise ValueError(f"it has no size: {_FORM}")
    if offset % mmap.ALLOCATIONGRANULARITY:
        raise ValueError(f"offset= must be a multiple of {mmap.ALLOCATIONGRANULARITY}")
    if "file" in asked:
        fd = os.open(asked["file"], os.O_RDWR | os.O_CLOEXEC)
        try:
            return memoryview(mmap.mmap(fd, size or pages * mmap.PAGESIZE, offset=offset))
        except ValueError as error:
            raise ValueError(f"{error}: the file must be as long as the area is to be") from None
        finally:
            os.close(fd)
    if "fd" in asked:
        fd = _number(asked["fd"], "fd= takes the number of an open descriptor")
        return memoryview(mmap.mmap(fd, size or pages * mmap.PAGESIZE, offset=offset))
    # Whole pages, as in uWSGI, where pages= wins over size= too.
    return memoryview(mmap.mmap(-1, (pages or -(-size // mmap.PAGESIZE)) * mmap.PAGESIZE))


def _pairs(value: str) -> dict[str, str]:
    pairs = dict(part.partition("=")[::2] for part in value.split(","))
    for key in pairs:
        if key not in _KEYS:
            raise ValueError(f"there is no {key}= here: {_FORM}")
    return pairs


def _number(text: str, form: str) -> int:
    try:
        number = int(text[2:], 16) if text.startswith("0x") else int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise ValueError(form)
    return number
