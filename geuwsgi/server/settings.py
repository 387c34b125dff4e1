"""What the server needs to know, as frozen objects. `process/` fills them in from the configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

#: Proxies on this machine.
FORWARDED_ALLOW = ("127.0.0.1", "::1", "unix")


@dataclass(frozen=True)
class HTTPSettings:
    """Limits and habits of the HTTP/1.1 side.

    Attributes:
        buffer_size: bytes of request line and headers (`--buffer-size`); beyond it 431.
        keepalive: seconds an idle kept-alive connection is held open; 0 closes after each response.
        headers_timeout: seconds for a request head to arrive whole.
        socket_timeout: seconds that one read or write of a body may stall (`--socket-timeout`, `--http-timeout`).
        async_mode: `--async` was given: an empty chunk from the application suspends the request.
        forwarded_allow: proxies whose X-Forwarded headers are believed (`--forwarded-allow-ips`), see `forwarded.Trust`.
        log_forwarded_for: log X-Forwarded-For in the place of the address (`--log-x-forwarded-for`).
        http2: clients may speak HTTP/2, which needs the package h2 (`--disable-http2`).
        http2_streams: requests that one client may have open at once on a connection (`--http2-max-streams`).
    """

    buffer_size: int = 32768
    keepalive: float = 75.0
    headers_timeout: float = 30.0
    socket_timeout: float = 60.0
    async_mode: bool = False
    forwarded_allow: tuple[str, ...] = FORWARDED_ALLOW
    log_forwarded_for: bool = False
    http2: bool = False
    http2_streams: int = 100


@dataclass(frozen=True)
class WebSocketSettings:
    """Limits and habits of the websocket side.

    Attributes:
        max_size: largest joined message in bytes (`--websockets-max-size`, there in KB).
        ping_freq: seconds between pings (`--websockets-ping-freq`); 0 sends none.
        pong_tolerance: seconds a peer may stay silent after a ping (`--websockets-pong-tolerance`).
        close_timeout: seconds to wait for the peer's half of the closing handshake.
        inbox_messages: messages received and not yet read by the application before reading stops.
        inbox_bytes: the same in bytes.
        outbox_high: bytes waiting for the kernel above which `websocket_send` waits.
        outbox_low: bytes at which it goes on.
        deflate: offer permessage-deflate (`--websockets-deflate`).
        deflate_takeover: keep compression contexts between messages (`--websockets-deflate-takeover`).
        deflate_threshold: messages under this many bytes go uncompressed (`--websockets-deflate-threshold`).
    """

    max_size: int = 1024 * 1024
    ping_freq: float = 30.0
    pong_tolerance: float = 3.0
    close_timeout: float = 5.0
    inbox_messages: int = 1024
    inbox_bytes: int = 4 * 1024 * 1024
    outbox_high: int = 256 * 1024
    outbox_low: int = 64 * 1024
    deflate: bool = False
    deflate_takeover: bool = False
    deflate_threshold: int = 128


@dataclass(frozen=True)
class Expiry:
    """For which files an Expires header is sent, and what it says.

    Attributes:
        subject: what the pattern is searched for in: "file" (the real path), "path-info", "uri", or "type" (the whole media type).
        pattern: a regular expression on text that has a character for each byte.
        seconds: how much later.
        mtime: later than the file's modification, not than now.
    """

    subject: str
    pattern: re.Pattern[str]
    seconds: int
    mtime: bool = False


@dataclass(frozen=True)
class StaticSettings:
    """Which files are served without asking the application, and how.

    Attributes:
        check: directories tried for every request (`--check-static`).
        check_docroot: the directory in the variable DOCUMENT_ROOT is tried, too (`--check-static-docroot`).
        maps: (prefix, directory or file) pairs (`--static-map`).
        maps2: the same, with the whole path looked for in the directory (`--static-map2`).
        index: file names tried in a directory (`--static-index`).
        skip: ends of names that are left to the application (`--static-skip-ext`).
        safe: directories outside that links may lead to (`--static-safe`).
        cache_seconds: how long a path's real name is believed without a look (`--static-cache-paths`).
        mime_files: files with media types (`--mimefile`).
        expires: the first that fits counts (`--static-expires` and relatives).
        gzip_all: look for `.br` and `.gz` beside every file (`--static-gzip-all`).
        gzip_prefixes: the same for files whose real path begins like this (`--static-gzip-dir`).
        gzip_suffixes: the same for files whose name ends like this (`--static-gzip-ext`).
        gzip_patterns: the same for files whose real path has this in it (`--static-gzip`).
        redirect_header: the header by which the front server is told to send the file itself (`--file-serve-mode`), "" to send it.
    """

    check: tuple[str, ...] = ()
    check_docroot: bool = False
    maps: tuple[tuple[str, str], ...] = ()
    maps2: tuple[tuple[str, str], ...] = ()
    index: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    safe: tuple[str, ...] = ()
    cache_seconds: float = 0.0
    mime_files: tuple[str, ...] = ()
    expires: tuple[Expiry, ...] = ()
    gzip_all: bool = False
    gzip_prefixes: tuple[str, ...] = ()
    gzip_suffixes: tuple[str, ...] = ()
    gzip_patterns: tuple[re.Pattern[str], ...] = ()
    redirect_header: str = ""

    @property
    def any(self) -> bool:
        """There is a place to look for files in."""
        return bool(self.check or self.check_docroot or self.maps or self.maps2)


@dataclass(frozen=True)
class RouteRule:
    """A rule of the internal routing, as it was given.

    Attributes:
        option: "route", "route-if", "final-route-status", and so on.
        value: its value.
        source: where it was given.
    """

    option: str
    value: str
    source: Optional[str] = None


@dataclass(frozen=True)
class RouteSettings:
    """The rules, in order, and what is done to the headers of all responses.

    Attributes:
        rules: of all phases.
        add: headers to add (`--add-header`).
        remove: names of headers to take away (`--del-header`).
        collect: "NAME VARIABLE" of headers that become variables (`--collect-header`).
        pull: the same for headers that leave the response (`--pull-header`).
    """

    rules: tuple[RouteRule, ...] = ()
    add: tuple[RouteRule, ...] = ()
    remove: tuple[RouteRule, ...] = ()
    collect: tuple[RouteRule, ...] = ()
    pull: tuple[RouteRule, ...] = ()


@dataclass(frozen=True)
class CertificateSettings:
    """One certificate and what goes with it.

    Attributes:
        cert: the PEM file with the certificate and those that vouch for it.
        key: the PEM file with its private key.
        ciphers: OpenSSL's list of ciphers up to TLS 1.2, "" for its default.
        client_ca: the PEM file with the authorities of clients' certificates, behind "!" where every client must have one; "" for none.
    """

    cert: str
    key: str
    ciphers: str = ""
    client_ca: str = ""


@dataclass(frozen=True)
class TLSSettings:
    """One TLS port.

    Attributes:
        certificate: for clients that ask for no name, or for one that is not here.
        sni: (name, certificate) pairs (`--sni`).
        sni_regexp: (pattern, certificate) pairs (`--sni-regexp`).
        sni_dir: a directory with NAME.crt, NAME.key and maybe NAME.ca (`--sni-dir`), "" for none.
        sni_dir_ciphers: for those (`--sni-dir-ciphers`).
        export_cert: HTTPS_CC in the environ (`--https-export-cert`).
        options: bits for OpenSSL (`--ssl-option`).
        alpn: protocols offered, the preferred one first.
    """

    certificate: CertificateSettings
    sni: tuple[tuple[str, CertificateSettings], ...] = ()
    sni_regexp: tuple[tuple[str, CertificateSettings], ...] = ()
    sni_dir: str = ""
    sni_dir_ciphers: str = ""
    export_cert: bool = False
    options: int = 0
    alpn: tuple[str, ...] = ("http/1.1",)


@dataclass(frozen=True)
class ServerSettings:
    """One worker's server.

    Attributes:
        cores: requests served at once (`--gevent N`, `--async N`); the next one waits.
        log_requests: write a line per request (`--disable-logging` turns it off).
        http: see HTTPSettings.
        websocket: see WebSocketSettings.
        static: see StaticSettings.
        server_name: SERVER_NAME of the environ: the host's name.
        multiprocess: more than one worker (`wsgi.multiprocess`).
        threads: real threads that run the application (`--threads`); 0 for greenlets.
        asyncio: an asyncio loop runs beside the requests (`--asyncio`).
        auto_gzip: compress the application's responses that ask for it (`--http-auto-gzip`).
        gzip: compress all of them whose type is worth it (`--http-gzip`).
    """

    cores: int = 20000
    log_requests: bool = True
    http: HTTPSettings = HTTPSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    static: StaticSettings = StaticSettings()
    server_name: str = "localhost"
    multiprocess: bool = False
    threads: int = 0
    asyncio: bool = False
    auto_gzip: bool = False
    gzip: bool = False
