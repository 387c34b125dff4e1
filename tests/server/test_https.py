"""The handshake: names, clients' certificates, and what goes wrong in it."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any

import gevent
import pytest

from geuwsgi.server.settings import CertificateSettings
from tests.harness.certificates import certificates
from tests.server.secured import Peer, serving_tls
from tests.server.serving import PLAIN, wait_for


def told(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [PLAIN])
    return [repr({name: environ[name] for name in sorted(environ) if name.startswith("HTTPS_")}).encode()]


def _log(capfd: pytest.CaptureFixture[str]) -> str:
    text: str = capfd.readouterr().err
    assert "Traceback" not in text
    return text


def _common_name(peer: Any) -> str:
    subject = peer.ssl.getpeercert()["subjectAltName"]
    return str(subject[0][1])


def _settings(client_ca: str = "") -> CertificateSettings:
    found = certificates()
    return CertificateSettings(found.cert, found.key, client_ca=client_ca)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_certificate_that_is_asked_for(version: ssl.TLSVersion, capfd: pytest.CaptureFixture[str]) -> None:
    with serving_tls(told, certificate=_settings(certificates().client_ca), export_cert=True) as server:
        without = server.connect(context=certificates().context(version=version)).ask("/").body
        assert without == b"{}"
        with_one = eval(server.connect(context=certificates().context(True, version)).ask("/").body)
    assert sorted(with_one) == ["HTTPS_CC", "HTTPS_CLIENT_CERTIFICATE", "HTTPS_DN"]
    pem = Path(certificates().client).read_text()
    assert with_one["HTTPS_CC"] in pem
    assert ssl.PEM_cert_to_DER_cert(with_one["HTTPS_CC"]) == with_one["HTTPS_CLIENT_CERTIFICATE"].encode("latin-1")
    assert re.fullmatch(r"/O=Engines/OU=R\\/D\\\+X/CN=Ada L\\xC3\\xB6velace", with_one["HTTPS_DN"]), with_one["HTTPS_DN"]
    assert _log(capfd) == ""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_certificate_that_is_demanded(version: ssl.TLSVersion, capfd: pytest.CaptureFixture[str]) -> None:
    with serving_tls(told, certificate=_settings("!" + certificates().client_ca)) as server:
        with pytest.raises(ssl.SSLError):
            server.connect(context=certificates().context(version=version)).ask("/")
        assert server.server.total_requests == 0
        assert b"HTTPS_DN" in server.connect(context=certificates().context(True, version)).ask("/").body
    assert _log(capfd) == "127.0.0.1: no TLS connection: peer did not return a certificate\n"


@pytest.mark.parametrize("mandatory", ["", "!"])
def test_a_certificate_of_somebody_else(mandatory: str, capfd: pytest.CaptureFixture[str]) -> None:
    context = certificates().context()
    context.load_cert_chain(certificates().cert, certificates().key)
    with serving_tls(told, certificate=_settings(mandatory + certificates().client_ca)) as server:
        with pytest.raises(ssl.SSLError):
            server.connect(context=context).ask("/")
        assert server.server.total_requests == 0
    assert _log(capfd).startswith("127.0.0.1: no TLS connection: certificate verify failed: ")


def test_names(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = certificates()
    a, b, c, d = (
        CertificateSettings(*found.issue(name, host, folder=tmp_path))
        for name, host in (("a", "a.test"), ("b", "*.b.test"), ("c", "c3.test"), ("d.test", "d.test"))
    )
    assert d.cert == str(tmp_path / "d.test.crt")
    with serving_tls(told, sni=(("A.test", a), ("*.b.test", b)), sni_regexp=((r"^c\d\.test$", c),), sni_dir=str(tmp_path)) as server:
        for name, expected in (
            ("a.test", "a.test"),
            ("x.b.test", "*.b.test"),
            ("c3.test", "c3.test"),
            ("d.test", "d.test"),
            ("localhost", "localhost"),
            (None, "localhost"),
        ):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                client = server.connect(context=found.context(version=version), name=name)
                assert _common_name(client.sock) == expected
                assert client.ask("/").code == 200
        context = found.context()
        context.check_hostname = False
        assert _common_name(server.connect(context=context, name="nobody.test").sock) == "localhost"
    assert _log(capfd) == ""


def test_a_name_has_demands_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    found = certificates()
    strict = CertificateSettings(*found.issue("strict", "strict.test"), client_ca="!" + found.client_ca)
    with serving_tls(told, sni=(("strict.test", strict),)) as server:
        assert server.connect().ask("/").body == b"{}"
        with pytest.raises(ssl.SSLError):
            server.connect(name="strict.test").ask("/")
        assert b"HTTPS_DN" in server.connect(name="strict.test", context=found.context(True)).ask("/").body
    assert _log(capfd) == "127.0.0.1: no TLS connection: peer did not return a certificate\n"


def test_a_host_with_other_demands_than_the_name_of_the_handshake(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = certificates()
    strict = CertificateSettings(*found.issue("strict", "strict.test"), client_ca="!" + found.client_ca)
    lax = CertificateSettings(*found.issue("lax", "lax.test"))
    found.issue("d.test", "d.test", folder=tmp_path)
    (tmp_path / "d.test.ca").write_text(Path(found.client_ca).read_text())
    asked = (
        *(("/", "localhost:8443", 200), ("/", "lax.test", 200), ("/", "127.0.0.1", 200), ("/", "strict.test", 421)),
        *(("/", "STRICT.test.:8443", 421), ("/", "d.test", 421), ("https://strict.test/", "localhost", 421), ("/", "localhost", 200)),
    )
    with serving_tls(told, sni=(("strict.test", strict), ("lax.test", lax)), sni_dir=str(tmp_path)) as server:
        for name in ("localhost", "lax.test", None):
            client = server.connect(name=name)
            for target, host, code in asked:
                client.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                assert client.answer().code == code, (name, host)
        client = server.connect(name="strict.test", context=found.context(True))
        for host in ("strict.test:8443", "strict.test", "lax.test"):
            client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert client.answer().code == 200
    lines = _log(capfd).splitlines()
    assert len(lines) == 12
    assert lines[0] == (
        "127.0.0.1: GET /: 421 Misdirected Request: strict.test asks its clients for certificates, and was not named in the handshake"
    )


def test_files_of_a_name_in_the_directory_change(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = certificates()
    with serving_tls(told, sni_dir=str(tmp_path)) as server:
        found.issue("d.test", "d.test", "old.test", folder=tmp_path)
        assert len(server.connect(name="d.test").sock.ssl.getpeercert()["subjectAltName"]) == 2
        found.issue("d.test", "d.test", folder=tmp_path)
        assert len(server.connect(name="d.test").sock.ssl.getpeercert()["subjectAltName"]) == 1
        (tmp_path / "d.test.key").write_text("nonsense")
        assert len(server.connect(name="d.test").sock.ssl.getpeercert()["subjectAltName"]) == 1
    assert "d.test.key holds no private key in PEM form" in _log(capfd)


def test_plain_http(capfd: pytest.CaptureFixture[str]) -> None:
    with serving_tls(told) as server:
        client = server.plain()
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = client.answer()
        assert (answer.code, answer.body) == (400, b"This port speaks https, and that was no TLS\n")
        assert client.closed()
    assert _log(capfd) == "127.0.0.1: 400 Bad Request: plain HTTP to a TLS port\n"


def test_nonsense_and_an_old_version(capfd: pytest.CaptureFixture[str]) -> None:
    with serving_tls(told) as server:
        client = server.plain()
        client.send(b"\x00\x01\x02nonsense" * 10)
        assert len(client.rest()) <= 7  # an alert, at most
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with pytest.raises(ssl.SSLError):
            server.connect(context=context)
    log = _log(capfd).splitlines()
    assert len(log) == 2, log
    assert all(line.startswith("127.0.0.1: no TLS connection: ") for line in log), log


def test_who_comes_and_goes_is_no_news(capfd: pytest.CaptureFixture[str]) -> None:
    with serving_tls(told) as server:
        server.plain().close()
        client = server.plain()
        client.send(b"\x16\x03\x01")
        client.close()
        wait_for(lambda: server.server.connections == set(), "the end of both")
    assert _log(capfd) == ""


def test_a_stalled_handshake_costs_its_own_time_only(capfd: pytest.CaptureFixture[str]) -> None:
    with serving_tls(told, http={"headers_timeout": 2}) as server:
        hello = Peer(server.address, shake=False)
        with pytest.raises(ssl.SSLWantReadError):
            hello.ssl.do_handshake()
        first_word = hello.outgoing.read()
        hello.close()
        stalled = [server.plain() for _ in range(30)]
        for index, client in enumerate(stalled):
            client.send(first_word[: index * 10])
        wait_for(lambda: len(server.server.connections) >= 30, "all of them")
        assert server.server.running == {}
        assert server.connect().ask("/").code == 200  # nobody else waits
        wait_for(lambda: len(server.server.connections) <= 1, "the end of all of them")
        for client in stalled:
            client.rest()
    assert set(_log(capfd).splitlines()) == {"127.0.0.1: the TLS handshake did not end within 2 seconds"}


def test_a_stalled_handshake_does_not_hold_up_the_end() -> None:
    with serving_tls(told) as server:
        server.plain().send(b"\x16\x03\x01\x02")
        wait_for(lambda: server.server.connections, "the connection")
        with gevent.Timeout(20):
            server.server.stop(60)


def test_a_handshake_that_drips_in() -> None:
    with serving_tls(told) as server:
        peer = Peer(server.address, shake=False)
        done = False
        while not done:
            try:
                peer.ssl.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            for byte in peer.outgoing.read():
                peer.sock.sendall(bytes([byte]))
                gevent.sleep(0)
            if not done:
                peer.incoming.write(peer.sock.recv(65536))
        peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert peer.recv(100).startswith(b"HTTP/1.0 200 OK")
        peer.close()


def test_the_client_refuses_the_certificate(capfd: pytest.CaptureFixture[str]) -> None:
    with serving_tls(told) as server:
        peer = Peer(server.address, ssl.create_default_context(), shake=False)
        with pytest.raises(ssl.SSLCertVerificationError):
            peer.shake_hands()
        peer.sock.sendall(peer.outgoing.read())
        assert peer.sock.recv(10) == b""
        peer.close()
    assert _log(capfd) == "127.0.0.1: no TLS connection: tlsv1 alert unknown ca\n"


def test_behind_a_proxy_protocol_header() -> None:
    def address(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [PLAIN])
        return [environ["REMOTE_ADDR"].encode()]

    with serving_tls(address, proxied=True) as server:
        peer = Peer(server.address, shake=False)
        peer.sock.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.8 1000 443\r\n")
        peer.shake_hands()
        peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
        data = b""
        while part := peer.recv(1000):
            data += part
        assert data.endswith(b"192.0.2.7")
        peer.close()


def test_sessions_are_resumed() -> None:
    with serving_tls(told) as server:
        context = certificates().context(version=ssl.TLSVersion.TLSv1_2)
        first = server.connect(context=context)
        first.ask("/")
        second = Peer(server.address, context, shake=False)
        second.ssl = context.wrap_bio(second.incoming, second.outgoing, server_hostname="localhost", session=first.sock.ssl.session)
        second.shake_hands()
        assert second.ssl.session_reused
        second.close()
