"""Certificates: which files can be used, and what is said of those that cannot."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from geuwsgi.errors import ConfigError
from geuwsgi.server.settings import CertificateSettings, TLSSettings
from geuwsgi.server.tls import Pems, TLSContext, Unusable, make_context, one_line
from tests.harness.certificates import certificates
from tests.harness.programs import find_program
from tests.server.secured import tls_context


def _why(certificate: CertificateSettings) -> str:
    with pytest.raises(Unusable) as caught:
        make_context(certificate, Pems())
    return str(caught.value)


def test_what_cannot_be_used(tmp_path: Path) -> None:
    found = certificates()
    other_key = found.issue("unlike", "unlike.test", folder=tmp_path)[1]
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing\n")
    encrypted = tmp_path / "encrypted.pem"
    command = [find_program("openssl"), "pkey", "-in", found.key, "-aes128", "-passout", "pass:secret", "-out", str(encrypted)]
    subprocess.run(command, check=True, capture_output=True)
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert _why(CertificateSettings("/no/cert", found.key)) == "/no/cert cannot be read: No such file or directory"
    assert _why(CertificateSettings(str(nothing), found.key)) == f"{nothing} holds no certificate in PEM form"
    assert _why(CertificateSettings(found.cert, str(nothing))) == f"{nothing} holds no private key in PEM form"
    assert _why(CertificateSettings(found.cert, other_key)) == f"the key in {other_key} does not belong to the certificate in {found.cert}"
    assert _why(CertificateSettings(found.cert, str(encrypted))).startswith(f"{encrypted} asks for a passphrase")
    assert _why(CertificateSettings(str(broken), found.key)).startswith(f"OpenSSL cannot use {broken} with")
    assert _why(CertificateSettings(found.cert, found.key, "NONSENSE")).startswith("OpenSSL knows none of the ciphers 'NONSENSE'")
    assert _why(CertificateSettings(found.cert, found.key, "", str(nothing))) == f"{nothing} holds no certificate in PEM form"
    assert _why(CertificateSettings(found.cert, found.key, "", "!/no/ca")) == "/no/ca cannot be read: No such file or directory"


def test_the_message_names_option_and_file() -> None:
    with pytest.raises(ConfigError) as caught:
        TLSContext(TLSSettings(CertificateSettings("/no/cert", "/no/key")), Pems(), "https", "app.ini:3")
    assert str(caught.value) == "app.ini:3: https: /no/cert cannot be read: No such file or directory"


def test_what_was_read_once_is_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cert, key = certificates().issue("kept", "kept.test", folder=tmp_path)
    before = Pems()
    make_context(CertificateSettings(cert, key), before)
    os.unlink(key)
    after = Pems(before.kept)
    make_context(CertificateSettings(cert, key), after)
    assert capfd.readouterr().err == f"{key} cannot be read any more (No such file or directory): what stood in it before is still used\n"
    assert after.kept == before.kept


def test_no_place_for_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk, or below a root directory without one for temporary files."""
    cert, key = certificates().issue("kept", "kept.test", folder=tmp_path)
    before = Pems()
    make_context(CertificateSettings(cert, key), before)
    os.unlink(key)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(Unusable, match=f"^{cert} and {key} cannot be given to OpenSSL: No such file or directory"):
        make_context(CertificateSettings(cert, key), Pems(before.kept))


def test_new_files_are_read_again_and_bad_ones_are_not(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cert, key = certificates().issue("fresh", "fresh.test", folder=tmp_path)
    pems = Pems()
    tls = TLSContext(TLSSettings(CertificateSettings(cert, key)), pems)
    first = tls.default
    assert not pems.changed()
    certificates().issue("fresh", "fresh.test", folder=tmp_path)
    assert pems.changed()
    tls.reload()
    assert tls.default is not first
    assert not pems.changed()
    second = tls.default
    Path(key).write_text("nonsense")
    assert pems.changed()
    tls.reload()
    assert tls.default is second
    assert "holds no private key in PEM form; the certificates of before are still used" in capfd.readouterr().err


def test_names_that_are_no_names_of_files(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    certificates().issue("outside", "outside.test", folder=tmp_path)
    certificates().issue("inside", "inside.test", folder=folder)
    tls = tls_context(sni_dir=str(folder))
    assert tls.find("inside") is tls.find("INSIDE") is not None
    for name in ("../outside", "../folder/inside", "/inside", ".", "..", "inside\0", "inside/", "\u0131nside", "-", ""):
        assert tls.find(name) is None, name


def test_a_subject_in_one_line() -> None:
    subject = (
        (("countryName", "IT"),),
        (("organizationName", "A/B"), ("title", "+")),
        (("commonName", "ä\n"),),
        (("emailAddress", "a@b"),),
    )
    assert one_line(subject) == r"/C=IT/O=A\/B+title=\+/CN=\xC3\xA4\x0A/emailAddress=a@b"
