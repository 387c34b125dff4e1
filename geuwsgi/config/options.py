"""The options, one row each: the rows make the parser, `--help` and the manual. To add an option, add a row.

The names, letters and meanings are uWSGI's. `known.py` lists the options of uWSGI that have no row yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional, Union

from . import known

#: What a checked value may be.
Scalar = Union[bool, int, float, str, None]

#: Groups in the order in which `--help` prints them.
GROUPS = (
    "Addresses",
    "Application",
    "Concurrency",
    "Sharing",
    "HTTP",
    "Router",
    "Websockets",
    "Channels",
    "Static files",
    "Routing",
    "Process",
    "Reloading",
    "Hooks",
    "Logging",
    "Configuration",
)


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: the canonical name, without dashes; what `Config.get` is asked for.
        kind: "flag" (bool), "int", "float", "str", or "mode" (file permissions, kept as octal digits).
        help: one line, a phrase without a full stop.
        group: one of GROUPS.
        metavar: what stands for the argument in the help, "" for a flag.
        short: uWSGI's letter, or "".
        aliases: other spellings.
        repeatable: the values are collected into a list; otherwise the last one counts.
        default: the value when the option is absent (a repeatable one is then an empty list).
        bare: the value when the argument is left out; None where it may not be.
        minimum: the smallest number allowed.
        maximum: the largest: what the kernel takes, or what no machine has.
        always: for a flag that cannot be switched off here: why not.
        no_effect: for an option that has nothing to do here: why not. Logged at the start when it is given.
    """

    name: str
    kind: str
    help: str
    group: str
    metavar: str = ""
    short: str = ""
    aliases: tuple[str, ...] = ()
    repeatable: bool = False
    default: Scalar = None
    bare: Scalar = None
    minimum: Optional[float] = None
    maximum: Optional[float] = None
    always: str = ""
    no_effect: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Every spelling, the canonical one first."""
        return (self.name, *self.aliases)

    @property
    def status(self) -> str:
        """ "supported" or "no_effect"."""
        return "no_effect" if self.no_effect else "supported"


def _flag(name: str, group: str, help: str, short: str = "", aliases: tuple[str, ...] = (), always: str = "") -> Option:
    return Option(name, "flag", help, group, short=short, aliases=aliases, default=False, always=always)


def _none(names: str, reason: str, metavar: str = "", short: str = "") -> Option:
    name, *aliases = names.split()
    kind = "str" if metavar else "flag"
    return Option(
        name,
        kind,
        reason,
        "Configuration",
        metavar=metavar,
        short=short,
        aliases=tuple(aliases),
        repeatable=kind == "str",
        default=None if metavar else False,
        no_effect=reason,
    )


OPTIONS: tuple[Option, ...] = (
    # Addresses
    Option(
        "http-socket",
        "str",
        "listen here: :8080, 127.0.0.1:8080, [::1]:8080, a path, fd://3; port 0 takes any free port",
        "Addresses",
        metavar="ADDRESS",
        aliases=("http11-socket",),
        repeatable=True,
    ),
    Option(
        "socket",
        "str",
        "the same for front servers that speak the uwsgi protocol (uwsgi_pass of nginx), or what --protocol says",
        "Addresses",
        metavar="ADDRESS",
        short="s",
        repeatable=True,
    ),
    Option("uwsgi-socket", "str", "the same, whatever --protocol says", "Addresses", "ADDRESS", repeatable=True),
    Option(
        "protocol",
        "str",
        "what is spoken on --socket: uwsgi or http",
        "Addresses",
        metavar="NAME",
        aliases=("socket-protocol",),
        default="uwsgi",
    ),
    Option(
        "shared-socket",
        "str",
        "an address that others name by its number, from 0: --shared-socket :80 --http =0",
        "Addresses",
        metavar="ADDRESS",
        aliases=("undeferred-shared-socket",),
        repeatable=True,
    ),
    _flag("abstract-socket", "Addresses", "unix sockets have names in Linux's abstract namespace instead of files", "a"),
    Option(
        "http",
        "str",
        "the same as --http-socket; no router process stands in between. With --http-to requests are forwarded",
        "Addresses",
        metavar="ADDRESS",
        repeatable=True,
    ),
    Option(
        "https",
        "str",
        "serve https and wss here, with these PEM files; CLIENT_CA asks clients for a certificate, !CLIENT_CA demands one",
        "Addresses",
        metavar="ADDRESS,CERT,KEY[,CIPHERS[,CLIENT_CA]]",
        repeatable=True,
    ),
    Option("https-socket", "str", "the same", "Addresses", metavar="ADDRESS,CERT,KEY[,CIPHERS[,CLIENT_CA]]", repeatable=True),
    Option(
        "https2",
        "str",
        "the same, and HTTP/2 for clients that can (geuwsgi[http2]); also as addr=ADDRESS,cert=CERT,key=KEY,ciphers=CIPHERS,clientca=CA",
        "Addresses",
        metavar="ADDRESS,CERT,KEY[,CIPHERS[,CLIENT_CA]]",
        repeatable=True,
    ),
    Option(
        "https-dev", "str", "serve https and wss here, with a certificate for localhost made now", "Addresses", "ADDRESS", repeatable=True
    ),
    Option(
        "http-to-https",
        "str",
        "send clients that come here on to https, on PORT or the usual one",
        "Addresses",
        metavar="ADDRESS[,PORT]",
        repeatable=True,
    ),
    Option(
        "listen",
        "int",
        "length of the queue of connections not yet accepted",
        "Addresses",
        "N",
        "l",
        default=1024,
        minimum=1,
        maximum=2**31 - 1,
    ),
    _flag("reuse-port", "Addresses", "a socket for each worker (SO_REUSEPORT), among which the kernel distributes connections"),
    Option(
        "chmod-socket",
        "mode",
        "permissions of unix sockets, 666 without MODE",
        "Addresses",
        metavar="MODE",
        short="C",
        aliases=("chmod",),
        bare="666",
    ),
    Option("chown-socket", "str", "user and group of unix sockets", "Addresses", "USER[:GROUP]"),
    Option("ready-file", "str", "write the bound addresses here once they answer, one a line", "Addresses", "FILE"),
    # Application
    Option("wsgi-file", "str", "load the application from a Python file", "Application", "FILE", aliases=("file", "pypy-wsgi-file")),
    Option(
        "module",
        "str",
        "load it from a module: pkg.mod, pkg.mod:name or pkg.mod:factory()",
        "Application",
        metavar="MODULE[:NAME]",
        short="w",
        aliases=("wsgi", "pypy-wsgi"),
    ),
    Option(
        "import",
        "str",
        "import this before the application",
        "Application",
        metavar="MODULE",
        aliases=("pyimport", "py-import", "python-import"),
        repeatable=True,
    ),
    Option(
        "shared-import",
        "str",
        "import this once, in the master, also with lazy-apps",
        "Application",
        metavar="MODULE",
        aliases=("shared-pyimport", "shared-py-import", "shared-python-import"),
        repeatable=True,
    ),
    Option("pypy-eval", "str", "Python code to run before the application is loaded", "Application", "CODE", repeatable=True),
    Option("pypy-exec", "str", "the same from a file", "Application", "FILE", repeatable=True),
    Option("callable", "str", "the name to look for in the module or file", "Application", "NAME", default="application"),
    Option("mount", "str", "an application below a path: /x=file.py or /x=module:name", "Application", "/PATH=APP", repeatable=True),
    _flag("manage-script-name", "Application", "split the path into SCRIPT_NAME and PATH_INFO by mountpoint"),
    _flag("need-app", "Application", "exit when there is no application to serve"),
    Option("chdir", "str", "change to this directory before anything is loaded", "Application", "DIR"),
    Option(
        "pythonpath",
        "str",
        "a directory (or a pattern) to import from",
        "Application",
        metavar="DIR",
        aliases=("python-path", "pp", "pypy-pythonpath", "pypy-python-path", "pypy-pp"),
        repeatable=True,
    ),
    Option(
        "virtualenv",
        "str",
        "the virtual environment to import from",
        "Application",
        metavar="DIR",
        short="H",
        aliases=("home", "venv", "pyhome"),
    ),
    Option("env", "str", "set a variable of the environment", "Application", "NAME=VALUE", repeatable=True),
    # Concurrency
    Option("gevent", "int", "requests and websockets served at once; more of them wait", "Concurrency", "N", minimum=1),
    Option("async", "int", "the same, and an empty chunk suspends the request", "Concurrency", "N", minimum=1),
    Option("asyncio", "int", "the same, with an asyncio loop beside them that applications find running", "Concurrency", "N", minimum=1),
    Option("threads", "int", "serve each request in a real thread, N of them in each worker", "Concurrency", "N", default=0, minimum=1),
    _flag("sync", "Concurrency", "serve one request at a time in each worker, as uWSGI does when nothing else is asked for"),
    _flag("gevent-monkey-patch", "Concurrency", "patch the standard library with --threads, too; otherwise it always is"),
    _flag("gevent-early-monkey-patch", "Concurrency", "the same; in any case before the application is loaded"),
    _flag("master", "Concurrency", "a process that watches the workers, replaces those that die, and reloads", "M"),
    Option("processes", "int", "worker processes", "Concurrency", "N", "p", aliases=("workers",), default=1, minimum=1, maximum=10000),
    _flag("lazy-apps", "Concurrency", "load the application in each worker instead of once in the master", aliases=("lazy",)),
    # Sharing
    Option("locks", "int", "locks for uwsgi.lock() besides number 0", "Sharing", "N", default=0, minimum=0, maximum=1_000_000),
    Option(
        "sharedarea",
        "str",
        "memory that all workers share: a number of pages, or pages=N, size=BYTES, file=PATH,size=BYTES, fd=N,size=BYTES",
        "Sharing",
        metavar="AREA",
        short="A",
        repeatable=True,
    ),
    Option("py-sharedarea", "str", "a bytearray as an area; each process has its own", "Sharing", "BYTES", repeatable=True),
    Option(
        "cheaper", "int", "keep so many workers, and start more of --processes when there is work", "Concurrency", "N", default=0, minimum=0
    ),
    Option("cheaper-initial", "int", "begin with so many", "Concurrency", "N", default=0, minimum=0),
    Option("cheaper-step", "int", "start so many at once", "Concurrency", "N", default=1, minimum=1),
    Option("cheaper-algo", "str", "when: spare (all are busy), backlog (connections wait), manual", "Concurrency", "NAME", default="spare"),
    Option(
        "cheaper-overload",
        "int",
        "seconds for which all have to be busy; with backlog, connections that have to wait",
        "Concurrency",
        metavar="N",
        default=3,
        minimum=0,
    ),
    # HTTP
    Option("buffer-size", "int", "largest request line and headers, in bytes", "HTTP", "BYTES", "b", default=32768, minimum=1),
    Option("http-timeout", "float", "seconds that one read or write may stall", "HTTP", "SECONDS", default=60.0, minimum=0),
    Option("socket-timeout", "float", "the same; the longer of the two counts", "HTTP", "SECONDS", "z", minimum=0),
    Option("http-headers-timeout", "float", "seconds for a request head to arrive", "HTTP", "SECONDS", default=30.0, minimum=0),
    Option(
        "http-keepalive",
        "float",
        "seconds an idle connection stays open; 0 closes it after each response, 1 (yes, as in uWSGI) is 75",
        "HTTP",
        metavar="SECONDS",
        default=75.0,
        bare=75.0,
        minimum=0,
    ),
    Option(
        "forwarded-allow-ips",
        "str",
        "proxies whose X-Forwarded-For, -Proto and -Ssl are believed: addresses, networks, unix for unix sockets, * or none",
        "HTTP",
        metavar="ADDRESS,...",
        default="127.0.0.1,::1,unix",
    ),
    _flag("http-enable-proxy-protocol", "HTTP", "connections to --http and --https begin with a PROXY protocol header (v1 or v2)"),
    _flag("enable-proxy-protocol", "HTTP", "the same for --http-socket and --https-socket, and --socket with --protocol http"),
    *(
        Option(name, "int", f"only 0, which is Python: the {'' if last == '1' else 'sub-'}kind of application", "HTTP", "N", default=0)
        for last in "12"
        for name in [f"http-socket-modifier{last}"]
    ),
    Option(
        "sni",
        "str",
        "another certificate for https clients that ask for this host; *.example.com stands for one label",
        "HTTP",
        metavar="NAME CERT,KEY[,CIPHERS[,CLIENT_CA]]",
        repeatable=True,
    ),
    Option(
        "sni-regexp",
        "str",
        "the same for hosts that match",
        "HTTP",
        metavar="PATTERN CERT,KEY[,CIPHERS[,CLIENT_CA]]",
        repeatable=True,
    ),
    Option("sni-dir", "str", "the same for hosts that have NAME.crt and NAME.key here, and maybe NAME.ca for clients", "HTTP", "DIR"),
    Option("sni-dir-ciphers", "str", "ciphers for those", "HTTP", "CIPHERS"),
    _flag("https-export-cert", "HTTP", "the client's certificate as PEM in the environ: HTTPS_CC"),
    Option("ssl-option", "int", "bits to add to OpenSSL's options", "HTTP", "N", repeatable=True, minimum=0),
    _flag("disable-http2", "HTTP", "refuse HTTP/2 in clear text, which is served where geuwsgi[http2] is installed"),
    Option("http2-max-streams", "int", "requests that one HTTP/2 connection may have open at once", "HTTP", "N", default=100, minimum=1),
    _flag("http-websockets", "HTTP", "carry websockets", always="every HTTP address carries websockets"),
    # Router
    Option(
        "http-to",
        "str",
        "forward what comes to --http: 127.0.0.1:3031, 127.0.0.1:3031,MODIFIER1, a path (the uwsgi protocol), http://127.0.0.1:8080; "
        "several take turns",
        "Router",
        metavar="ADDRESS",
        repeatable=True,
    ),
    Option("http-fallback", "str", "the same, for when no --http-to can be reached", "Router", "ADDRESS", repeatable=True),
    _flag("http-backend-http", "Router", "backends without a scheme speak HTTP, not the uwsgi protocol"),
    Option("http-modifier1", "int", "modifier1 of uwsgi requests: 0 Python, 5 Perl, 7 Ruby", "Router", "N", default=0, minimum=0),
    Option("http-modifier2", "int", "modifier2 of them", "Router", "N", default=0, minimum=0),
    Option("http-var", "str", "a variable that uwsgi backends get with each request", "Router", "NAME=VALUE", repeatable=True),
    Option(
        "http-connect-timeout",
        "float",
        "seconds for a connection to a backend; otherwise as --http-timeout",
        "Router",
        metavar="SECONDS",
        minimum=0,
    ),
    Option(
        "http-gracetime",
        "float",
        "seconds for which a backend that cannot be reached is left alone",
        "Router",
        metavar="SECONDS",
        default=30.0,
        minimum=0,
    ),
    _flag("http-chunked-input", "Router", "hand chunked bodies to uwsgi backends as chunks, instead of collecting them first"),
    _flag("http-raw-body", "Router", "hand on all that comes after the head of a request, whatever it is"),
    _flag("http-auto-gzip", "Router", "compress responses with the header uWSGI-Encoding: gzip"),
    _flag("http-gzip", "Router", "compress all responses whose type is worth it"),
    Option(
        "http-stats",
        "str",
        "tell the state of the backends as JSON to whoever connects here",
        "Router",
        metavar="ADDRESS",
        aliases=("http-stats-server", "http-ss"),
    ),
    Option("http-quiet", "flag", "do not log backends that cannot be reached", "Router", "YES", default=False),
    # Websockets
    Option(
        "websockets-ping-freq",
        "float",
        "seconds between pings; 0 sends none",
        "Websockets",
        metavar="SECONDS",
        aliases=("websocket-ping-freq",),
        default=30.0,
        minimum=0,
    ),
    Option(
        "websockets-pong-tolerance",
        "float",
        "seconds a client may stay silent after a ping",
        "Websockets",
        metavar="SECONDS",
        aliases=("websocket-pong-tolerance",),
        default=3.0,
        minimum=0,
    ),
    Option(
        "websockets-max-size",
        "int",
        "largest message, in KB",
        "Websockets",
        metavar="KB",
        aliases=("websocket-max-size",),
        default=1024,
        minimum=1,
    ),
    _flag("websockets-deflate", "Websockets", "compress messages for clients that can (permessage-deflate, RFC 7692)"),
    _flag("websockets-deflate-takeover", "Websockets", "compress better with what came before, at some 300 KB a connection"),
    Option(
        "websockets-deflate-threshold",
        "int",
        "leave messages under this size as they are",
        "Websockets",
        metavar="BYTES",
        default=128,
        minimum=0,
    ),
    # Channels
    Option("channel", "str", "a channel that exists from the start", "Channels", "NAME", repeatable=True),
    Option("channel-strict", "flag", "only channels named with --channel exist", "Channels", default=False),
    Option(
        "channel-backend",
        "str",
        "what carries messages further: memory, unix (workers of one server), unix:DIRECTORY, redis://HOST:PORT/DB[?prefix=P], "
        "rediss://..., redis+unix:///PATH; by default memory with one worker and unix with several",
        "Channels",
        metavar="ADDRESS",
    ),
    Option("channel-queue", "int", "messages that may wait for one subscriber", "Channels", metavar="N", default=1000, minimum=1),
    Option("channel-queue-bytes", "int", "the same in bytes", "Channels", metavar="BYTES", default=4 * 1024 * 1024, minimum=1),
    Option(
        "channel-overflow",
        "str",
        "what happens to a subscriber that is further behind: drop-newest, drop-oldest, or close (1013)",
        "Channels",
        metavar="POLICY",
        default="drop-newest",
    ),
    Option("channel-max-size", "int", "largest channel message, in KB", "Channels", metavar="KB", default=1024, minimum=1),
    Option(
        "channel-history", "int", "send the last N messages of a channel to whoever joins", "Channels", metavar="N", default=0, minimum=0
    ),
    Option(
        "channel-send",
        "str",
        "send a message to a channel of the servers at --channel-backend, and end",
        "Channels",
        metavar="NAME MESSAGE",
    ),
    # Static files
    Option(
        "check-static",
        "str",
        "look here for a file before asking the application",
        "Static files",
        metavar="DIR",
        aliases=("static-check",),
        repeatable=True,
    ),
    _flag("check-static-docroot", "Static files", "look in the directory that the front server names in DOCUMENT_ROOT"),
    Option("static-map", "str", "files below a path", "Static files", "/PATH=DIR", repeatable=True),
    Option("static-map2", "str", "the same, with the path looked for in the directory, too", "Static files", "/PATH=DIR", repeatable=True),
    Option("static-index", "str", "the file served for a directory", "Static files", "NAME", repeatable=True),
    Option("static-skip-ext", "str", "names that end like this are the application's", "Static files", "END", repeatable=True),
    Option("static-safe", "str", "links may lead into this directory, too", "Static files", "DIR", repeatable=True),
    Option(
        "static-cache-paths",
        "float",
        "believe for so long where a link leads",
        "Static files",
        metavar="SECONDS",
        default=0.0,
        minimum=0,
    ),
    Option("mimefile", "str", "a file with media types", "Static files", "FILE", aliases=("mime-file",), repeatable=True),
    *(
        Option(f"static-expires{kind}{since}", "str", text, "Static files", metavar, repeatable=True)
        for kind, what, metavar in (
            ("", "files whose path matches", "REGEXP SECONDS"),
            ("-path-info", "paths of URLs that match", "REGEXP SECONDS"),
            ("-uri", "URLs that match", "REGEXP SECONDS"),
            ("-type", "files of this media type", "TYPE=SECONDS"),
        )
        for since, text in (
            ("", f"an Expires header for {what}: from now"),
            ("-mtime", "the same, from the file's change on"),
        )
    ),
    Option("static-gzip", "str", "look for FILE.br and FILE.gz where the path matches", "Static files", "REGEXP", repeatable=True),
    _flag("static-gzip-all", "Static files", "the same for all files"),
    Option(
        "static-gzip-dir",
        "str",
        "the same for files below a directory",
        "Static files",
        metavar="DIR",
        aliases=("static-gzip-prefix",),
        repeatable=True,
    ),
    Option(
        "static-gzip-ext",
        "str",
        "the same for names that end like this",
        "Static files",
        metavar="END",
        aliases=("static-gzip-suffix",),
        repeatable=True,
    ),
    Option(
        "file-serve-mode",
        "str",
        "have the front server send the files: x-accel-redirect (nginx) or x-sendfile",
        "Static files",
        metavar="MODE",
        aliases=("fileserve-mode",),
    ),
    _flag("honour-range", "Static files", "answer requests for a part of a file", always="ranges are always honoured"),
    # Routing
    *(
        Option(f"{phase}{kind}", "str", f"{text}{when}", "Routing", metavar, repeatable=True)
        for phase, when in (
            ("route", ""),
            ("error-route", ", once the status is known"),
            ("response-route", ", before the head is sent"),
            ("final-route", ", when the request is over"),
        )
        for kind, text, metavar in (
            ("", "a rule for paths that match", "REGEXP ACTION"),
            ("-host", "a rule for the Host header", "REGEXP ACTION"),
            ("-uri", "a rule for the path with its query", "REGEXP ACTION"),
            ("-qs", "a rule for the query", "REGEXP ACTION"),
            ("-remote-addr", "a rule for the client's address", "REGEXP ACTION"),
            ("-remote-user", "a rule for the user's name", "REGEXP ACTION"),
            ("-referer", "a rule for the Referer header", "REGEXP ACTION"),
            ("-user-agent", "a rule for the User-Agent header", "REGEXP ACTION"),
            ("-status", "a rule for a status", "STATUS ACTION"),
            ("-if", "a rule for when something holds", "CONDITION ACTION"),
            ("-if-not", "a rule for when it does not", "CONDITION ACTION"),
            ("-run", "do something in any case", "ACTION"),
            ("-label", "a place where goto leads", "NAME"),
        )
        if phase != "route" or kind != "-status"
    ),
    Option("add-header", "str", "a header for all responses", "Routing", "NAME: VALUE", repeatable=True),
    Option("del-header", "str", "take a header out of all responses", "Routing", "NAME", aliases=("rem-header",), repeatable=True),
    Option(
        "collect-header",
        "str",
        "make a header of the response a variable of the request, for rules",
        "Routing",
        metavar="NAME VARIABLE",
        aliases=("response-header-collect",),
        repeatable=True,
    ),
    Option("pull-header", "str", "the same, and take it out of the response", "Routing", "NAME VARIABLE", repeatable=True),
    # Process
    Option(
        "cron",
        "str",
        "run a command when minute, hour, day, month and weekday fit; -1 is any, -N every Nth",
        "Process",
        "WHEN COMMAND",
        repeatable=True,
    ),
    Option("unique-cron", "str", "the same, but not while the one before runs", "Process", "WHEN COMMAND", repeatable=True),
    Option("cron2", "str", "the same: minute=N,hour=N,unique=1,harakiri=SECONDS COMMAND", "Process", "KEYS COMMAND", repeatable=True),
    Option("cron-harakiri", "int", "kill commands of --cron that run longer", "Process", "SECONDS", default=0, minimum=0),
    Option("attach-daemon", "str", "a program that runs as long as the server does", "Process", "COMMAND", repeatable=True),
    Option("attach-daemon2", "str", "the same: cmd=COMMAND,stopsignal=N,touch=FILE and so on", "Process", "KEYS", repeatable=True),
    Option(
        "smart-attach-daemon",
        "str",
        "a program that outlives the server, and is started when the process in its pidfile is not there",
        "Process",
        metavar="PIDFILE COMMAND",
        repeatable=True,
    ),
    Option("smart-attach-daemon2", "str", "the same, put into the background", "Process", "PIDFILE COMMAND", repeatable=True),
    Option("pidfile", "str", "write the process id here", "Process", "FILE"),
    Option("safe-pidfile", "str", "the same, once requests are served", "Process", "FILE"),
    Option("master-fifo", "str", "a named pipe that takes commands: r reloads, q stops, and so on", "Process", "FILE", repeatable=True),
    Option("daemonize", "str", "go on in the background, with the log in this file", "Process", "FILE", "d"),
    Option("daemonize2", "str", "the same, once the application is loaded", "Process", "FILE"),
    Option("uid", "str", "run as this user, once the sockets are bound", "Process", "USER"),
    Option("gid", "str", "and as this group", "Process", "GROUP"),
    Option("add-gid", "str", "and as this one, too", "Process", "GROUP", repeatable=True),
    _flag("no-initgroups", "Process", "leave out the other groups of the user"),
    Option("chroot", "str", "make this directory the root, which then has to hold all that Python needs", "Process", "DIR"),
    Option("umask", "str", "permissions that new files do not get, such as 022", "Process", "MODE"),
    _flag("auto-procname", "Process", "name the processes uWSGI master and uWSGI worker 1"),
    Option("procname", "str", "the name of all processes in ps", "Process", "NAME"),
    Option("procname-master", "str", "the name of the master", "Process", "NAME"),
    Option("procname-prefix", "str", "what stands before the name", "Process", "TEXT"),
    Option("procname-prefix-spaced", "str", "the same, with a space behind it", "Process", "TEXT"),
    Option("procname-append", "str", "what stands behind the name", "Process", "TEXT"),
    _flag("vacuum", "Process", "remove the pidfile and unix sockets at the end"),
    _flag("die-on-term", "Process", "SIGTERM stops the server instead of reloading it"),
    Option("harakiri", "float", "end a request that takes longer; not a websocket", "Process", "SECONDS", "t", default=0.0, minimum=0),
    _flag("harakiri-verbose", "Process", "log all requests of its worker then"),
    Option(
        "signal-bufsize",
        "int",
        "bytes of each queue of the signal framework",
        "Process",
        metavar="BYTES",
        aliases=("signals-bufsize",),
        default=0,
        minimum=0,
        maximum=2**31 - 1,
    ),
    # Reloading
    Option(
        "reload-mercy",
        "float",
        "seconds that requests have to finish when their worker is replaced",
        "Reloading",
        metavar="SECONDS",
        default=60.0,
        minimum=0,
    ),
    Option("worker-reload-mercy", "float", "the same", "Reloading", "SECONDS", default=0.0, minimum=0),
    Option(
        "websockets-drain",
        "float",
        "seconds in which a worker that is replaced tells its websockets to come back",
        "Reloading",
        metavar="SECONDS",
        aliases=("websocket-drain",),
        default=10.0,
        minimum=0,
    ),
    Option("touch-reload", "str", "reload when this file is touched", "Reloading", "FILE", repeatable=True),
    Option("touch-logreopen", "str", "open the log file anew when this file is touched", "Logging", "FILE", repeatable=True),
    Option("touch-workers-reload", "str", "replace the workers, and nothing else", "Reloading", "FILE", repeatable=True),
    Option("touch-chain-reload", "str", "replace them one after the other (--lazy-apps)", "Reloading", "FILE", repeatable=True),
    Option("fs-reload", "str", "reload when this file changes, or what is in this directory", "Reloading", "PATH", repeatable=True),
    Option(
        "py-autoreload",
        "float",
        "reload within so many seconds of a change in an imported module; for development",
        "Reloading",
        metavar="SECONDS",
        aliases=("py-auto-reload", "python-autoreload", "python-auto-reload"),
        default=0.0,
        minimum=0,
    ),
    Option(
        "py-autoreload-ignore",
        "str",
        "but not of this one",
        "Reloading",
        metavar="MODULE",
        aliases=("py-auto-reload-ignore",),
        repeatable=True,
    ),
    Option("max-requests", "int", "replace a worker that has served so many requests", "Reloading", "N", "R", default=0, minimum=0),
    Option("max-requests-delta", "int", "the same, so many later for each worker's number", "Reloading", "N", default=0, minimum=0),
    Option("max-worker-lifetime", "float", "replace a worker that has lived so long", "Reloading", "SECONDS", default=0.0, minimum=0),
    Option("min-worker-lifetime", "float", "but not before it has lived so long", "Reloading", "SECONDS", default=60.0, minimum=0),
    Option("reload-on-rss", "int", "replace a worker with more memory", "Reloading", "MB", default=0, minimum=0),
    Option("reload-on-as", "int", "the same for its address space", "Reloading", "MB", default=0, minimum=0),
    Option("evil-reload-on-rss", "int", "kill a worker with more memory, and start another", "Reloading", "MB", default=0, minimum=0),
    Option("evil-reload-on-as", "int", "the same for its address space", "Reloading", "MB", default=0, minimum=0),
    *(
        Option("hook-" + phase, "str", f"do something {moment}: VERB:ARGUMENT, such as print:hello", "Hooks", "ACTION", repeatable=True)
        for phase, moment in (
            ("asap", "at once"),
            ("pre-jail", "before --chroot"),
            ("post-jail", "before --chroot, too"),
            ("in-jail", "after --chroot"),
            ("as-root", "before --uid"),
            ("as-user", "after --uid"),
            ("pre-app", "before the application is loaded"),
            ("post-app", "after the application is loaded"),
            ("master-start", "in the master, once the workers are started"),
            ("post-fork", "in each worker at its start"),
            ("accepting", "in each worker once it accepts connections"),
            ("accepting-once", "the same, but not when it is replaced"),
            ("accepting1", "the same in the first worker only"),
            ("accepting1-once", "the same, but not when it is replaced"),
            ("as-user-atexit", "at the end"),
        )
    ),
    *(
        Option("exec-" + phase, "str", f"run a command at the moment of --hook-{phase}", "Hooks", "COMMAND", repeatable=True)
        for phase in ("asap", "pre-jail", "post-jail", "in-jail", "as-root", "as-user", "as-user-atexit", "pre-app", "post-app")
    ),
    Option("hook-touch", "str", "do something when a file is touched", "Hooks", "FILE ACTION", repeatable=True),
    Option("touch-exec", "str", "run a command when a file is touched", "Hooks", "FILE COMMAND", repeatable=True),
    # Logging
    _flag(
        "log-x-forwarded-for", "Logging", "log X-Forwarded-For, where a request has it, in the place of the address; anybody can send it"
    ),
    _flag("disable-logging", "Logging", "write no line for each request", "L"),
    Option("logto", "str", "append the log to this file", "Logging", "FILE"),
    # Configuration
    Option(
        "ini",
        "str",
        "read options from an ini file; FILE.ini alone does the same",
        "Configuration",
        metavar="FILE[:SECTION]",
        repeatable=True,
    ),
    Option("include", "str", "the same", "Configuration", metavar="FILE[:SECTION]", repeatable=True),
    Option("set", "str", "set an option, or a value for uwsgi.opt", "Configuration", "KEY=VALUE", "S", repeatable=True),
    Option(
        "set-placeholder",
        "str",
        "set a value for %(key) and uwsgi.opt, also under --strict",
        "Configuration",
        metavar="KEY=VALUE",
        aliases=("set-ph",),
        repeatable=True,
    ),
    _flag("strict", "Configuration", "refuse unknown options in files, and those that would be ignored"),
    _flag("help", "Configuration", "print this and exit", "h", aliases=("usage",)),
    _flag("version", "Configuration", "print the version and exit"),
    # What uWSGI needs to be told and geuwsgi does not
    _none("enable-threads", "Python threads work in any case; for an application in real threads give --threads N", short="T"),
    _none("pypy-home pypy-lib pypy-setup", "the interpreter that runs geuwsgi serves: to use PyPy, run it on PyPy", metavar="PATH"),
    _none("single-interpreter", "there is only one interpreter", short="i"),
    _none("thunder-lock", "the workers never wait for each other to accept"),
    _none("no-orphans", "workers end in any case when their master is gone"),
    _none("greenlet ugreen", "every request runs in a greenlet"),
    _none("plugins plugin need-plugin need-plugins", "what geuwsgi can do is built in, it loads no plugins", metavar="NAME"),
    _none("plugins-dir plugin-dir", "what geuwsgi can do is built in, it loads no plugins", metavar="DIR"),
    _none(
        "offload-threads offload-thread",
        "the kernel sends files: a client that takes its time holds no core",
        metavar="N",
    ),
    _none("tcp-nodelay", "connections always have TCP_NODELAY"),
    _none("close-on-exec close-on-exec2", "descriptors are never inherited by programs that are started"),
    _none("http-auto-chunked", "responses of unknown length are chunked in any case"),
    _none("wsgi-manage-chunked-input", "chunked request bodies are read in any case"),
    _none("https-session-context", "sessions are kept by the clients, and no other server takes them", metavar="NAME"),
    _none("ignore-sigpipe", "SIGPIPE is never reported"),
    _none(
        "post-buffering",
        "bodies are read when the application asks for them, and nobody waits for a slow client meanwhile",
        metavar="BYTES",
    ),
    _none("max-vars", "the variables of a request are limited by buffer-size, not by their number", metavar="N", short="v"),
    _none("no-defer-accept", "connections are accepted at once"),
    _none("no-fd-passing", "descriptors are never taken from whoever connects"),
    _none("http-processes http-workers", "each worker forwards what it accepts: --processes says how many there are", metavar="N"),
    _none("http-events http-buffer-size", "the number of events and the size of buffers are not fixed", metavar="N"),
)

#: Every spelling that has a row.
BY_NAME: dict[str, Option] = {name: option for option in OPTIONS for name in option.names}

#: Options that read a configuration file of another kind than ini.
OTHER_FORMATS = {
    "yaml": "YAML",
    "yml": "YAML",
    "json": "JSON",
    "js": "JSON",
    "xml": "XML",
    "xmlconfig": "XML",
    "ldap": "LDAP",
    "sqlite": "SQLite",
    "sqlite3": "SQLite",
    "config": "pluggable",
    "config-py": "Python",
    "inherit": "template",
    "inject-before": "injected",
    "inject-after": "injected",
}

#: Options that make uWSGI do one thing and exit. To start a server instead would be a surprise.
COMMANDS = {
    "stop": "only on the command line",
    "reload": "only on the command line",
    "pause": "only on the command line",
    "suspend": "only on the command line",
    "resume": "only on the command line",
    "signal": "geuwsgi has no such command: uwsgi.signal() raises signals",
    "connect-and-read": "geuwsgi has no such command",
    "extract": "geuwsgi has no such command",
    "build-plugin": "geuwsgi has no plugins",
    "cflags": "geuwsgi is not compiled by a C compiler",
}


_FRONT_SERVERS = "give --socket ADDRESS for front servers that speak the uwsgi protocol, or --http-socket ADDRESS for HTTP"

#: Options without which a server would not answer where, or as, it was asked to.
REFUSED = {
    **{
        name: f"geuwsgi does not speak {protocol}: {_FRONT_SERVERS}"
        for protocol, names in (
            ("FastCGI", ("fastcgi-socket", "fastcgi-nph-socket")),
            ("SCGI", ("scgi-socket", "scgi-nph-socket")),
            ("the persistent variant of the uwsgi protocol", ("puwsgi-socket",)),
            ("raw TCP to applications", ("raw-socket",)),
            ("ZeroMQ", ("zeromq", "zeromq-socket", "zmq", "zmq-socket")),
        )
        for name in names
    },
    **dict.fromkeys(
        ("suwsgi-socket", "ssl-socket"),
        "geuwsgi does not speak the uwsgi protocol over TLS: give --socket on a private network, or --https",
    ),
}


def argument(name: str) -> Optional[str]:
    """Whether an option has an argument on the command line: "none", "optional" or "required"; None if nobody knows the option."""
    if name in known.REQUIRED:
        return "required"
    if name in known.OPTIONAL:
        return "optional"
    if name in known.NONE:
        return "none"
    option = BY_NAME.get(name)
    if option is None:
        return None
    if option.kind == "flag":
        return "none"
    return "required" if option.bare is None else "optional"


def all_names() -> Iterable[str]:
    """Every spelling that geuwsgi or uWSGI knows."""
    return known.REQUIRED | known.OPTIONAL | known.NONE | BY_NAME.keys()
