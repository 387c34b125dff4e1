"""A real nginx in front of what is tested."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

from .ports import free_ports
from .process import Program, ProgramDied
from .programs import find_program
from .wait import wait_until

#: Where Debian keeps the variables that `uwsgi_pass` sends; other systems have the same file.
UWSGI_PARAMS = "/etc/nginx/uwsgi_params"

_CONFIGURATION = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    uwsgi_temp_path {folder}/uwsgi;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    {servers}
}}
"""

_SERVER = """
    server {{
        listen 127.0.0.1:{port}{tls};
        location / {{
{location}
        }}
    }}
"""

#: As in the documentation.
PROXY_PASS = """
            proxy_pass http://{address};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
"""
UWSGI_PASS = f"""
            include {UWSGI_PARAMS};
            uwsgi_pass {{address}};
"""
#: Bodies go through as they come, for either of them.
STREAMING = {
    "proxy": "            proxy_request_buffering off;\n            proxy_buffering off;\n",
    "uwsgi": "            uwsgi_request_buffering off;\n            uwsgi_buffering off;\n",
}


_MAP = "    map $http_upgrade $connection_upgrade { default upgrade; '' ''; }\n"


class Nginx(Program):
    """nginx on 127.0.0.1, with a port for each location.

    Args:
        locations: name -> what stands in its `location /`.
        tls: name -> the certificate's lines, for a port that speaks TLS.
        whole: all that stands inside of `http`, in the place of locations; its `listen 80` becomes the port called "whole".

    Attributes:
        ports: name -> port.
    """

    def __init__(self, folder: Path, locations: Mapping[str, str], tls: Optional[Mapping[str, str]] = None, whole: str = "") -> None:
        program = find_program("nginx")
        configuration = folder / "nginx.conf"
        for attempt in range(5):
            names = list(locations) or ["whole"]
            self.ports = dict(zip(names, free_ports(len(names))))
            secure = {name: " ssl;\n" + lines.rstrip().rstrip(";") for name, lines in (tls or {}).items()}
            servers = _MAP + "".join(
                _SERVER.format(port=self.ports[name], location=text, tls=secure.get(name, "")) for name, text in locations.items()
            )
            if whole:
                servers = whole.replace("listen 80;", f"listen 127.0.0.1:{self.ports['whole']};")
            # Its workers would become somebody who may not look into the folder.
            user = "user root;" if os.getuid() == 0 else ""
            configuration.write_text(_CONFIGURATION.format(folder=folder, servers=servers, user=user))
            super().__init__([program, "-c", str(configuration), "-p", str(folder)], folder / "nginx.log", folder)
            try:
                wait_until(self._is_ready, 20, "nginx")
                return
            except ProgramDied:
                if attempt == 4:
                    raise

    def _is_ready(self) -> bool:
        self.check_alive()
        return "start worker process " in self.log
