"""What stood in the files of certificates and keys, from one image of the process to the next.

In an anonymous file, because after `--uid` or `--chroot` the files themselves may be out of reach; and so that `--https-dev` has the same
certificate after a reload.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from typing import TYPE_CHECKING, Optional

from . import originals, tls

if TYPE_CHECKING:
    from ..config.config import Config
    from ..server.tls import Pems, TLSContext
    from .addresses import Address

#: Those of `--https-dev`, which are no files.
_MADE = (tls.DEV_CERT, tls.DEV_KEY)


class Certificates:
    """All certificates of a server.

    Args:
        descriptor: where the image before this one has put them; -1 without one.
    """

    def __init__(self, descriptor: int) -> None:
        self._kept = _kept(descriptor)
        self._pems: Optional[Pems] = None
        self._descriptor = -1

    def make(self) -> None:
        """Make a certificate for `--https-dev`, unless there is one from before.

        Raises:
            ConfigError: it cannot be made.
        """
        if tls.DEV_CERT not in self._kept:
            self._kept.update(zip(_MADE, tls.make_certificate()))

    def load(self, addresses: Iterable[Address]) -> dict[Address, TLSContext]:
        """What is shown at each TLS address.

        Raises:
            ConfigError: one that cannot be used.
        """
        from ..server.tls import Pems, TLSContext

        secure = [one for one in addresses if one.tls is not None]
        if secure:
            self._pems = Pems(self._kept, _MADE)
        return {one: TLSContext(one.tls, self._pems, one.option, one.source) for one in secure if one.tls and self._pems}

    def check(self, config: Config) -> None:
        """See whether those of another configuration can be used.

        Raises:
            ConfigError: one that cannot be used.
        """
        from ..server.tls import Pems, TLSContext

        pems = Pems(self._current(), _MADE)
        for port in tls.ports(config):
            if port.tls is not None and port.option != "https-dev":
                TLSContext(port.tls, pems, port.option, port.source)

    def changed(self) -> bool:
        """Whether the files are no longer what was loaded."""
        return self._pems is not None and self._pems.changed()

    def keep(self) -> int:
        """A file with what stood in the files, for the next image; -1 without any."""
        if self._descriptor < 0:
            self._descriptor = _keep(self._current())
        return self._descriptor

    def close(self) -> None:
        """There is no next image."""
        if self._descriptor >= 0:
            originals.close(self._descriptor)
            self._descriptor = -1

    def descriptors(self) -> list[int]:
        """That of the file for the next image, if it is there."""
        return [self._descriptor] if self._descriptor >= 0 else []

    def _current(self) -> dict[str, str]:
        return self._kept if self._pems is None else self._pems.kept


def _keep(contents: dict[str, str]) -> int:
    """Put the contents of files into an anonymous one; its descriptor, -1 when there is nothing to keep."""
    if not contents:
        return -1
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("certificates", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.write(fd, json.dumps(contents).encode())
    return fd


def _kept(fd: int) -> dict[str, str]:
    """What the image before this one has put there. Closes the descriptor."""
    if fd < 0:
        return {}
    try:
        text = os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        originals.close(fd)
    found: dict[str, str] = json.loads(text)
    return found
