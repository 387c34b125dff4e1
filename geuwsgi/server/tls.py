"""Certificates: what a TLS port shows to whom, and what it asks of its clients.

The files are read before `--chroot` and `--uid`, and kept, because a new worker and a reload may not be able to read them any more.
"""

from __future__ import annotations

import os
import re
import ssl
import tempfile
from collections.abc import Sequence
from typing import Any, NoReturn, Optional

from ..errors import ConfigError, HTTPError
from ..log import log
from .settings import CertificateSettings, TLSSettings

#: The names in a subject as OpenSSL abbreviates them. Source: X509_NAME_oneline(3), objects.txt of OpenSSL.
_SHORT_NAMES = {
    "commonName": "CN",
    "countryName": "C",
    "domainComponent": "DC",
    "givenName": "GN",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "stateOrProvinceName": "ST",
    "surname": "SN",
    "userId": "UID",
}

#: What a name may consist of to be looked for in the directory of `--sni-dir`.
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9])?", re.ASCII)


#: Behind a host.
_PORT = re.compile(r":[0-9]*$", re.ASCII)


class Unusable(Exception):
    """A certificate, key or list of ciphers cannot be used; says why and what to do."""


class Pems:
    """Files with certificates and keys, and what stood in them when they were last readable.

    Args:
        kept: path -> contents, from the image of this process before a reload.
        made: those of them that are the names of no files.
    """

    def __init__(self, kept: Optional[dict[str, str]] = None, made: Sequence[str] = ()) -> None:
        self.kept: dict[str, str] = dict(kept or {})
        self._made = made
        self._stamps: dict[str, Any] = {}

    def read(self, path: str) -> tuple[str, bool]:
        """The contents, and whether they are those of now.

        Raises:
            Unusable: the file is not there, or cannot be read and never could.
        """
        if path in self._made:
            return self.kept[path], False
        try:
            self._stamps[path] = _stamp(path)
            with open(path, encoding="latin-1") as file:
                self.kept[path] = text = file.read()
            return text, True
        except OSError as error:
            if path in self.kept:
                log(f"{path} cannot be read any more ({error.strerror}): what stood in it before is still used")
                return self.kept[path], False
            raise Unusable(f"{path} cannot be read: {error.strerror}") from None

    def changed(self) -> bool:
        """Whether a file is another one than the one that was read. One that is out of reach is not."""
        return any(found not in (None, stamp) for path, stamp in self._stamps.items() for found in [_stamp(path)])


def _stamp(path: str) -> Any:
    try:
        found = os.stat(path)
        return found.st_mtime_ns, found.st_size, found.st_ino
    except OSError:
        return None


class TLSContext:
    """What one TLS port answers with.

    Args:
        settings: certificates, names and habits.
        pems: reads the files.
        option: the option that named the port, for the error message.
        source: where that stood.

    Attributes:
        default: OpenSSL's context for a client that asks for no name, or for one that nobody has.

    Raises:
        ConfigError: something cannot be used.
    """

    def __init__(self, settings: TLSSettings, pems: Pems, option: str = "", source: Optional[str] = None) -> None:
        self.settings = settings
        self._pems = pems
        self._choice: Optional[ssl.SSLContext] = None
        try:
            self._load()
        except Unusable as error:
            raise ConfigError(str(error), option, None, source) from None

    def _load(self) -> None:
        settings = self.settings
        default = self._make(settings.certificate)
        names = {name.lower(): self._make(certificate) for name, certificate in settings.sni}
        patterns = [(re.compile(pattern), self._make(certificate)) for pattern, certificate in settings.sni_regexp]
        if names or patterns or settings.sni_dir:
            _on_name(default, self._choose)
        # All of it or nothing: a context of before goes on when one of the new ones cannot be made.
        self.default = default
        #: Hosts may make different demands on the client's certificate.
        self._demanding = bool(settings.sni_dir) or (
            bool(names or patterns) and any(made.verify_mode for made in (default, *names.values(), *(made for _, made in patterns)))
        )
        self._names = names
        self._patterns = patterns
        #: Name -> the stamps of its files and the context, of `--sni-dir`.
        self._from_directory: dict[str, tuple[Any, ssl.SSLContext]] = {}

    def reload(self) -> None:
        """Read the files again. When they cannot be used the log says so, and what was there before goes on."""
        try:
            self._load()
        except Unusable as error:
            log(f"geuwsgi: {error}; the certificates of before are still used")

    def _make(self, certificate: CertificateSettings) -> ssl.SSLContext:
        return make_context(certificate, self._pems, self.settings.alpn, self.settings.options)

    # -- names

    def _choose(self, ssl_object: Any, name: Optional[str], context: ssl.SSLContext) -> Optional[int]:
        """OpenSSL has read the name in the client's first word.

        To give OpenSSL another context here would leave the demands on the client's certificate as they were; so the handshake is
        stopped, and begun anew with the same bytes (see `https`).
        """
        self._choice = self.find(name) if name else None
        return None if self._choice is None else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    def take_choice(self) -> Optional[ssl.SSLContext]:
        """After a handshake with `default` has failed: the context to begin it anew with, None when that is not why."""
        choice, self._choice = self._choice, None
        return choice

    def find(self, name: str) -> Optional[ssl.SSLContext]:
        """The context for a name, None for the default one.

        Source: uwsgi_sni_cb of uWSGI: exact names first, then patterns, then the directory. Unlike there, names are compared without regard
        to case, and `*.example.com` stands for one label.
        """
        name = name.lower()
        found = self._names.get(name) or self._names.get("*." + name.partition(".")[2])
        if found is not None:
            return found
        for pattern, context in self._patterns:
            if pattern.search(name):
                return context
        return self._look_up(name) if self.settings.sni_dir else None

    def _look_up(self, name: str) -> Optional[ssl.SSLContext]:
        # uWSGI takes any name for a part of a path, "../../etc" too.
        if not _HOST_NAME.fullmatch(name) or ".." in name:
            return None
        base = os.path.join(self.settings.sni_dir, name)
        stamps = _stamp(base + ".crt"), _stamp(base + ".key"), _stamp(base + ".ca")
        if stamps[0] is None or stamps[1] is None:
            return None
        known = self._from_directory.get(name)
        if known is not None and known[0] == stamps:
            return known[1]
        authority = base + ".ca" if stamps[2] is not None else ""
        try:
            # Not kept: whoever makes use of a directory wants its present state.
            wanted = CertificateSettings(base + ".crt", base + ".key", self.settings.sni_dir_ciphers, authority)
            context = make_context(wanted, Pems(), self.settings.alpn, self.settings.options)
        except Unusable as error:
            log(f"geuwsgi: sni-dir: {error}")
            return known[1] if known is not None else None
        self._from_directory[name] = stamps, context
        return context

    def guard(self, ssl_object: ssl.SSLObject) -> Optional[HostGuard]:
        """What keeps a connection from hosts that demand other things of the client; None where no host demands anything."""
        return HostGuard(self, ssl_object.context) if self._demanding else None

    # -- what the application is told

    def describe(self, ssl_object: ssl.SSLObject, environ: dict[str, Any]) -> None:
        """Put into an environ what it says about the client's certificate.

        Source: hr_https_add_vars of uWSGI's http plugin.
        """
        certificate = ssl_object.getpeercert(True)
        if certificate:
            environ["HTTPS_CLIENT_CERTIFICATE"] = certificate.decode("latin-1")
            subject: Any = (ssl_object.getpeercert() or {}).get("subject", ())
            environ["HTTPS_DN"] = one_line(subject)
            if self.settings.export_cert:
                environ["HTTPS_CC"] = ssl.DER_cert_to_PEM_cert(certificate)


class HostGuard:
    """Keeps one connection to the hosts whose demands on the client's certificate it was made under.

    A client says in the handshake which host it wants, and in each request again. Where the two differ, it would get with the demands of
    the one what is kept for clients of the other.

    Source: RFC 9110 section 15.5.20 for the status; nginx refuses such requests in the same way. uWSGI does not.

    Args:
        tls: the certificates of the port.
        context: the one of the connection.
    """

    __slots__ = ("_context", "_good", "_tls")

    def __init__(self, tls: TLSContext, context: ssl.SSLContext) -> None:
        self._tls = tls
        self._context = context
        self._good = ""

    def check(self, environ: dict[str, Any]) -> None:
        """Look at a request.

        Raises:
            HTTPError: 421: it belongs on a connection of its own.
        """
        host: str = environ.get("HTTP_HOST", "")
        if host == self._good:
            return  # which it always is with browsers
        name = _PORT.sub("", host).rstrip(".")
        context = self._tls.find(name) or self._tls.default
        if context is not self._context and context.verify_mode:
            raise HTTPError("421 Misdirected Request", f"{name} asks its clients for certificates, and was not named in the handshake")
        self._good = host


def _on_name(context: ssl.SSLContext, callback: Any) -> None:
    """`sni_callback`, past gevent, whose own wrapping of it knows sockets only."""
    plain: Any = next(kind for kind in reversed(type(context).__mro__) if "sni_callback" in vars(kind))
    plain.sni_callback.__set__(context, callback)


def make_context(certificate: CertificateSettings, pems: Pems, alpn: Sequence[str] = (), options: int = 0) -> ssl.SSLContext:
    """OpenSSL's context for one certificate.

    Args:
        certificate: the files, the ciphers, the demands on clients.
        pems: reads the files.
        alpn: protocols that are offered, the preferred one first.
        options: bits that are added (`--ssl-option`).

    Raises:
        Unusable: why not.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client that begins anew and again costs a signature each time.
    context.options |= getattr(ssl, "OP_NO_RENEGOTIATION", 0) | options
    _load_pair(context, certificate.cert, certificate.key, pems)
    if certificate.ciphers:
        try:
            context.set_ciphers(certificate.ciphers)
        except ssl.SSLError:
            raise Unusable(f"OpenSSL knows none of the ciphers {certificate.ciphers!r}; see `openssl ciphers`") from None
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    if certificate.client_ca:
        # As in uWSGI: without "!" a client may come without a certificate, but not with a wrong one.
        mandatory = certificate.client_ca.startswith("!")
        path = certificate.client_ca[mandatory:]
        try:
            context.load_verify_locations(cadata=_certificates(pems.read(path)[0]))
        except (ssl.SSLError, ValueError):
            raise Unusable(f"{path} holds no certificate in PEM form") from None
        context.verify_mode = ssl.CERT_REQUIRED if mandatory else ssl.CERT_OPTIONAL
    context.set_alpn_protocols(list(alpn) or ["http/1.1"])
    return context


def _certificates(text: str) -> str:
    """The certificates in a file that may hold remarks between them."""
    return "\n".join(re.findall(r"-----BEGIN [A-Z ]*CERTIFICATE-----.*?-----END [A-Z ]*CERTIFICATE-----", text, re.DOTALL))


def _load_pair(context: ssl.SSLContext, cert: str, key: str, pems: Pems) -> None:
    (cert_text, cert_there), (key_text, key_there) = pems.read(cert), pems.read(key)
    if "CERTIFICATE-----" not in cert_text:
        raise Unusable(f"{cert} holds no certificate in PEM form")
    if "PRIVATE KEY-----" not in key_text:
        raise Unusable(f"{key} holds no private key in PEM form")
    try:
        if cert_there and key_there:
            context.load_cert_chain(cert, key, _no_password)
            if "BEGIN DH PARAMETERS" in cert_text:
                context.load_dh_params(cert)
        else:
            # OpenSSL reads from files only.
            with tempfile.NamedTemporaryFile("w", encoding="latin-1") as file:
                file.write(cert_text + "\n" + key_text)
                file.flush()
                context.load_cert_chain(file.name, None, _no_password)
    except _Encrypted:
        raise Unusable(f"{key} asks for a passphrase, which nobody can give here; `openssl pkey -in {key}` removes it") from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise Unusable(f"the key in {key} does not belong to the certificate in {cert}") from None
        raise Unusable(f"OpenSSL cannot use {cert} with {key}: {error.reason or error}") from None
    except OSError as error:  # gone since, or no room for the temporary one
        raise Unusable(f"{cert} and {key} cannot be given to OpenSSL: {error.strerror or error}") from None


class _Encrypted(Exception):
    pass


def _no_password() -> NoReturn:
    raise _Encrypted


def one_line(subject: Sequence[Sequence[tuple[str, str]]]) -> str:
    r""" "/C=IT/O=Example/CN=ada", as OpenSSL's X509_NAME_oneline writes a subject: "+" before what belongs to the same part, "\/" and
    "\+" where a value has them.

    Args:
        subject: as `getpeercert` has it.
    """
    found = []
    for part in subject:
        for index, (name, value) in enumerate(part):
            found.append(f"{'+' if index else '/'}{_SHORT_NAMES.get(name, name)}={''.join(map(_shown, value.encode('utf-8')))}")
    return "".join(found)


def _shown(byte: int) -> str:
    if byte in b"/+":
        return "\\" + chr(byte)
    return chr(byte) if 32 <= byte <= 126 else f"\\x{byte:02X}"
