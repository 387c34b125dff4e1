"""What rules do, as a client sees it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from geuwsgi.server.routes.actions.auth import in_file
from geuwsgi.server.routes.engine import FINAL, REQUEST
from geuwsgi.server.settings import StaticSettings
from tests.server.routes.rules import compiled, context, ruled
from tests.server.serving import PLAIN


def environ_of(rules: str, **environ: Any) -> dict[str, Any]:
    """The environ after some request rules."""
    routes = compiled(rules)
    found = context(routes, **environ)
    routes.run(REQUEST, found)
    return found.environ


# -- order


def test_rules_come_in_order_whatever_they_look_at() -> None:
    rules = """
    route-if = equal:${PATH_INFO};/x addvar:V=1
    route = ^/(.) addvar:V=${V}2$1
    route-run = addvar:V=${V}3$1
    route-host = ^h$ addvar:V=${V}4
    route-host = ^i$ addvar:V=${V}5
    route-run = last:
    route-run = addvar:V=never
    """
    assert environ_of(rules, PATH_INFO="/x", HTTP_HOST="h")["V"] == "12x34"


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("route", "PATH_INFO"),
        ("route-host", "HTTP_HOST"),
        ("route-uri", "REQUEST_URI"),
        ("route-qs", "QUERY_STRING"),
        ("route-remote-addr", "REMOTE_ADDR"),
        ("route-remote-user", "REMOTE_USER"),
        ("route-referer", "HTTP_REFERER"),
        ("route-user-agent", "HTTP_USER_AGENT"),
    ],
)
def test_subjects(option: str, name: str) -> None:
    assert environ_of(f"{option} = b(.) addvar:V=$1", **{name: "abc"})["V"] == "c"
    assert "V" not in environ_of(f"{option} = ^ addvar:V=$1")  # what was not sent matches nothing


def test_goto() -> None:
    rules = """
    route = ^/(\\d+) goto:$1
    route = ^/a goto:second
    route-run = addvar:V=${V}0
    route-label = first
    route-run = addvar:V=${V}1
    route-label = second
    route-run = addvar:V=${V}2
    """
    assert environ_of(rules, PATH_INFO="/")["V"] == "012"
    assert environ_of(rules, PATH_INFO="/a")["V"] == "2"
    assert environ_of(rules, PATH_INFO="/4")["V"] == "12"  # the number of a rule, labels counted


def test_goto_nowhere_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with ruled("route = ^/(.*) goto:$1\nroute-label = there") as server:
        assert server.ask("/nowhere").code == 500
        assert server.ask("/0").code == 500
        assert server.ask("/" + "9" * 5000).code == 500
        assert server.ask("/there").body == b"app /there"
    log = capfd.readouterr().err
    assert '"goto:nowhere": there is no such label ahead' in log
    assert "Traceback" not in log


# -- the request


@pytest.mark.parametrize(
    ("action", "environ", "expected"),
    [
        ("setenv:A=b=c", {}, {"A": "b=c"}),
        ("setpathinfo:/y$0", {}, {"PATH_INFO": "/y/x/1"}),
        ("setscriptname:/s", {}, {"SCRIPT_NAME": "/s"}),
        ("seturi:/u?v", {}, {"REQUEST_URI": "/u?v"}),
        ("sethost:h", {}, {"HTTP_HOST": "h"}),
        ("setqs:a=b", {}, {"QUERY_STRING": "a=b"}),
        ("setmethod:PUT", {}, {"REQUEST_METHOD": "PUT"}),
        ("setremoteaddr:${HTTP_X_REAL_IP}", {"HTTP_X_REAL_IP": "10.0.0.1"}, {"REMOTE_ADDR": "10.0.0.1"}),
        ("setdocroot:/srv", {}, {"DOCUMENT_ROOT": "/srv"}),
        ("setapp:/two", {}, {"UWSGI_APPID": "/two"}),
        ("setuser:a:b", {}, {"REMOTE_USER": "a"}),
        ("setscheme:https", {}, {"wsgi.url_scheme": "https", "UWSGI_SCHEME": "https"}),
        ("fixpathinfo:", {"SCRIPT_NAME": "/x"}, {"PATH_INFO": "/1"}),
        ("fixpathinfo:", {"SCRIPT_NAME": "/other"}, {"PATH_INFO": "/x/1"}),
        ("rewrite:/n/$1", {"QUERY_STRING": "q"}, {"PATH_INFO": "/n/1", "QUERY_STRING": "q"}),
        ("rewrite:/n?a=$1", {"QUERY_STRING": "q"}, {"PATH_INFO": "/n", "QUERY_STRING": "a=1&q"}),
        ("rewrite:/n?a", {}, {"QUERY_STRING": "a"}),
        ("rewrite-last:/%41%2f", {}, {"PATH_INFO": "/A/"}),
        ("+:N", {"N": "41"}, {"N": "42"}),
        ("+:N,${M}", {"N": "1", "M": "2"}, {"N": "3"}),
        ("-:N,5", {"N": "1"}, {"N": "-4"}),
        ("*:N,3", {"N": "4"}, {"N": "12"}),
        ("/:N,2", {"N": "7"}, {"N": "3"}),
        ("/:N,2", {"N": "-7"}, {"N": "-3"}),
        ("/:N,0", {"N": "7"}, {"N": "0"}),
        ("uwsgi:,0,0,/two", {}, {"UWSGI_APPID": "/two"}),
    ],
)
def test_variables(action: str, environ: dict[str, str], expected: dict[str, str]) -> None:
    found = environ_of(f"route = ^/x/(.*) {action}", **{"PATH_INFO": "/x/1", **environ})
    assert {name: found.get(name) for name in expected} == expected


def test_the_application_sees_it() -> None:
    with ruled("route = ^/old/(.*) rewrite:/new/$1") as server:
        assert server.ask("/old/x%20y").body == b"app /new/x y"


# -- answers


@pytest.mark.parametrize(
    ("action", "status", "headers", "body"),
    [
        ("redirect:/y/$1", "302 Found", {"location": "/y/a b%"}, b"Moved"),
        ("redirect-302:/y", "302 Found", {"location": "/y"}, b"Moved"),
        ("redirect-301:http://h/${QUERY_STRING}", "301 Moved Permanently", {"location": "http://h/q=1"}, b"Moved Permanently"),
        ("redirect-permanent:/y", "301 Moved Permanently", {"location": "/y"}, b"Moved Permanently"),
        ("break:403 Go away", "403 Go away", {"connection": "close"}, b""),
        ("break:404", "404 Not Found", {"content-type": "text/plain"}, b""),
        ("break:999", "999 Unknown", {}, b""),
        ("break:403 ${REQUEST_METHOD}", "403 GET", {}, b""),
        ("return:404", "404 Not Found", {"content-type": "text/plain"}, b"Not Found"),
        ("return:503 x", "503 Service Unavailable", {}, b"Service Unavailable"),
        ("break-with-status:418", "418 I'm a Teapot", {}, b"I'm a Teapot"),
    ],
)
def test_answers(action: str, status: str, headers: dict[str, str], body: bytes) -> None:
    with ruled(f"route = ^/x/(.*) {action}\nroute-run = addheader:X-Never: x") as server:
        found = server.ask("/x/a%20b%25?q=1")
    assert found.status == f"HTTP/1.1 {status}"
    wanted = {name: value.replace("a b%", "a%20b%") for name, value in headers.items()}
    assert {name: found.headers.get(name) for name in wanted} == wanted
    assert found.body == body
    assert "x-never" not in found.headers


def test_a_redirect_cannot_be_split() -> None:
    with ruled("route = (?s)^/x/(.*) redirect:/y/$1") as server:
        found = server.ask("/x/%0d%0aSet-Cookie:%20a=b%ff")
    assert found.headers["location"] == "/y/%0D%0ASet-Cookie:%20a=b%FF"
    assert "set-cookie" not in found.headers


@pytest.mark.parametrize("action", ["break:", "disconnect:"])
def test_hanging_up(action: str) -> None:
    with ruled(f"route = ^/x {action}") as server:
        assert server.talk(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\nGET /y HTTP/1.1\r\nHost: a\r\n\r\n") == b""
        assert server.ask("/y").body == b"app /y"


def test_an_answer_keeps_the_connection() -> None:
    with ruled("route = ^/x return:404") as server:
        client = server.connect()
        assert client.ask("/x").code == 404
        assert client.ask("/x", "POST", body=b"unread").code == 404
        assert client.ask("/y").body == b"app /y"


def test_send() -> None:
    rules = """
    route = ^/status$ clearheaders:404 Gone ${PATH_INFO}
    route = ^/s send:hello ${PATH_INFO}
    route = ^/s send-crnl:!
    route = ^/status$ break:
    route = ^/stop$ break:
    """
    with ruled(rules) as server:
        found = server.ask("/status")
        assert (found.status, found.body) == ("HTTP/1.1 404 Gone /status", b"hello /status!\r\n")
        found = server.ask("/stop")
        assert (found.code, found.body) == (200, b"hello /stop!\r\n")
        found = server.ask("/say")  # in front of what the application says
        assert (found.headers["x-app"], found.body) == ("yes", b"hello /say!\r\napp /say")
        assert server.ask("/say", "HEAD").headers["content-length"] == str(len(found.body))


# -- files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.css").write_text("a{}")
    (tmp_path / "big").write_bytes(b"0123456789" * 20000)
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


def test_static(folder: Path) -> None:
    with ruled(f"route = ^/f/(.*) static:{folder}/$1\nroute = ^/n/(.*) static-next:{folder}/$1") as server:
        found = server.ask("/f/a.css")
        assert (found.code, found.headers["content-type"], found.body) == (200, "text/css", b"a{}")
        assert server.ask("/f/a.css", "GET", "Range: bytes=1-1").body == b"{"
        assert server.ask("/f/a.css", "GET", f"If-None-Match: {found.headers['etag']}").code == 304
        assert server.ask("/f/big").body == b"0123456789" * 20000
        for name in ("gone", "fifo", "", "a%00"):
            assert server.ask("/f/" + name).code == 404
            assert server.ask("/n/" + name).body.startswith(b"app ")


@pytest.mark.parametrize("action", ["file", "sendfile", "fastfile"])
def test_file(action: str, folder: Path) -> None:
    rules = f"""
    route = ^/a {action}:filename={folder}/a.css
    route = ^/b {action}:filename={folder}/a.css,status=404 Nothing here,mime=1
    route = ^/c {action}:filename={folder}/a.css,content_type=text/x,no_cl=1
    route = ^/d {action}:{folder}/big
    route = ^/gone {action}:{folder}/gone
    route = ^/fifo {action}:{folder}/fifo
    route = ^/next {action}-next:{folder}/gone
    """
    with ruled(rules) as server:
        found = server.ask("/a")
        assert (found.status, found.headers["content-type"], found.body) == ("HTTP/1.1 200 OK", "text/html", b"a{}")
        found = server.ask("/b")
        assert (found.status, found.headers["content-type"], found.body) == ("HTTP/1.1 404 Nothing here", "text/css", b"a{}")
        assert server.ask("/c").headers["content-type"] == "text/x"
        assert server.ask("/d").body == b"0123456789" * 20000
        assert server.ask("/a", "HEAD").headers["content-length"] == "3"
        assert server.ask("/gone").code == server.ask("/fifo").code == 404
        assert server.ask("/next").body == b"app /next"


def test_a_status_that_variables_made_and_that_is_none(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ruled(f"route = ^/s/(.*) file:filename={folder}/a.css,status=$1") as server:
        assert server.ask("/s/404").status == "HTTP/1.1 404 Not Found"
        for status in ("", "40", "2000", "099", "%d9%a3%d9%a3%d9%a3"):
            assert server.ask("/s/" + status).code == 500
    log = capfd.readouterr().err
    assert "[uwsgi-route] '2000' is no status" in log
    assert "Traceback" not in log


def test_rules_come_before_the_file_that_was_found(folder: Path) -> None:
    rules = "route = ^/s addheader:X-Rule: ${PATH_INFO}\nroute = secret break:403 No\nroute = ^/s/a rewrite:/elsewhere"
    (folder / "secret").write_text("s")
    with ruled(rules, static=StaticSettings(maps=(("/s", str(folder)),))) as server:
        found = server.ask("/s/a.css")
        assert (found.headers["x-rule"], found.body) == ("/s/a.css", b"a{}")
        assert server.ask("/s/secret").code == 403
        assert server.ask("/s/gone").body == b"app /s/gone"


# -- headers


def test_adding_and_removing_headers() -> None:
    rules = """
    add-header = X-All: yes
    del-header = X-Never
    route = ^/a addheader:X-One: ${PATH_INFO}
    route = ^/a addheader: X-Two :two
    route = ^/d delheader:x-APP
    route = ^/late remheader:X-None
    route = ^/never addheader:X-Never: added all the same
    route = ^/m mime:text/$1x
    route = ^/p mime:
    response-route = ^/late delheader:X-App
    response-route = ^/status addheader:X-Status: ${uwsgi[status]}
    """
    with ruled(rules) as server:
        found = server.ask("/a").headers
        assert (found["x-one"], found["x-two"], found["x-app"], found["x-all"]) == ("/a", "two", "yes", "yes")
        assert "x-app" not in server.ask("/d").headers
        assert "x-app" not in server.ask("/late").headers
        assert server.ask("/never").headers["x-never"] == "added all the same"  # as in uWSGI
        assert server.ask("/m").headers["content-type"] == "text/x"
        assert server.ask("/p.css").headers["content-type"] == "text/css"
        assert server.ask("/status").headers["x-status"] == "200"


def test_headers_that_frame_a_response_stay_right() -> None:
    rules = """
    route = ^/a addheader:Content-Length: 99
    route = ^/b addheader:Transfer-Encoding: chunked
    route = ^/c addheader:Connection: close
    route = ^/d delheader:Content-Length
    route = ^/e addheader:Date: today
    route = ^/e delheader:Date
    """

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [PLAIN, ("Content-Length", "2")])
        return [b"ok"]

    with ruled(rules, application) as server:
        for path in ("/a", "/b", "/c", "/d", "/e"):
            found = server.ask(path)
            assert (found.headers["content-length"], found.body) == ("2", b"ok")
        assert server.ask("/c").headers["connection"] == "close"
        assert server.ask("/e").headers["date"] == "today"


def test_a_header_cannot_be_split() -> None:
    with ruled("route = (?s)^/x/(.*) addheader:X-Path: $1\nroute = (?s)^/y/(.*) addheader:$1: x") as server:
        assert server.ask("/x/a%0d%0aSet-Cookie:%20b%00").headers["x-path"] == "a Set-Cookie: b"
        assert "x" not in server.ask("/y/a%0d%0ab").headers.values()


def test_a_client_does_not_lead_out_of_a_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "site" / "sub").mkdir(parents=True)
    (tmp_path / "site" / "..a").write_text("a")
    (tmp_path / "site" / "b").write_text("b")
    rules = f"""
    route = ^/1/(.*) static:{tmp_path}/site/$1
    route = ^/2(/.*) file:filename={tmp_path}/site$1
    route = ^/3/(.*) static-next:{tmp_path}/site/.$1
    route = ^/4/(.*) static:{tmp_path}/site/../$1
    """
    with ruled(rules) as server:
        for rule in "12":
            assert server.ask(f"/{rule}/..a").body == b"a"
            assert server.ask(f"/{rule}/sub/b").code == 404
            for path in ("%2e%2e/secret", "..%2fsecret", "sub/%2e%2e/%2e%2e/secret", "sub/..%2fb", "%2e%2e"):
                assert server.ask(f"/{rule}/{path}").body == b"Not Found", path
        assert server.ask("/3/.%2fsecret").body == b"app /3/./secret"
        assert server.ask("/4/secret").body == b"secret"  # what the rule says itself is its own affair
    assert capfd.readouterr().err.count("leads upwards") == 11


def test_expires(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.touch()
    os.utime(file, (1_700_000_000, 1_700_000_000))
    rules = f"""
    route = ^/a expires:filename={file},value=60
    route = ^/b expires:unix=1700000000
    route = ^/c expires:file={file}.gone
    route = ^/d expires:unix=${{HTTP_LONG}}
    """
    with ruled(rules) as server:
        assert server.ask("/a").headers["expires"] == "Tue, 14 Nov 2023 22:14:20 GMT"
        assert server.ask("/b").headers["expires"] == "Tue, 14 Nov 2023 22:13:20 GMT"
        assert "expires" not in server.ask("/c").headers
        assert server.ask("/d", "GET", "Long: " + "9" * 5000).headers["expires"] == "Fri, 31 Dec 9999 23:59:59 GMT"


CORS = "route-run = cors:https://a.example,https://b.example:8443,credentials,max-age=5"


def cors_headers(rules: str, origin: str, method: str = "GET", *headers: str) -> tuple[int, dict[str, str]]:
    with ruled(rules) as server:
        found = server.ask("/", method, *([f"Origin: {origin}"] if origin else []), *headers)
    return found.code, {name: value for name, value in found.headers.items() if name.startswith("access-control") or name == "vary"}


def test_cors() -> None:
    allowed = {
        "access-control-allow-origin": "https://b.example:8443",
        "access-control-allow-credentials": "true",
        "vary": "Origin",
    }
    preflight = {"access-control-allow-methods": "PUT", "access-control-allow-headers": "X-A, X-B", "access-control-max-age": "5"}
    asks = ("Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: X-A, X-B")
    assert cors_headers(CORS, "https://b.example:8443") == (200, allowed)
    assert cors_headers(CORS, "https://b.example:8443", "OPTIONS", *asks) == (204, {**allowed, **preflight})
    assert cors_headers(CORS, "https://b.example:8443", "OPTIONS") == (200, allowed)
    assert cors_headers(CORS, "https://evil.example") == (200, {"vary": "Origin"})
    assert cors_headers(CORS, "https://evil.example", "OPTIONS", *asks) == (200, {"vary": "Origin"})
    assert cors_headers(CORS, "") == (200, {"vary": "Origin"})
    assert cors_headers("route-run = cors:*", "https://x.example") == (200, {"access-control-allow-origin": "*"})


# -- names and passwords


@pytest.fixture
def htpasswd(tmp_path: Path) -> Path:
    """The password is always "p"; the kind apr1 is Apache's alone."""
    file = tmp_path / "htpasswd"
    file.write_text(
        "# a comment\n\n"
        "des:ab8Smhzf5D4wA\n"
        "sha:{SHA}UWuXg/ylF+7L0dBk2i0WUxCxl1k=\n"
        "sha256:$5$saltsalt$/Ia0VGUvcTZlBslv/3JC.aadLMBB39sZz0PNMe/f7y5\n"
        "apr1:$apr1$saltsalt$nSbaPWmGgGKcvP1yEuS1T/\n"
        "colon:{SHA}UWuXg/ylF+7L0dBk2i0WUxCxl1k=:more\n"
    )
    return file


def test_passwords_in_a_file(htpasswd: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert in_file(str(htpasswd), b"des:p")
    assert not in_file(str(htpasswd), b"des:q")
    for user in (b"sha", b"sha256", b"colon"):
        assert in_file(str(htpasswd), user + b":p")
    assert not in_file(str(htpasswd), b"sha:")
    assert not in_file(str(htpasswd), b"nobody:p")
    assert not in_file(str(htpasswd), b"# a comment:")
    assert not in_file(str(htpasswd), b"des:p\0")
    capfd.readouterr()
    assert not in_file(str(htpasswd), b"apr1:p")
    assert "use htpasswd -B" in capfd.readouterr().err
    assert not in_file(str(htpasswd) + ".gone", b"des:p")
    assert "No such file" in capfd.readouterr().err


def test_basicauth(htpasswd: Path) -> None:
    rules = f"""
    route = ^/user$ basicauth:The "Realm",u:p
    route = ^/file$ basicauth:R,{htpasswd}
    route = ^/two$ basicauth-next:R,u:p
    route = ^/two$ basicauth:R,v:q
    route-run = addheader:X-User: ${{REMOTE_USER}}
    """

    def ask(path: str, authorization: str = "") -> tuple[int, str]:
        found = server.ask(path, "GET", *([f"Authorization: {authorization}"] if authorization else []))
        return found.code, found.headers.get("x-user", found.headers.get("www-authenticate", ""))

    with ruled(rules) as server:
        assert ask("/user") == (401, 'Basic realm="The \\"Realm\\""')
        assert ask("/user", "Basic dTpw") == (200, "u")
        assert ask("/user", "basic  dTpw") == (200, "u")
        for wrong in ("Basic dTpx", "Basic dTp", "Basic", "Basic !", "Bearer dTpw", "Basic dTpwcA=="):
            assert ask("/user", wrong)[0] == 401
        assert ask("/file", "Basic ZGVzOnA=") == (200, "des")
        assert ask("/file", "Basic ZGVzOnE=")[0] == 401
        assert ask("/two", "Basic djpx") == (200, "v")
        assert ask("/two", "Basic dTpw") == (200, "u")
        assert ask("/two", "Basic dTpx")[0] == 401


# -- beside the request


def test_log_and_logvar(capfd: pytest.CaptureFixture[str]) -> None:
    rules = """
    route = ^/x log:someone called ${PATH_INFO}
    route = ^/x logvar:path=$0
    route = ^/quiet donotlog:
    final-route-status = 404 log:over ${uwsgi[status]} ${uwsgi[rsize]}
    """
    seen: list[Any] = []
    with ruled(rules, log_requests=True) as server:
        server.server.after_request = lambda request: seen.append((request.log, request.logvars))
        server.ask("/x%0aevil%ff")
        server.ask("/quiet")
        server.ask("/missing")
    assert seen == [(True, {"path": b"/x"}), (False, None), (True, None)]
    err = capfd.readouterr().err
    assert "someone called /x\\nevil\\xff\n" in err
    assert "over 404 12\n" in err
    assert "GET /quiet" not in err


def test_what_needs_the_worker() -> None:
    called: list[Any] = []
    routes = compiled(
        "route-run = harakiri:5\nroute-run = harakiri:0\nroute-run = setprocname:n${V}\nroute-run = signal:7", can_signal=True
    )
    routes.services.set_harakiri = lambda seconds: called.append(("harakiri", seconds))
    routes.services.set_process_name = lambda name: called.append(("name", name))
    routes.services.signal = lambda number: called.append(("signal", number))
    routes.run(REQUEST, context(routes, V="Ã¼"))
    assert called == [("harakiri", 5), ("name", "nü"), ("signal", 7)]


def test_chdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    with ruled(f"route = ^/d(.*) chdir:{tmp_path}$1") as server:
        assert server.ask("/d").code == 200
        assert Path.cwd() == tmp_path.resolve()
        assert server.ask("/d/gone").code == 500


def test_final_rules_see_the_end() -> None:
    routes = compiled("final-route-status = 404 addvar:V=not found")
    found = context(routes)
    found.request = SimpleNamespace(status="404 Not Found")  # type: ignore[assignment]
    routes.finish(found)
    assert found.environ["V"] == "not found"
    assert list(routes.chains) == [FINAL]


def test_rules_do_not_outlive_a_request() -> None:
    with ruled("route = ^/a addheader:X-A: a\nroute = ^/a delheader:X-App\nroute = ^/a send:text") as server:
        client = server.connect()
        assert client.ask("/a").body == b"textapp /a"
        found = client.ask("/b")
        assert (found.body, found.headers["x-app"], "x-a" in found.headers) == (b"app /b", "yes", False)
        assert re.fullmatch("200 OK", found.status[9:])
