"""`basicauth`: a name and a password.

Source: RFC 7617, and uWSGI's router_basicauth.
"""

from __future__ import annotations

import base64
import binascii
import ctypes
import functools
import hashlib
import hmac
from typing import Any, Callable, Optional

from gevent import get_hub

from ....log import log
from ...patterns import environ_text
from ..context import NEXT, Context, header_value
from ..engine import Action
from .workshop import Workshop

#: glibc's own `struct crypt_data` is the largest that there is: 131,232 bytes.
_CRYPT_DATA = 256 * 1024


def _basicauth(strict: bool) -> Callable[[str, Workshop], Action]:
    def make(argument: str, workshop: Workshop) -> Action:
        """basicauth, basicauth-next: REALM,USER:PASSWORD or REALM,FILE (of htpasswd); with -next a wrong password is the next rule's."""
        workshop.must_be_able_to_answer("basicauth")
        realm, comma, who = argument.partition(",")
        if not comma:
            raise ValueError("write it as basicauth:REALM,USER:PASSWORD or basicauth:REALM,FILE")
        challenge = header_value(environ_text(realm)).replace("\\", "\\\\").replace('"', '\\"')
        headers = [("WWW-Authenticate", f'Basic realm="{challenge}"')]
        expected = who.encode("utf-8", "surrogateescape") if ":" in who else b""
        if not expected:
            _library()  # now: after --chroot it may be out of reach

        def action(context: Context) -> int:
            if context.variable("REMOTE_USER"):
                return NEXT  # an earlier rule, or the front server, knows who it is
            given = _credentials(context.variable("HTTP_AUTHORIZATION"))
            if given is not None and who:
                right = hmac.compare_digest(given, expected) if expected else in_file(who, given)
                if right:
                    context.environ["REMOTE_USER"] = given.partition(b":")[0].decode("latin-1")
                if right or not strict:
                    return NEXT
            return context.respond("401 Authorization Required", headers, b"Unauthorized")

        return action

    return make


def _credentials(header: str) -> Optional[bytes]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return given if b":" in given else None


def in_file(name: str, given: bytes) -> bool:
    """Whether a file of htpasswd's kind has `user:password`. It is read each time, so that it can be changed.

    Passwords are in `{SHA}`, which anybody who reads the file can try quickly, or in whatever the system's crypt() knows: `$2y$`
    (`htpasswd -B`), `$5$`, `$6$`, `$y$`, and the old one of `htpasswd -d`, which is all that uWSGI takes.
    """
    user, _, password = given.partition(b":")
    try:
        with open(name, "rb") as file:
            lines = file.read().split(b"\n")
    except OSError as error:
        log(f"[uwsgi-route] basicauth: {error}")
        return False
    for line in lines:
        known, colon, secret = line.strip().partition(b":")
        if colon and known == user:
            return _matches(password, secret.partition(b":")[0], name)
    return False


def _matches(password: bytes, secret: bytes, name: str) -> bool:
    if secret.startswith(b"{SHA}"):
        found = b"{SHA}" + base64.b64encode(hashlib.sha1(password).digest())
    else:
        # A good hash takes its time, which the other requests do not wait.
        encrypted = get_hub().threadpool.apply(_crypt, (password, secret)) if b"\0" not in password else None
        if not encrypted or encrypted.startswith(b"*"):
            log(f"[uwsgi-route] basicauth: a password in {name} is of a kind that crypt() does not know: use htpasswd -B")
            return False
        found = encrypted
    return hmac.compare_digest(found, secret)


def _crypt(password: bytes, salt: bytes) -> Optional[bytes]:
    library = _library()
    if library is None:
        return None
    space = ctypes.create_string_buffer(_CRYPT_DATA)
    result: Optional[bytes] = library.crypt_r(password, salt, space)
    return result


@functools.cache
def _library() -> Any:
    """The system's libcrypt, or None: Python has lost its `crypt` with 3.13."""
    for name in ("libcrypt.so.1", "libcrypt.so.2", None):
        try:
            library = ctypes.CDLL(name)
            library.crypt_r.restype = ctypes.c_char_p
            library.crypt_r.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]
            return library
        except (OSError, AttributeError):
            continue
    return None


ACTIONS = {"basicauth": _basicauth(True), "basicauth-next": _basicauth(False)}
