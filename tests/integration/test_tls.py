"""TLS as a user has it: options, real clients, reloads, and the real uWSGI beside it."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Callable

import psutil
import pytest
import requests
import websocket

from tests.harness.certificates import certificates
from tests.harness.ports import accepts, free_ports
from tests.harness.programs import APPS, find_program
from tests.harness.servers import UWSGI, Geuwsgi
from tests.harness.wait import wait_until

StartServer = Callable[..., Geuwsgi]
Run = Callable[..., subprocess.CompletedProcess[str]]


def listen(*more: str, cert: str = "", key: str = "") -> str:
    return ",".join(["127.0.0.1:0", cert or certificates().cert, key or certificates().key, *more])


def serial(port: int) -> str:
    """Of the certificate that is shown."""
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(sock) as wrapped:
            shown = wrapped.getpeercert(True)
            assert shown is not None
            return ssl.DER_cert_to_PEM_cert(shown)


def get(port: int, **options: Any) -> requests.Response:
    return requests.get(f"https://127.0.0.1:{port}/", verify=certificates().ca, timeout=10, **options)


def open_websocket(port: int) -> websocket.WebSocket:
    return websocket.create_connection(f"wss://127.0.0.1:{port}/ws", sslopt={"ca_certs": certificates().ca}, timeout=10)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """A certificate and key of one's own, which may be changed."""
    return certificates().issue("own", "127.0.0.1", folder=tmp_path)


@pytest.mark.parametrize("option", ["--https", "--https-socket"])
def test_requests_and_websockets(shared_server: StartServer, option: str) -> None:
    running = shared_server("tls.py", option, listen())
    with requests.Session() as session:
        for _ in range(3):
            answer = session.get(f"https://127.0.0.1:{running.port}/", verify=certificates().ca, timeout=10)
            assert answer.json() == {"HTTPS": "on", "wsgi.url_scheme": "https", "SERVER_PORT": str(running.port)}
    client = open_websocket(running.port)
    client.send("hello")
    assert client.recv() == "hello"
    client.close()
    assert f"serving https://127.0.0.1:{running.port}" in running.log


def test_curl(shared_server: StartServer) -> None:
    running = shared_server("tls.py", "--https", listen())
    url = f"https://127.0.0.1:{running.port}/"
    for version in ("--tlsv1.2", "--tlsv1.3"):
        command = [find_program("curl"), "-sS", "--fail", "--cacert", certificates().ca, version, "--tls-max", version[-3:], url, url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count('"on"') == 2


@pytest.mark.parametrize("mandatory", ["", "!"])
def test_the_environ_is_uwsgis(server: StartServer, uwsgi_server: Callable[..., UWSGI], mandatory: str) -> None:
    files = ",".join((certificates().cert, certificates().key, "HIGH", mandatory + certificates().client_ca))
    seen = []
    ours, (theirs,) = server("tls.py", "--https", f"127.0.0.1:0,{files}", "--https-export-cert").port, free_ports(1)
    uwsgi_server("tls.py", "--https", f"127.0.0.1:{theirs},{files}", "--https-export-cert")
    wait_until(lambda: accepts(theirs), 20, "uWSGI's router")
    for port in (ours, theirs):
        found = []
        for cert in (certificates().client, None):
            try:
                environ = get(port, cert=cert).json()
            except requests.exceptions.RequestException:
                found.append("refused")
            else:
                environ.pop("SERVER_PORT")
                found.append(environ)
        seen.append(found)
    for name in {*seen[0][0], *seen[1][0]}:
        assert seen[0][0].get(name) == seen[1][0].get(name), name
    assert seen[0] == seen[1]
    assert sorted(seen[0][0]) == ["HTTPS", "HTTPS_CC", "HTTPS_CLIENT_CERTIFICATE", "HTTPS_DN", "wsgi.url_scheme"]
    assert (seen[0][1] == "refused") == bool(mandatory)


def _call(client: websocket.WebSocket, *command: Any) -> Any:
    """One command of channels.py; what the channel says meanwhile is left aside."""
    client.send(json.dumps(command))
    while True:
        answer = client.recv()
        if isinstance(answer, str) and answer.startswith("["):
            kind, value = json.loads(answer)
            assert kind == "=", value
            return value


def test_a_channel_with_members_on_plain_and_tls_ports_of_two_workers(server: StartServer) -> None:
    arguments = ("--http", "127.0.0.1:0", "--https", listen(), "-p", "2", "--gevent", "100")
    running = server("channels.py", *arguments)
    plain, secure = (int(address.rpartition(":")[2]) for address in running.addresses)
    members = [websocket.create_connection(f"ws://127.0.0.1:{plain}/", timeout=10) for _ in range(4)]
    members += [
        websocket.create_connection(f"wss://127.0.0.1:{secure}/", sslopt={"ca_certs": certificates().ca}, timeout=10) for _ in range(4)
    ]
    try:
        for member in members:
            _call(member, "join", "room")
        for sender in (members[0], members[-1]):
            for size in (10, 20_000):
                _call(sender, "send_others", "room", "x" * size)
                for member in members:
                    if member is not sender:
                        assert member.recv() == "x" * size
    finally:
        for member in members:
            member.close()


def test_a_slow_member_on_a_tls_port_loses_whole_messages_only(server: StartServer) -> None:
    running = server("channels.py", "--https", listen(), "--channel-queue", "5", "--websockets-ping-freq", "0")
    options: Any = {"sslopt": {"ca_certs": certificates().ca}, "timeout": 10, "sockopt": ((socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),)}
    slow, sender = (websocket.create_connection(f"wss://127.0.0.1:{running.port}/", **options) for _ in range(2))
    _call(slow, "join", "room")
    for _ in range(20):
        _call(sender, "send_many", "room", 60_000, 10)
    assert _call(sender, "channels")["room"]["dropped"] > 0
    heard = 0
    while (message := slow.recv()) != "the last":
        assert len(message) == 60_006
        heard += 1
        _call(sender, "send", "room", "the last")  # lost, too, while there is no room
    assert 5 <= heard < 200
    slow.shutdown()
    sender.shutdown()


def test_http_to_https(server: StartServer, uwsgi_server: Callable[..., UWSGI]) -> None:
    ours = server("tls.py", "--https", listen(), "--http-to-https", "127.0.0.1:0,8443", "--http-to-https", "127.0.0.1:0")
    (theirs,) = free_ports(1)
    uwsgi_server("tls.py", "--https", listen(), "--http-to-https", f"127.0.0.1:{theirs},8443")
    wait_until(lambda: accepts(theirs), 20, "uWSGI's router")
    ports = [int(address.rpartition(":")[2]) for address in ours.addresses[1:]]
    for target in ("/", "/a/b?c=d&e=%20", "/a//b"):
        answers = []
        for port in (ports[0], theirs):
            answer = requests.get(f"http://127.0.0.1:{port}{target}", allow_redirects=False, timeout=10)
            answers.append((answer.status_code, answer.headers["Location"]))
        assert answers[0] == answers[1] == (301, f"https://127.0.0.1:8443{target}")
    answer = requests.post(f"http://127.0.0.1:{ports[1]}/x", data=b"y" * 100_000, allow_redirects=False, timeout=10)
    assert answer.headers["Location"] == "https://127.0.0.1/x"


@pytest.mark.parametrize("host", ["", "Host: a b", "Host: evil/path", "Host: [::1"])
def test_http_to_https_without_a_usable_host(shared_server: StartServer, host: str) -> None:
    running = shared_server("tls.py", "--https", listen(), "--http-to-https", "127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", int(running.addresses[1].rpartition(":")[2])), 5) as sock:
        sock.sendall(f"GET / HTTP/1.{1 if host else 0}\r\n{host}{host and chr(13) + chr(10)}\r\n".encode())
        assert sock.recv(1000).startswith(b"HTTP/1.1 400 Bad Request")


@pytest.mark.parametrize("master", [[], ["--master", "-p", "2"]], ids=["alone", "master"])
def test_a_reload_reads_the_certificates_again(server: StartServer, pair: tuple[str, str], tmp_path: Path, master: list[str]) -> None:
    running = server("tls.py", "--https", listen(cert=pair[0], key=pair[1]), "--websockets-drain", "0", *master)
    port = running.port
    client = open_websocket(port)
    before = serial(port)
    assert before in Path(pair[0]).read_text()
    certificates().issue("own", "127.0.0.1", folder=tmp_path)
    assert serial(port) == before
    running.signal(signal.SIGHUP)
    opcode, data = client.recv_data()
    assert (opcode, int.from_bytes(data[:2], "big")) == (websocket.ABNF.OPCODE_CLOSE, 1012)
    client.shutdown()
    wait_until(lambda: running.log.count("geuwsgi 0.1.0 serving") == 2, 20, "the reload")
    wait_until(lambda: _shown(port) in Path(pair[0]).read_text(), 20, "the new certificate")
    assert get(port).ok


def _shown(port: int) -> str:
    try:
        return serial(port)
    except OSError:
        return "nothing"


def test_a_reload_with_certificates_that_do_not_belong_together(server: StartServer, pair: tuple[str, str], tmp_path: Path) -> None:
    running = server("tls.py", "--https", listen(cert=pair[0], key=pair[1]), "--master")
    before = serial(running.port)
    other = certificates().issue("other", "127.0.0.1", folder=tmp_path)
    kept = Path(pair[1]).read_bytes()
    Path(pair[1]).write_bytes(Path(other[1]).read_bytes())
    running.signal(signal.SIGHUP)
    running.wait_log(f"the key in {pair[1]} does not belong to the certificate in {pair[0]}")
    running.wait_log("the reload has failed: 1 workers of before it go on")
    assert serial(running.port) == before
    Path(pair[1]).write_bytes(kept)
    running.signal(signal.SIGHUP)
    wait_until(lambda: running.log.count("geuwsgi 0.1.0 serving") == 2, 20, "the reload")
    assert get(running.port).ok


def test_without_a_master_such_a_reload_does_not_happen(server: StartServer, pair: tuple[str, str], tmp_path: Path) -> None:
    running = server("tls.py", "--https", listen(cert=pair[0], key=pair[1]))
    before = Path(pair[0]).read_text()
    Path(pair[0]).write_text("nonsense")
    running.signal(signal.SIGHUP)
    running.wait_log(f"{pair[0]} holds no certificate in PEM form")
    running.wait_log("no reload with this configuration, everything goes on as before")
    assert _shown(running.port) in before
    certificates().issue("own", "127.0.0.1", folder=tmp_path)
    running.signal(signal.SIGHUP)
    wait_until(lambda: _shown(running.port) in Path(pair[0]).read_text(), 20, "the new certificate")


def test_a_new_worker_reads_the_certificates_again(server: StartServer, pair: tuple[str, str], tmp_path: Path) -> None:
    running = server("tls.py", "--https", listen(cert=pair[0], key=pair[1]), "--master")
    certificates().issue("own", "127.0.0.1", folder=tmp_path)
    for worker in psutil.Process(running.pid).children():
        worker.kill()
    wait_until(lambda: _shown(running.port) in Path(pair[0]).read_text(), 20, "the new certificate")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_a_key_that_only_root_may_read() -> None:
    nobody = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory(prefix="gt") as name:
        folder = Path(name).resolve()
        folder.chmod(0o777)
        cert, key = certificates().issue("own", "127.0.0.1", folder=folder)
        shutil.copy(APPS / "tls.py", folder)
        os.chmod(key, 0o600)
        arguments = ("--https", listen(cert=cert, key=key), "--master", "--uid", "nobody", "--gid", str(nobody.pw_gid))
        running = Geuwsgi(folder, None, "--wsgi-file", "tls.py", *arguments, cwd=folder, env={"PYTHONDONTWRITEBYTECODE": "1"})
        before = serial(running.port)
        assert "cannot be read" not in running.log
        running.signal(signal.SIGHUP)
        wait_until(lambda: running.log.count("geuwsgi 0.1.0 serving") == 2 or "cannot execute" in running.log, 20, "the reload")
        if "cannot execute" not in running.log:  # an interpreter below /root is for root only
            assert f"{key} cannot be read any more (Permission denied)" in running.log
        assert serial(running.port) == before
        running.finish()


def test_a_certificate_for_localhost(server: StartServer, run_geuwsgi: Run, tmp_path: Path) -> None:
    find_program("openssl")
    running = server("tls.py", "--https-dev", "127.0.0.1:0", "--master")
    shown = serial(running.port)
    (tmp_path / "ca.pem").write_text(shown)
    for host in ("localhost", "127.0.0.1"):
        answer = requests.get(f"https://{host}:{running.port}/", verify=str(tmp_path / "ca.pem"), timeout=10)
        assert answer.json()["wsgi.url_scheme"] == "https"
    running.signal(signal.SIGHUP)
    wait_until(lambda: running.log.count("geuwsgi 0.1.0 serving") == 2, 20, "the reload")
    assert serial(running.port) == shown  # nobody has to accept it again
    failed = run_geuwsgi("--https-dev", "127.0.0.1:0", "--wsgi-file", "x.py", env={"PATH": ""})
    assert failed.returncode == 1
    assert "https-dev: the program openssl, which makes the certificate, is not installed" in failed.stderr


def test_many_names(server: StartServer, tmp_path: Path) -> None:
    cert, key = certificates().issue("named", "named.test", folder=tmp_path)
    ini = tmp_path / "app.ini"
    ini.write_text(f"[uwsgi]\nhttps = {listen()}\nsni = named.test {cert},{key}\nsni-dir = {tmp_path}\n")
    running = server("tls.py", "--ini", str(ini))
    for name, expected in (("named.test", "named.test"), ("localhost", "localhost")):
        with socket.create_connection(("127.0.0.1", running.port), 5) as sock:
            with certificates().context().wrap_socket(sock, server_hostname=name) as wrapped:
                shown: Any = wrapped.getpeercert()
                assert shown["subjectAltName"][0] == ("DNS", expected)


@pytest.mark.parametrize("more", [["--reuse-port", "-p", "2", "--master"], ["-p", "2"]], ids=["reuse-port", "shared"])
def test_several_workers(server: StartServer, more: list[str]) -> None:
    running = server("tls.py", "--https", listen(), *more)
    for _ in range(10):
        assert get(running.port).ok


def test_a_unix_socket(server: StartServer, tmp_path: Path) -> None:
    running = server("tls.py", "--https-socket", f"{tmp_path}/s,{certificates().cert},{certificates().key}")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(running.address)
        with certificates().context().wrap_socket(sock, server_hostname="localhost") as wrapped:
            wrapped.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert wrapped.recv(1000).startswith(b"HTTP/1.0 200 OK")


def test_relative_paths_begin_where_the_server_was_started(server: StartServer, pair: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    arguments = ("--https", "127.0.0.1:0,own.crt,own.key", "--chdir", "elsewhere", "--master")
    running = server("tls.py", *arguments, cwd=tmp_path)
    assert serial(running.port) in Path(pair[0]).read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--https", ":0"], "--https = :0: write it as ADDR,CERT,KEY[,CIPHERS[,CLIENT_CA]]"),
        (["--https", ":0,a"], "--https = :0,a: write it as ADDR,CERT,KEY[,CIPHERS[,CLIENT_CA]]"),
        (["--https", ":0,/no/a,/no/b"], "--https: /no/a cannot be read: No such file or directory"),
        (["--https", ":0,/no/a,/no/b,,!"], "behind the ! stands the file"),
        (["--https-dev", "127.0.0.1:0", "--sni", "name"], "--sni = name: write it as NAME CERT,KEY[,CIPHERS[,CLIENT_CA]]"),
        (["--https-dev", "127.0.0.1:0", "--sni-regexp", "( a,b"], "--sni-regexp = ( a,b: no regular expression: "),
        (["--https-dev", "127.0.0.1:0", "--sni-dir", "/no/dir"], "--sni-dir = /no/dir: there is no such directory"),
        (["--http", ":0", "--sni", "a b,c"], "--sni: does nothing without https"),
        (["--http", ":0", "--https-export-cert"], "--https-export-cert: does nothing without https"),
        (["--http-to-https", ":0,x"], "the port of the https server is a number from 1 to 65535"),
    ],
)
def test_mistakes(run_geuwsgi: Run, arguments: list[str], complaint: str) -> None:
    done = run_geuwsgi(*arguments, "--wsgi-file", "app.py")
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_the_answer_is_json(server: StartServer) -> None:
    running = server("tls.py", "--https", listen(), "--threads", "4")
    assert json.loads(get(running.port).text)["HTTPS"] == "on"
