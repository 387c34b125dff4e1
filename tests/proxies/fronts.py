"""Every way to reach a geuwsgi that serves all its protocols: directly, and through real front servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Callable

from tests.harness.haproxy import HAProxy
from tests.harness.nginx import PROXY_PASS, STREAMING, UWSGI_PASS, Nginx
from tests.harness.router import UWSGIRouter
from tests.harness.servers import Geuwsgi

#: As the application has it.
BLOCK = bytes(range(256)) * 256

BINDING = ("--http", "127.0.0.1:0", "--http-enable-proxy-protocol", "--http-socket", "127.0.0.1:0", "--socket", "127.0.0.1:0")

#: Those that speak the uwsgi protocol.
NGINX_UWSGI = ("nginx-uwsgi", "nginx-uwsgi-unix", "nginx-uwsgi-streaming")
NGINX_PROXY = ("nginx-proxy", "nginx-proxy-streaming")
NGINX = NGINX_UWSGI + NGINX_PROXY
HAPROXY_PROTOCOL = ("haproxy-v1", "haproxy-v2", "haproxy-tcp")
HAPROXY = ("haproxy", *HAPROXY_PROTOCOL)
ROUTER = "uwsgi-router"
#: geuwsgi's own front, to the same server.
OWN = ("geuwsgi-uwsgi", "geuwsgi-http")
ALL = (*NGINX, *HAPROXY, ROUTER, *OWN)


class Fronts:
    """The server, and what stands in front of it.

    Attributes:
        server: the geuwsgi.
        ports: name -> port.
    """

    def __init__(self, server: Any, folder: Path) -> None:
        self.server = server
        self.ports: dict[str, int] = {}
        self._folder = folder
        self._programs: list[Any] = []
        proxied, http, tcp, unix = server.addresses
        self._http = http
        self._makers: dict[str, Callable[[], dict[str, int]]] = {
            **dict.fromkeys(NGINX, lambda: self._nginx(http, tcp, unix)),
            **dict.fromkeys(HAPROXY, lambda: self._haproxy(http, proxied)),
            ROUTER: lambda: self._router(tcp),
            "geuwsgi-uwsgi": lambda: self._own("geuwsgi-uwsgi", tcp),
            "geuwsgi-http": lambda: self._own("geuwsgi-http", f"http://{http}"),
        }

    def port(self, name: str) -> int:
        """The port of a front server, which is started when it is first asked for."""
        if name not in self.ports:
            self.ports.update(self._makers[name]())
        return self.ports[name]

    def _folder_of(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def _nginx(self, http: str, tcp: str, unix: str) -> dict[str, int]:
        uwsgi = UWSGI_PASS.format(address=tcp)
        proxy = PROXY_PASS.format(address=http)
        locations = {
            "nginx-uwsgi": uwsgi,
            "nginx-uwsgi-unix": UWSGI_PASS.format(address="unix:" + unix),
            "nginx-uwsgi-streaming": uwsgi + STREAMING["uwsgi"],
            "nginx-proxy": proxy,
            "nginx-proxy-streaming": proxy + STREAMING["proxy"],
        }
        nginx = Nginx(self._folder_of("nginx"), locations)
        self._programs.append(nginx)
        return nginx.ports

    def _haproxy(self, http: str, proxied: str) -> dict[str, int]:
        forwarded = "option forwardfor\n    http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]"
        servers = {
            "haproxy": (http, forwarded, ""),
            "haproxy-v1": (proxied + " send-proxy", "", ""),
            "haproxy-v2": (proxied + " send-proxy-v2", "", ""),
            "haproxy-tcp": (proxied + " send-proxy-v2", "mode tcp", ""),
        }
        haproxy = HAProxy(self._folder_of("haproxy"), servers)
        self._programs.append(haproxy)
        return haproxy.ports

    def _router(self, tcp: str) -> dict[str, int]:
        router = UWSGIRouter(self._folder_of("router"), tcp, "--http-chunked-input")
        self._programs.append(router)
        return {ROUTER: router.port}

    def _own(self, name: str, backend: str) -> dict[str, int]:
        front = Geuwsgi(self._folder_of(name), None, "--http", "127.0.0.1:0", "--http-to", backend)
        self._programs.append(front)
        return {name: front.port}

    def kill(self) -> None:
        """End what stands in front."""
        for program in self._programs:
            program.kill()


@contextmanager
def fronts(start: Callable[..., Any], folder: Path, app: str, *arguments: str, **options: Any) -> Iterator[Fronts]:
    """Start a geuwsgi for all front servers; these end before it does."""
    with ExitStack() as stack:
        server = start(app, *BINDING, "--socket", str(folder / "app.sock"), "--chmod-socket=666", *arguments, **options)
        found = Fronts(server, folder)
        stack.callback(found.kill)
        yield found
