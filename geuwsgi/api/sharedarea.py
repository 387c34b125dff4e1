"""`uwsgi.sharedarea_*`. The names are there when an area is."""

from __future__ import annotations

from operator import index
from typing import Any, Callable, Union

from ..errors import ConnectionClosed
from ..protocol.frames import BINARY, TEXT
from ..shared.sharedarea import SharedArea
from .state import state
from .websocket import _over, _websocket

__all__ = [
    "sharedarea_memoryview",
    "sharedarea_object",
    "sharedarea_read",
    "sharedarea_rlock",
    "sharedarea_unlock",
    "sharedarea_update",
    "sharedarea_wait",
    "sharedarea_wlock",
    "sharedarea_write",
    "websocket_send_binary_from_sharedarea",
    "websocket_send_from_sharedarea",
]

Data = Union[str, bytes, bytearray, memoryview]


def area(id: Any, complaint: str) -> SharedArea:
    """An area by its number, or ValueError."""
    number = index(id)
    if not 0 <= number < len(state.areas):
        raise ValueError(complaint)
    return state.areas[number]


def _error(name: str) -> str:
    return f"error calling uwsgi_{name}()"


def sharedarea_read(id: int, pos: int, len: int = 0, /) -> bytes:
    """A copy of `len` bytes at `pos`; of all that is behind it if `len` is 0.

    Raises:
        ValueError: "error calling uwsgi_sharedarea_read()": no such area, or not all of it is in there.
    """
    complaint = _error("sharedarea_read")
    found = area(id, complaint)
    try:
        return found.read(index(pos), index(len))
    except IndexError:
        raise ValueError(complaint) from None


def sharedarea_write(id: int, pos: int, value: Data, /) -> None:
    """Copy bytes, or a str in UTF-8, to `pos`. uWSGI takes no bytearray and no memoryview.

    Raises:
        ValueError: "error calling uwsgi_sharedarea_write()": no such area, or not all of it fits in there.
        TypeError: not text or bytes.
    """
    complaint = _error("sharedarea_write")
    data = value.encode() if isinstance(value, str) else memoryview(value).cast("B")
    found = area(id, complaint)
    try:
        found.write(index(pos), data)
    except (IndexError, RuntimeError) as error:
        raise ValueError(complaint) from error


def sharedarea_rlock(id: int, /) -> None:
    """Keep writers away until `sharedarea_unlock`. Waits for the one that is there.

    Raises:
        ValueError: no such area, or this greenlet has it locked for writing.
    """
    _lock(id, "sharedarea_rlock", True)


def sharedarea_wlock(id: int, /) -> None:
    """Keep all others away until `sharedarea_unlock`. Waits for those that are there.

    Raises:
        ValueError: no such area, or this greenlet has it locked already.
    """
    _lock(id, "sharedarea_wlock", False)


def _lock(id: int, name: str, shared: bool) -> None:
    found = area(id, _error(name))
    try:
        found.lock(shared)
    except RuntimeError as error:
        raise ValueError(f"{_error(name)}: {error}") from None


def sharedarea_unlock(id: int, /) -> None:
    """Undo either. Raises ValueError: no such area."""
    area(id, _error("sharedarea_unlock")).unlock()


def sharedarea_update(id: int, /) -> None:
    """Tell those in `sharedarea_wait` that the area has changed; every call that writes does so by itself.

    Raises:
        ValueError: no such area.
    """
    complaint = _error("sharedarea_update")
    found = area(id, complaint)
    try:
        found.update()
    except RuntimeError as error:
        raise ValueError(complaint) from error


def sharedarea_wait(id: int, freq: int = 0, timeout: float = 0, /) -> bool:
    """Wait until the area changes, while other greenlets run.

    Args:
        id: the area.
        freq: milliseconds between two looks, 0 for 100.
        timeout: seconds, 0 for ever.
    Returns:
        True; False after the time-out.
    Raises:
        ValueError: no such area.
    Source: uWSGI's documentation; its Python module has no such function.
    """
    return area(id, _error("sharedarea_wait")).wait((freq or 100) / 1000, timeout)


def sharedarea_memoryview(id: int, /) -> memoryview:
    """The memory itself, to read and write without locks. Raises ValueError: no such area."""
    return area(id, f"cannot get a memoryview object from sharedarea {id}").view


def sharedarea_object(id: int, /) -> bytearray:
    """The bytearray behind an area of `--py-sharedarea`.

    Raises:
        ValueError: no such area, or one that is made of no object (uWSGI: SystemError).
    """
    complaint = f"cannot get an object from sharedarea {id}"
    source = area(id, complaint).source
    if source is None:
        raise ValueError(complaint)
    return source


def websocket_send_from_sharedarea(id: int, pos: int, len: int = 0, request_context: Any = None) -> None:
    """Send `len` bytes at `pos`, or all from there on, as a text message; as a binary one if they are no UTF-8.

    Nobody writes there while the message is made, and what the kernel does not take at once is copied.

    Raises:
        ValueError: no such area, or not all of it is in there.
        OSError: as `websocket_send`.
    Source: uWSGI's documentation of websockets; its Python module has no such function.
    """
    _send(TEXT, "websocket_send_from_sharedarea", id, pos, len, request_context)


def websocket_send_binary_from_sharedarea(id: int, pos: int, len: int = 0, request_context: Any = None) -> None:
    """As `websocket_send_from_sharedarea`, always a binary message; a large one goes from the area straight to the kernel."""
    _send(BINARY, "websocket_send_binary_from_sharedarea", id, pos, len, request_context)


def _send(opcode: int, name: str, id: int, pos: int, length: int, request_context: Any) -> None:
    complaint = _error(name)
    found = area(id, complaint)
    try:
        where = found.span(index(pos), index(length) or found.size - index(pos))
    except IndexError:
        raise ValueError(complaint) from None
    websocket = _websocket(request_context, "unable to send websocket message")
    try:
        with found.reading() as view:
            part = view[where]
            if opcode == TEXT:
                text = bytes(part)
                part = memoryview(text)
                try:
                    text.decode()
                except UnicodeDecodeError:
                    opcode = BINARY
            websocket.send_view(opcode, part)
        websocket.pause()
    except ConnectionClosed as error:
        raise _over("unable to send websocket message", error) from error


def _reader(name: str, bits: int) -> Callable[..., Any]:
    complaint = _error(f"sharedarea_read{bits}")

    def function(id: int, pos: int, /) -> int:
        found = area(id, complaint)
        try:
            return found.read_integer(bits, index(pos))
        except IndexError:
            raise ValueError(complaint) from None

    return _named(function, name, f"The signed integer of {bits} bits at `pos`.")


def _writer(name: str, bits: int) -> Callable[..., Any]:
    complaint = _error(f"sharedarea_write{bits}")

    def function(id: int, pos: int, value: int, /) -> None:
        number = index(value)
        # As PyArg_ParseTuple does it: "b" for a byte, "I" without a check, "L".
        if bits == 8 and not 0 <= number < 256:
            raise OverflowError(f"unsigned byte integer is {'less than minimum' if number < 0 else 'greater than maximum'}")
        if bits == 64 and not -(1 << 63) <= number < 1 << 63:
            raise OverflowError("int too big to convert")
        found = area(id, complaint)
        try:
            found.write_integer(bits, index(pos), number)
        except (IndexError, RuntimeError) as error:
            raise ValueError(complaint) from error

    return _named(function, name, f"Store an integer of {bits} bits at `pos`.")


def _adder(name: str, bits: int, sign: int) -> Callable[..., Any]:
    complaint = _error(f"sharedarea_{'inc' if sign > 0 else 'dec'}{bits}")

    def function(id: int, pos: int, value: int = 1, /) -> None:
        number = index(value)
        if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
            raise OverflowError(f"{number} is no signed integer of {bits} bits")
        found = area(id, complaint)
        try:
            found.add(bits, index(pos), sign * number)
        except (IndexError, RuntimeError) as error:
            raise ValueError(complaint) from error

    return _named(function, name, f"{'Add to' if sign > 0 else 'Subtract from'} the integer of {bits} bits at `pos`, in one step.")


def _named(function: Callable[..., Any], name: str, doc: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        doc + "\n\nRaises:\n    ValueError: no such area, or not all of it is in there.\n    OverflowError: too large a number.\n"
    )
    globals()[name] = function
    __all__.append(name)
    return function


for _bits, _suffixes in ((8, ("8", "byte")), (16, ("16",)), (32, ("32",)), (64, ("64", "long"))):
    for _suffix in _suffixes:
        _reader(f"sharedarea_read{_suffix}", _bits)
        _writer(f"sharedarea_write{_suffix}", _bits)
        # uWSGI's Python module has no inc8, inc16 and so on, its documentation does.
        _adder(f"sharedarea_inc{_suffix}", _bits, 1)
        _adder(f"sharedarea_dec{_suffix}", _bits, -1)
