"""`--http-to-https`: a port whose only answer is that the same thing is to be had over https."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from ..errors import HTTPError
from .connection import HTTPConnection
from .head import date_line

if TYPE_CHECKING:
    from .server import Server

#: What a Host header may be. Anything else does not get into an answer.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._~-]+)(:[0-9]*)?", re.ASCII)


class RedirectingConnection(HTTPConnection):
    """One connection whose requests are all sent on.

    Args:
        sock: the accepted gevent socket.
        server: that has accepted it.
        template: what is in every environ of this connection.
        port: of the https server; "" for the usual one.
    """

    __slots__ = ("_port",)

    def __init__(self, sock: Any, server: Server, template: dict[str, Any], port: str) -> None:
        super().__init__(sock, server, template)
        self._port = port

    def _serve_request(self) -> bool:
        environ = self.parser.environ
        host = _HOST.fullmatch(environ.get("HTTP_HOST", ""))
        if host is None:
            raise HTTPError("400 Bad Request", "no usable Host to send the client on to https")
        target = environ["REQUEST_URI"]
        if not target.startswith("/"):
            # "*", or the absolute form that proxies are sent.
            target = "/" + re.sub(r"^[A-Za-z]+://[^/]*/?", "", target).lstrip("*")
        where = f"https://{host[1]}{':' + self._port if self._port else ''}{target}"
        lines = ["HTTP/1.1 301 Moved Permanently", f"Location: {where}", "Content-Length: 0", date_line(time.time())]
        # One answer is all that anybody wants of this port; a body that came with the request is not read.
        self.transport.send("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
        self._linger()
        return False
