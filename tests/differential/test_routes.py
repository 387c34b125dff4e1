"""The internal routing: the same rules and the same requests under the real uWSGI and under geuwsgi.

The rules of all requests stand in one table, as they would in one configuration, so that they also have to leave each other alone. A
request whose answer may differ says why; when it does not differ, the test fails.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Callable, NamedTuple

import pytest

from tests.harness.servers import Server

pytestmark = pytest.mark.differential

APP = Path(__file__).with_name("routes_app.py")

RULES = """
collect-header = X-Sendfile X_SENDFILE
pull-header = X-Pulled PULLED
route = ^/send-status$ clearheaders:404 Not Found
route = ^/send-status$ addheader:X-A: b
route = ^/send-status$ send:hello ${PATH_INFO}
route = ^/send-status$ send-crnl: you
route = ^/send-status$ break:
route = ^/send-bare$ send:hello
route = ^/send-bare$ break:
route = ^/clear-only$ clearheaders:404 Not Found
route = ^/break$ break:
route = ^/break500$ break:500
route = ^/break403$ break:403 Forbidden here
route = ^/break999$ break:999
route = ^/break-var$ break:403 ${PATH_INFO}
route = ^/return404$ return:404
route = ^/return503$ break-with-status:503
route = ^/red/(.*)$ redirect:/x/$1?${QUERY_STRING}
route = ^/red301/(.*)$ redirect-301:/x/$1
route = ^/red302/(.*)$ redirect-302:http://${HTTP_X_TO}/$1
route = ^/perm/ redirect-permanent:/y
route = ^/dollar/(.*)$ redirect:/$$1/$2/$x/${NOPE}/$/$0/${X
route = ^/rewrite/(.*)$ rewrite:/new/$1?a=$1
route = ^/rewrite-plain/(.*)$ rewrite:/new/$1
route = ^/rewrite-last/ rewrite-last:/last
route = ^/last$ addheader:X-After-Last: yes
route = ^/rewrite-last/ addheader:X-Never: yes
route = ^/del$ delheader:X-App
route = ^/del-add$ delheader:x-app
route = ^/del-add$ addheader:X-App: mine
route = ^/auth$ basicauth:My Realm,u:p
route = ^/auth-user$ basicauth:My Realm,kratos:
route = ^/auth-never$ basicauth:My Realm,
route = ^/auth-next$ basicauth-next:A,u:p
route = ^/auth-next$ basicauth:B,v:q
route = ^/auth-file$ basicauth:F,HTPASSWD
route = ^/goto$ goto:there
route = ^/goto$ addheader:X-Not: here
route-label = there
route = ^/goto$ addheader:X-There: yes
route = ^/goto-dynamic/(.*)$ goto:$1
route = ^/goto-dynamic/ addheader:X-Not: here
route-label = dyn
route = ^/goto-dynamic/ addheader:X-Dyn: yes
route-user-agent = ^$ addheader:X-No-Agent: yes
route-user-agent = curl addheader:X-Curl: yes
route-host = ^a\\.example$ addheader:X-Host: a
route-uri = ^/uri\\?(.*)$ addheader:X-Uri: $1
route-qs = ^q=(\\d+)&r=(.*)$ addheader:X-Qs: $2 $1
route-remote-addr = ^127\\.0\\.0\\.1$ addvar:V=local
route-remote-user = ^u$ addheader:X-User: u
route-referer = example addheader:X-Referer: ${HTTP_REFERER}
route-if = empty:${HTTP_X_EMPTY} addheader:X-Empty: yes
route-if = equal:${PATH_INFO};/eq addheader:X-Eq: yes
route-if = startswith:${PATH_INFO};/start addheader:X-Start: yes
route-if = endswith:${PATH_INFO};.end addheader:X-End: yes
route-if = contains:${PATH_INFO};mid addheader:X-Mid: yes
route-if = contains:${PATH_INFO};${qs[nothing]} addheader:X-Nothing: yes
route-if = regexp:${PATH_INFO};^/re/(.)(.) addheader:X-Re: $2$1
route-if-not = regexp:${PATH_INFO};^/plain addheader:X-Not-Plain: ${PATH_INFO}
route-if = exists:FOLDER${PATH_INFO} addheader:X-Exists: yes
route-if = isfile:FOLDER${PATH_INFO} addheader:X-File: yes
route-if = isdir:FOLDER${PATH_INFO} addheader:X-Dir: yes
route-if = islink:FOLDER${PATH_INFO} addheader:X-Link: yes
route-if = isexec:FOLDER${PATH_INFO} addheader:X-Exec: yes
route-if = ishigher:${qs[n]};5 addheader:X-Higher: yes
route-if = ishigherequal:${qs[n]};5 addheader:X-Higher-Equal: yes
route-if = <:${qs[n]};5 addheader:X-Lower: yes
route-if = islowerequal:${qs[n]};5 addheader:X-Lower-Equal: yes
route-if = ipv4in:${HTTP_X_IP};10.0.0.0/8 addheader:X-Ten: yes
route-if = ipv6in:${HTTP_X_IP};2001:db8::/32 addheader:X-Doc: yes
route = ^/vars$ addheader:X-Cookie: [${cookie[a]}|${cookie[b]}|${cookie[none]}]
route = ^/vars$ addheader:X-Qs-Item: [${qs[a]}|${qs[b]}|${qs[none]}]
route = ^/vars$ addheader:X-Base64: ${base64[PATH_INFO]}
route = ^/vars$ addheader:X-Hex: ${hex[PATH_INFO]}
route = ^/vars$ addheader:X-Wid: ${uwsgi[wid]} ${uwsgi[status]}
route = ^/set$ setmethod:PUT
route = ^/set$ setuser:joe:password
route = ^/set$ setremoteaddr:10.1.2.3
route = ^/set$ seturi:/other?x
route = ^/set$ setscriptname:/app
route = ^/set$ setpathinfo:/changed
route = ^/fix/ setscriptname:/fix
route = ^/fix/ fixpathinfo:
route = ^/math$ addvar:V=10
route = ^/math$ +:V,5
route = ^/math$ -:V,3
route = ^/math$ *:V,2
route = ^/math$ +:V
route = ^/crlf/(.*)$ addvar:W=$1
route = ^/continue continue:
route = ^/continue addheader:X-Never: yes
route = ^/case$ addheader:X-Case: yes
route = ^/file$ file:filename=FOLDER/a.txt,status=203 Mine,content_type=text/x
route = ^/file-gone$ file:filename=FOLDER/gone
route = ^/file-next$ file-next:filename=FOLDER/gone
route = ^/sendfile$ sendfile:filename=FOLDER/a.txt
route = ^/static$ static:FOLDER/a.txt
route = ^/static-gone$ static:FOLDER/gone
route = ^/static-next$ static-next:FOLDER/gone
error-route-status = 404 addheader:X-Err: ${PATH_INFO}
error-route-status = 500 redirect:/sorry
error-route = ^/missing/replaced redirect:/found
error-route-if = equal:${PATH_INFO};/missing/label goto:over
error-route = ^/missing/label addheader:X-Not: here
error-route-label = over
response-route = ^/del-late$ delheader:X-App
response-route = ^/resp addheader:X-Resp: ${uwsgi[status]}
response-route-status = 200 addheader:X-Fine: yes
response-route = ^/rred$ redirect:/other
response-route = ^/rsend$ send:pre
response-route = ^/pulled$ addheader:X-Was: ${PULLED}
response-route-if-not = empty:${X_SENDFILE} static:${X_SENDFILE}
final-route-status = 404 log:not found: ${PATH_INFO}
final-route-run = logvar:a=b
"""

_HANGS_UP = "uWSGI hangs up, here it is an error's status"
_NO_HEAD = "uWSGI sends the text without any head"


class Case(NamedTuple):
    """A request, and why its answer may differ from uWSGI's."""

    target: str
    headers: tuple[str, ...] = ()
    differs: str = ""
    method: str = "GET"


#: Requests without a header of their own, answered alike.
_ALIKE = """
        /plain /send-status /break /break500 /break403 /break999 /return404 /return503 /red/a?q=1 /red301/b /perm/x
        /rewrite/x%20y?b=2 /rewrite/x /rewrite-plain/x?b=2 /rewrite-last/x /del /del-add /auth /auth-user /auth-never /auth-next
        /auth-file /goto /goto-dynamic/dyn /uri?a=b /x?q=12&r=z%20y /eq /eqq /start/x /x/start /x.end /x.ends /amidst /re/ab
        /re/a /a.txt /sub /link /gone /run.sh /?n=5 /?n=6 /?n=4 /?n=x /?n=-1 /vars?a=1&b=2 /set /fix/x /math /continue /case
        /CASE /file-next /static-next /missing /missing/replaced /missing/label /resp /rred /rsend /pulled
"""

CASES = [
    *map(Case, _ALIKE.split()),
    Case("/send-bare", differs=_NO_HEAD),
    Case("/x/../break403"),
    Case("/x/%2e%2e/break403"),
    Case("/rewrite/a/./../b//../c/.."),
    Case("/break-var", differs="the status may have variables here, as uWSGI's documents have it"),
    Case("/dollar/abc"),
    Case("/clear-only", differs="the answer is the application's: no error-route for a status that is never sent"),
    Case("/del-late", differs="uWSGI takes away only what is set later"),
    Case("/crlf/a%0d%0ab", differs="uWSGI lets clients write headers"),
    Case("/file"),
    Case("/sendfile"),
    Case("/file-gone", differs=_HANGS_UP),
    Case("/static"),
    Case("/static-gone", differs=_HANGS_UP),
    Case("/goto-dynamic/nowhere", differs=_HANGS_UP),
    Case("/red302/c", ("X-To: b.example",)),
    Case("/x", ("User-Agent: curl/8",)),
    Case("/x", ("User-Agent:",)),
    Case("/x", ("Host: a.example",)),
    Case("/x", ("Referer: http://example.org/",)),
    Case("/x", ("X-Empty: no",)),
    Case("/x", ("X-IP: 10.2.3.4",)),
    Case("/x", ("X-IP: 11.2.3.4",)),
    Case("/x", ("X-IP: nonsense",)),
    Case("/x", ("X-IP: 2001:db8:1::1",)),
    Case("/vars?b=", ("Cookie: b=2; a=1; none",)),
    Case("/vars", ("Cookie: aa=1;a = 3",)),
    Case("/auth", ("Authorization: Basic dTpw",)),
    Case("/auth", ("Authorization: Basic dTpx",)),
    Case("/auth", ("Authorization: Basic !!!",)),
    Case("/auth", ("Authorization: Bearer dTpw",)),
    Case("/auth-user", ("Authorization: Basic a3JhdG9zOg==",)),
    Case("/auth-user", ("Authorization: Basic a3JhdG9zOng=",)),
    Case("/auth-never", ("Authorization: Basic dTpw",)),
    Case("/auth-next", ("Authorization: Basic dTpw",)),
    Case("/auth-next", ("Authorization: Basic djpx",)),
    Case("/auth-next", ("Authorization: Basic dTpx",)),
    Case("/auth-file", ("Authorization: Basic dTpw",)),
    Case("/auth-file", ("Authorization: Basic dTpx",)),
    Case("/auth-file", ("Authorization: Basic c2hhOnB3",)),
    Case("/xs?FOLDER/a.txt"),
    Case("/xs?FOLDER/gone", differs="uWSGI sends the head and no body"),
    Case("/missing", method="HEAD", differs="uWSGI sends a body"),
    Case("/return404", method="HEAD", differs="uWSGI sends a body"),
    Case("/plain", method="POST"),
]

#: Headers that are each server's own affair.
_OWN = {"date", "connection", "content-length", "etag", "accept-ranges", "last-modified", "keep-alive"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "files"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("a file\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("a.txt")
    # "p" in the old crypt() and "pw" in SHA-1.
    (root / "htpasswd").write_text("u:ab8Smhzf5D4wA\nsha:{SHA}HJH2rNX5/2UOQ4lc7wEGe4jxMFc=\n")
    return root


def transcript(server: Server, case: Case, folder: Path) -> Any:
    """Status, headers and body, or what came if it is no response."""
    host = () if any(line.startswith("Host:") for line in case.headers) else ("Host: h.example",)
    lines = [f"{case.method} {case.target} HTTP/1.1".replace("FOLDER", str(folder)), *host, "Connection: close", *case.headers]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        data = b"".join(iter(lambda: client.recv(65536), b""))
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        return data
    status, *fields = head.decode("latin-1").split("\r\n")
    # The reason is the application's or the rule's; HTTP/1.1 or 1.0 is not of interest.
    pairs = [(name.lower(), value.strip()) for name, _, value in (field.partition(":") for field in fields)]
    return status.partition(" ")[2], sorted(pair for pair in pairs if pair[0] not in _OWN), body


def arguments(folder: Path) -> list[str]:
    found = []
    for line in RULES.replace("FOLDER", str(folder)).replace("HTPASSWD", str(folder / "htpasswd")).strip().splitlines():
        name, _, value = line.partition(" = ")
        found += ["--" + name, value]
    return found


def test_same_answers(server: Callable[..., Server], uwsgi_server: Callable[..., Server], folder: Path) -> None:
    given = arguments(folder)
    plugins = [f"router_{name}" for name in ("static", "redirect", "rewrite", "basicauth")]
    mime = folder / "mime.types"
    mime.write_text("text/plain txt\n")
    theirs = uwsgi_server(str(APP), "--plugin", ",".join(plugins), "--mimefile", str(mime), *given, debian=True)
    ours = server(str(APP), "--mimefile", str(mime), *given)
    wrong = []
    for case in CASES:
        mine, real = transcript(ours, case, folder), transcript(theirs, case, folder)
        if (mine == real) is bool(case.differs):
            wrong.append(f"{case.method} {case.target} {case.headers} {case.differs}\n    uWSGI:   {real}\n    geuwsgi: {mine}")
    assert not wrong, "\n".join(wrong)
    for log in (theirs.log, ours.log):
        assert "not found: /missing" in log
