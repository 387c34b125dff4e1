"""What the `sharedarea_*` calls do, as JSON. Needs --sharedarea 10 --sharedarea size=5000 --py-sharedarea 100."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Callable

import uwsgi

SIZE = 40960


def outcome(call: Callable[[], Any], text: bool = True) -> str:
    """`type repr` of what the call returns, or `raises Type: text` (without the text where Python words it)."""
    try:
        value = call()
    except Exception as error:
        return f"raises {type(error).__name__}" + (f": {error}" if text else "")
    return f"{type(value).__name__} {value!r}"


def call(rows: dict[str, str], name: str, *arguments: Any, text: bool = True) -> None:
    row = f"{name}{arguments}"
    rows[row] = outcome(lambda: getattr(uwsgi, f"sharedarea_{name}")(*arguments), text)


def bytes_and_bounds(rows: dict[str, str]) -> None:
    call(rows, "write", 0, 0, "text")
    call(rows, "write", 0, 4, b"\0\xff")
    for arguments in ((0, 0, 6), (0, SIZE - 2, 2), (0, SIZE - 2, 3), (0, SIZE), (0, -1, 1), (5, 0, 1)):
        call(rows, "read", *arguments)
    rows["read rest"] = outcome(lambda: (len(uwsgi.sharedarea_read(0, 1)), len(uwsgi.sharedarea_read(0, 1, 0))))
    for arguments in ((5, 0, "x"), (0, SIZE - 1, "xy"), (0, SIZE - 1, ""), (0, SIZE, "")):
        call(rows, "write", *arguments)
    call(rows, "write", 0, 0, None, text=False)


def integers(rows: dict[str, str]) -> None:
    for bits in (8, 16, 32, 64):
        for value in (0, 1, 127, 128, 200, -1, 2**15, 2**31, 2**32 + 1, 2**62, 2**64):
            if bits == 16 and not 0 <= value < 2**16:
                continue  # uWSGI writes over its own stack
            call(rows, f"write{bits}", 0, 64, value, text=False)
            rows[f"write{bits} {value}, read"] = outcome(lambda: getattr(uwsgi, f"sharedarea_read{bits}")(0, 64))  # noqa: B023
        for position in (SIZE - bits // 8, SIZE + 1 - bits // 8, SIZE):
            call(rows, f"read{bits}", 0, position)
            call(rows, f"write{bits}", 0, position, 1)
        call(rows, f"read{bits}", 3, 0)
        if bits != 16:
            call(rows, f"write{bits}", 3, 0, 1)
    uwsgi.sharedarea_write64(0, 128, 5)
    for name in ("inc64", "inc32", "inclong", "dec64", "dec32"):
        for arguments in ((0, 128), (0, 128, 7), (0, 128, -3), (9, 0), (0, SIZE - 1)):
            call(rows, name, *arguments)
            rows[f"{name}{arguments} then"] = outcome(lambda: uwsgi.sharedarea_read64(0, 128))
        call(rows, name, 0, 128, 2**63, text=False)
    call(rows, "writebyte", 0, 0, 7)
    call(rows, "readbyte", 0, 0)
    call(rows, "writelong", 0, 0, -7)
    call(rows, "readlong", 0, 0)


def views_and_locks(rows: dict[str, str]) -> None:
    view = uwsgi.sharedarea_memoryview(0)
    rows["view"] = repr((len(view), view.format, view.readonly, view.ndim, view.itemsize))
    view[10:12] = b"hi"
    call(rows, "read", 0, 10, 2)
    rows["sizes"] = outcome(lambda: [len(uwsgi.sharedarea_memoryview(number)) for number in range(3)])
    rows["object"] = outcome(lambda: (type(uwsgi.sharedarea_object(2)).__name__, len(uwsgi.sharedarea_object(2))))
    for name in ("memoryview", "object", "rlock", "wlock", "unlock"):
        call(rows, name, 7)
    for name in ("rlock", "unlock", "wlock", "unlock", "unlock"):
        call(rows, name, 0)


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    rows: dict[str, str] = {"names": repr(sorted(name for name in dir(uwsgi) if name.startswith("sharedarea_")))}
    bytes_and_bounds(rows)
    integers(rows)
    views_and_locks(rows)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(rows).encode()]
