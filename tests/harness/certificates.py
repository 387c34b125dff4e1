"""Certificates for tests: an authority, servers, and clients of another authority. Made once for each run of the tests."""

from __future__ import annotations

import atexit
import functools
import shutil
import ssl
import tempfile
from pathlib import Path
from typing import Any, Optional

import pytest

#: The names of the authorities, of which clients see the second part of one of their errors.
SERVERS, CLIENTS = "Servers of the tests", "Clients of the tests"


class Certificates:
    """The files, in PEM form.

    Attributes:
        folder: where they are; further ones may be put there.
        ca: the authority of servers.
        cert: of 127.0.0.1 and localhost; `key` is its key.
        client_ca: the authority of clients.
        client: a client's certificate and key.
    """

    def __init__(self, folder: Path) -> None:
        trustme: Any = pytest.importorskip("trustme")
        self.folder = folder
        self._servers = trustme.CA(organization_name=SERVERS)
        self._clients = trustme.CA(organization_name=CLIENTS)
        self.ca, self.client_ca = str(folder / "ca.pem"), str(folder / "clientca.pem")
        self._servers.cert_pem.write_to_path(self.ca)
        self._clients.cert_pem.write_to_path(self.client_ca)
        self.cert, self.key = self.issue("server", "localhost", "127.0.0.1")
        self.client = str(folder / "client.pem")
        certificate = self._clients.issue_cert(
            "ada@example.com", common_name="Ada Lövelace", organization_name="Engines", organization_unit_name="R/D+X"
        )
        certificate.private_key_and_cert_chain_pem.write_to_path(self.client)

    def issue(self, name: str, *hosts: str, folder: Optional[Path] = None, common_name: Optional[str] = None) -> tuple[str, str]:
        """A server's certificate and key in files NAME.crt and NAME.key, of before replaced."""
        certificate = self._servers.issue_cert(*hosts, common_name=common_name)
        cert, key = (folder or self.folder) / f"{name}.crt", (folder or self.folder) / f"{name}.key"
        cert.write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(str(key))
        return str(cert), str(key)

    def context(self, client: bool = False, version: Optional[ssl.TLSVersion] = None) -> ssl.SSLContext:
        """A client's context that trusts the authority; with a certificate of its own if `client`; of one version of TLS if given."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.ca)
        if client:
            context.load_cert_chain(self.client)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context


@functools.cache
def certificates() -> Certificates:
    """Those of this run."""
    folder = tempfile.mkdtemp(prefix="geuwsgi-certificates-")
    atexit.register(shutil.rmtree, folder, True)
    return Certificates(Path(folder))
