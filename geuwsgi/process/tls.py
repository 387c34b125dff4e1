"""TLS ports: from `--https ADDR,CERT,KEY[,CIPHERS[,CLIENT_CA]]` and its relatives to what the server needs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from ..errors import ConfigError
from ..server.settings import CertificateSettings, TLSSettings

if TYPE_CHECKING:
    from ..config.config import Config

#: Options with an address in front of their files.
SECURE = ("https", "https-socket")

#: What a client of `--https2` may choose from.
WITH_HTTP2 = ("h2", "http/1.1")

_FORM = "ADDR,CERT,KEY[,CIPHERS[,CLIENT_CA]]"
#: As uWSGI has it, and besides that as its other options.
_HTTPS2_FORM = f"addr=ADDR,cert=CERT,key=KEY[,ciphers=CIPHERS][,clientca=CLIENT_CA], or as {_FORM}"
_HTTPS2_KEYS = {"addr": "addr", "cert": "cert", "crt": "cert", "key": "key", "ciphers": "ciphers", "clientca": "ca", "client_ca": "ca"}
_SNI_FORM = "CERT,KEY[,CIPHERS[,CLIENT_CA]]"

#: The names of `--https-dev`'s certificate among the files that are kept.
DEV_CERT, DEV_KEY = "certificate of https-dev", "key of https-dev"


@dataclass(frozen=True)
class Port:
    """One address that has to do with TLS.

    Attributes:
        option: that named it.
        address: where to listen.
        source: where the option stood.
        tls: what is shown and asked there; None where clients are sent on to another port.
        to_https: that port, "" for the usual one; None where they are served.
    """

    option: str
    address: str
    source: Optional[str]
    tls: Optional[TLSSettings] = None
    to_https: Optional[str] = None


def ports(config: Config) -> list[Port]:
    """All addresses that have to do with TLS.

    Raises:
        ConfigError: a value that is none.
    """
    found = []
    shared = _shared(config)
    for option in SECURE:
        for index, value in enumerate(config.get(option)):
            address, _, files = value.partition(",")
            source = config.source(option, index)
            if not address or not files:
                raise ConfigError(f"write it as {_FORM}", option, value, source)
            certificate = _certificate(files, option, value, source, _FORM)
            found.append(Port(option, address, source, replace(shared, certificate=certificate)))
    for index, value in enumerate(config.get("https2")):
        found.append(_https2(shared, value, config.source("https2", index)))
    for index, address in enumerate(config.get("https-dev")):
        certificate = CertificateSettings(DEV_CERT, DEV_KEY)
        found.append(Port("https-dev", address, config.source("https-dev", index), replace(shared, certificate=certificate)))
    if not found:
        for name in ("sni", "sni-regexp", "sni-dir", "sni-dir-ciphers", "https-export-cert", "ssl-option"):
            if config.given(name) and config.get(name) is not False:
                raise ConfigError("does nothing without https; add that, or leave this out", name, None, config.source(name))
    for index, value in enumerate(config.get("http-to-https")):
        address, _, port = value.partition(",")
        source = config.source("http-to-https", index)
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
            raise ConfigError("the port of the https server is a number from 1 to 65535", "http-to-https", value, source)
        found.append(Port("http-to-https", address, source, to_https=port))
    return found


def _shared(config: Config) -> TLSSettings:
    """What all TLS ports have in common; the certificate is yet to come."""
    options = 0
    for number in config.get("ssl-option"):
        options |= number
    directory: str = config.get("sni-dir") or ""
    if directory and not os.path.isdir(directory):
        raise ConfigError("there is no such directory", "sni-dir", directory, config.source("sni-dir"))
    return TLSSettings(
        CertificateSettings("", ""),
        sni=_names(config, "sni"),
        sni_regexp=_names(config, "sni-regexp"),
        sni_dir=os.path.abspath(directory) if directory else "",
        sni_dir_ciphers=config.get("sni-dir-ciphers") or "",
        export_cert=config.get("https-export-cert"),
        options=options,
    )


def _https2(shared: TLSSettings, value: str, source: Optional[str]) -> Port:
    """One `--https2`.

    Source: uwsgi_opt_https2 of uWSGI's http plugin for the keys. There `spdy=1` offers SPDY, which HTTP/2 has taken the place of.
    """
    http2 = True
    if "=" in value.partition(",")[0].lstrip("="):
        given = {}
        for item in value.split(","):
            key, equals, text = item.partition("=")
            if key == "spdy" and text in ("0", "1"):
                http2 = text == "1"
            elif key in _HTTPS2_KEYS and equals:
                given[_HTTPS2_KEYS[key]] = text
            else:
                raise ConfigError(f"{item!r} is not known here; write it as {_HTTPS2_FORM}", "https2", value, source)
        address = given.get("addr", "")
        files = ",".join(given.get(key, "") for key in ("cert", "key", "ciphers", "ca")).rstrip(",")
    else:
        address, _, files = value.partition(",")
    if not address or not files:
        raise ConfigError(f"write it as {_HTTPS2_FORM}", "https2", value, source)
    if http2 and find_spec("h2") is None:
        raise ConfigError("HTTP/2 needs the package h2: pip install geuwsgi[http2], or give https", "https2", value, source)
    certificate = _certificate(files, "https2", value, source, _HTTPS2_FORM)
    alpn = WITH_HTTP2 if http2 else shared.alpn
    return Port("https2", address, source, replace(shared, certificate=certificate, alpn=alpn))


def _names(config: Config, option: str) -> tuple[tuple[str, CertificateSettings], ...]:
    found = []
    form = f"NAME {_SNI_FORM}" if option == "sni" else f"PATTERN {_SNI_FORM}"
    for index, value in enumerate(config.get(option)):
        name, space, files = value.partition(" ")
        source = config.source(option, index)
        if not space:
            raise ConfigError(f"write it as {form}", option, value, source)
        if option == "sni-regexp":
            _check_pattern(name, option, value, source)
        found.append((name, _certificate(files.strip(), option, value, source, form)))
    return tuple(found)


def _check_pattern(pattern: str, option: str, value: str, source: Optional[str]) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"no regular expression: {error}", option, value, source) from None


def _certificate(files: str, option: str, value: str, source: Optional[str], form: str) -> CertificateSettings:
    """Paths are taken from where the server was started, as in uWSGI."""
    parts = files.split(",", 3)
    if len(parts) < 2 or not parts[0] or not parts[1]:
        raise ConfigError(f"write it as {form}", option, value, source)
    cert, key, ciphers, authority = [*parts, "", ""][:4]
    if authority:
        mandatory = "!" if authority.startswith("!") else ""
        path = authority[len(mandatory) :]
        if not path:
            raise ConfigError("behind the ! stands the file with the authorities of clients' certificates", option, value, source)
        authority = mandatory + os.path.abspath(path)
    return CertificateSettings(os.path.abspath(cert), os.path.abspath(key), ciphers, authority)


# -- a certificate for localhost


def make_certificate() -> tuple[str, str]:
    """A new certificate for this machine, signed by itself, and its key, in PEM form. Good for 30 days.

    Raises:
        ConfigError: there is no `openssl`, or it fails.
    """
    program = shutil.which("openssl")
    if program is None:
        raise ConfigError("the program openssl, which makes the certificate, is not installed; install it, or use https", "https-dev")
    with tempfile.TemporaryDirectory() as folder:
        cert, key = Path(folder, "cert.pem"), Path(folder, "key.pem")
        config = Path(folder, "openssl.cnf")  # not the system's, which may ask for anything
        config.write_text(
            "[req]\ndistinguished_name=name\nprompt=no\nx509_extensions=more\n[name]\nCN=localhost\n[more]\n"
            "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n"
        )
        command = [program, "req", "-x509", "-config", str(config), "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-nodes", "-days", "30", "-keyout", str(key), "-out", str(cert)]
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode:
            raise ConfigError(f"openssl cannot make a certificate: {made.stderr.strip()}", "https-dev")
        return cert.read_text(), key.read_text()
