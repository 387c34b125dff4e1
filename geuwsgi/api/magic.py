"""`uwsgi.magic_table`: the placeholders of configuration files that have a value. Source: uWSGI's table, watched."""

from __future__ import annotations

import grp
import os
import pwd
import socket
from collections.abc import Mapping

from .. import EMULATED_UWSGI


def magic_table(started_on: float, from_file: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Letter -> value.

    Args:
        started_on: seconds since 1970.
        from_file: those that tell of the configuration file; empty ones are left out.
    """
    uid, gid = os.getuid(), os.getgid()
    return {
        b"%": b"%",
        b"(": b"%(",
        b"[": b"\x1b",
        b"G": _group(gid),
        b"T": str(int(started_on * 1_000_000)).encode(),
        b"U": _user(uid),
        b"V": EMULATED_UWSGI.encode(),
        b"g": str(gid).encode(),
        b"h": socket.gethostname().encode("utf-8", "surrogateescape"),
        b"k": str(os.cpu_count() or 1).encode(),
        b"t": str(int(started_on)).encode(),
        b"u": str(uid).encode(),
        b"v": os.fsencode(os.getcwd()),
        **{letter: value for letter, value in from_file.items() if value},
    }


def _user(uid: int) -> bytes:
    """The name, or the number of a user without one, as in containers."""
    try:
        return os.fsencode(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return str(uid).encode()


def _group(gid: int) -> bytes:
    try:
        return os.fsencode(grp.getgrgid(gid).gr_name)
    except KeyError:
        return str(gid).encode()
