"""An application that tells, as JSON, what the `uwsgi` module it runs under does: one row per call or value.

Run by test_module.py under the real uWSGI and under geuwsgi. A row is the type and repr of the result, or the exception's
type and text; where the value differs from run to run (a pid, a clock) only what must hold of it.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from typing import Any, Callable

import uwsgi

Rows = dict[str, str]
IMPORT: Rows = {}
STATE: dict[str, Any] = {"after": 0, "post_fork": 0}


def outcome(call: Callable[[], Any], text: bool = True) -> str:
    """`type repr` of what the call returns, or `raises Type: text` (without the text where Python words it)."""
    try:
        value = call()
    except Exception as error:
        return f"raises {type(error).__name__}" + (f": {error}" if text else "")
    return f"{type(value).__name__} {value!r}"


def kinds(value: Any) -> str:
    """The types inside a value: `tuple(int, int)`, `dict(id=int)`."""
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__}({', '.join(kinds(item) for item in value)})"
    if isinstance(value, dict):
        return f"dict({', '.join(f'{key!r}={kinds(item)}' for key, item in sorted(value.items()))})"
    return type(value).__name__


VALUES = ("version", "version_info", "loop", "numproc", "cores", "unbit", "is_a_reload", "applications", "buffer_size", "has_threads",
          "SPOOL_OK", "SPOOL_RETRY", "SPOOL_IGNORE", "mode", "pidfile")  # fmt: skip


def values(rows: Rows) -> None:
    for name in VALUES:
        rows[name] = outcome(lambda name=name: getattr(uwsgi, name))  # type: ignore[misc]
    rows["magic_table"] = outcome(lambda: sorted(item for item in uwsgi.magic_table.items() if item[0] not in (b"T", b"t", b"b")))
    rows["magic_table T"] = outcome(lambda: abs(int(uwsgi.magic_table[b"T"]) / 1e6 - uwsgi.started_on) < 60)
    rows["hostname"] = outcome(lambda: uwsgi.hostname == socket.gethostname().encode())
    rows["started_on"] = outcome(lambda: type(uwsgi.started_on) is int and 0 <= time.time() - uwsgi.started_on < 60)
    rows["sockets"] = outcome(lambda: kinds(uwsgi.sockets))
    rows["opt type"] = outcome(lambda: type(uwsgi.opt).__name__)
    for name in ("set-me", "gevent", "master", "module", "need-app", "wsgi-file"):
        rows[f"opt {name}"] = outcome(lambda name=name: uwsgi.opt.get(name))  # type: ignore[misc]
    rows["module name"] = outcome(lambda: (uwsgi.__name__, type(uwsgi).__mro__[-2].__name__))


def anywhere(rows: Rows) -> None:
    """Calls that need no request."""
    rows["masterpid"] = outcome(lambda: uwsgi.masterpid() and "pid")
    rows["worker_id type"] = outcome(lambda: kinds(uwsgi.worker_id()))
    rows["workers"] = outcome(lambda: kinds(uwsgi.workers()))
    rows["total_requests type"] = outcome(lambda: kinds(uwsgi.total_requests()))
    before = time.time()
    rows["micros"] = outcome(lambda: before - 1 < uwsgi.micros() / 1e6 < time.time() + 1)
    rows["mem"] = outcome(lambda: (kinds(uwsgi.mem()), uwsgi.mem()[0] > 1000000, uwsgi.mem()[0] < uwsgi.mem()[1]))
    rows["log str"] = outcome(lambda: uwsgi.log("a line for the log"))
    rows["log bytes"] = outcome(lambda: uwsgi.log(b"another line"))
    rows["log int"] = outcome(lambda: uwsgi.log(1), text=False)
    rows["log nothing"] = outcome(lambda: uwsgi.log(), text=False)
    rows["log nul"] = outcome(lambda: uwsgi.log("a\0b"), text=False)
    rows["lock"] = outcome(lambda: uwsgi.lock())
    rows["is_locked"] = outcome(lambda: uwsgi.is_locked())
    rows["unlock"] = outcome(lambda: uwsgi.unlock())
    rows["is_locked after"] = outcome(lambda: uwsgi.is_locked(0))
    rows["unlock twice"] = outcome(lambda: uwsgi.unlock())
    rows["lock 0"] = outcome(lambda: (uwsgi.lock(0), uwsgi.is_locked(0), uwsgi.unlock(0)))
    rows["lock 5"] = outcome(lambda: uwsgi.lock(5))
    rows["unlock 5"] = outcome(lambda: uwsgi.unlock(5))
    rows["is_locked 5"] = outcome(lambda: uwsgi.is_locked(5))
    rows["lock -1"] = outcome(lambda: uwsgi.lock(-1))
    rows["lock str"] = outcome(lambda: uwsgi.lock("x"), text=False)
    rows["is_connected closed"] = outcome(lambda: uwsgi.is_connected(9999))
    rows["is_connected -1"] = outcome(lambda: uwsgi.is_connected(-1))
    rows["is_connected str"] = outcome(lambda: uwsgi.is_connected("x"), text=False)
    rows["is_connected file"] = outcome(lambda: with_file(uwsgi.is_connected))
    rows["is_connected pair"] = outcome(lambda: with_pair(lambda a, b: uwsgi.is_connected(a.fileno())))
    rows["setprocname"] = outcome(lambda: uwsgi.setprocname("differential"))
    rows["setprocname bytes"] = outcome(lambda: uwsgi.setprocname(b"differential"))
    rows["setprocname int"] = outcome(lambda: uwsgi.setprocname(1), text=False)
    network(rows)


def with_file(call: Callable[[int], Any]) -> Any:
    with open(__file__, "rb") as file:
        return call(file.fileno())


def with_pair(call: Callable[[socket.socket, socket.socket], Any]) -> Any:
    a, b = socket.socketpair()
    with a, b:
        return call(a, b)


def network(rows: Rows) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        for name in ("connect", "async_connect"):
            rows[f"{name}"] = outcome(lambda name=name: closed(getattr(uwsgi, name)(address)))  # type: ignore[misc]
        rows["connect bytes"] = outcome(lambda: closed(uwsgi.connect(address.encode())))
        rows["connect timeout"] = outcome(lambda: closed(uwsgi.connect(address, 3)))
        rows["connect keyword"] = outcome(lambda: closed(uwsgi.connect(address, timeout=3)), text=False)
        rows["send to fd"] = outcome(lambda: talk(address, server))
    rows["connect refused"] = outcome(lambda: uwsgi.connect(address))
    rows["connect no port"] = outcome(lambda: uwsgi.connect("/no/such/socket"))
    rows["connect int"] = outcome(lambda: uwsgi.connect(1), text=False)
    rows["recv eof"] = outcome(lambda: with_pair(lambda a, b: (a.close(), uwsgi.recv(b.fileno()))[1]))
    rows["recv bad fd"] = outcome(lambda: uwsgi.recv(9999))
    rows["recv str"] = outcome(lambda: uwsgi.recv("x"), text=False)
    rows["recv max"] = outcome(lambda: with_pair(lambda a, b: (a.sendall(b"x" * 9000), len(uwsgi.recv(b.fileno(), 9000)))[1]))
    rows["recv 2"] = outcome(lambda: with_pair(lambda a, b: (a.sendall(b"abc"), uwsgi.recv(b.fileno(), 2))[1]))
    rows["recv 0"] = outcome(lambda: with_pair(lambda a, b: (a.sendall(b"abc"), uwsgi.recv(b.fileno(), 0))[1]))
    rows["send"] = outcome(lambda: with_pair(lambda a, b: (uwsgi.send(a.fileno(), b"abc"), b.recv(9))))
    rows["send bad fd"] = outcome(lambda: uwsgi.send(9999, b"x"))
    rows["send empty"] = outcome(lambda: with_pair(lambda a, b: uwsgi.send(a.fileno(), b"")))
    rows["send nothing"] = outcome(lambda: uwsgi.send(), text=False)
    rows["close"] = outcome(lambda: uwsgi.close(os.dup(0)))
    rows["close bad fd"] = outcome(lambda: uwsgi.close(9999))
    rows["close str"] = outcome(lambda: uwsgi.close("x"), text=False)


def closed(fd: int) -> str:
    if fd < 0:
        return str(fd)
    os.set_blocking(fd, True)
    uwsgi.close(fd)
    try:
        os.fstat(fd)
    except OSError:
        return "a descriptor, closed"
    return "a descriptor, not closed"


def of_number(fd: int, call: Callable[[socket.socket], Any]) -> Any:
    with socket.socket(fileno=os.dup(fd)) as copy:
        return call(copy)


def talk(address: str, server: socket.socket) -> Any:
    fd = uwsgi.connect(address)
    while True:
        peer, name = server.accept()
        if name == of_number(fd, socket.socket.getsockname):
            break
        peer.close()
    with peer:
        sent = uwsgi.send(fd, b"hello"), peer.recv(5)
        peer.sendall(b"back")
        answer = uwsgi.recv(fd)
    return sent, answer, uwsgi.recv(fd), uwsgi.close(fd)


def requests(rows: Rows, environ: dict[str, Any]) -> None:
    """Calls that need a request."""
    rows["env is environ"] = outcome(lambda: uwsgi.env is environ)
    rows["connection_fd"] = outcome(lambda: of_number(uwsgi.connection_fd(), socket.socket.getpeername)[0] == environ["REMOTE_ADDR"])
    rows["is_connected"] = outcome(lambda: uwsgi.is_connected(uwsgi.connection_fd()))
    rows["request_id type"] = outcome(lambda: kinds(uwsgi.request_id()))
    rows["worker_id"] = outcome(lambda: uwsgi.worker_id())
    rows["workers idle"] = outcome(lambda: [w["status"] for w in uwsgi.workers()])
    rows["workers pid"] = outcome(lambda: [w["pid"] == os.getpid() for w in uwsgi.workers()])
    rows["set_logvar str"] = outcome(lambda: (uwsgi.set_logvar("name", "jan"), uwsgi.get_logvar("name")))
    rows["set_logvar bytes"] = outcome(lambda: (uwsgi.set_logvar(b"name", b"piet"), uwsgi.get_logvar(b"name"), uwsgi.get_logvar("name")))
    rows["set_logvar utf-8"] = outcome(lambda: (uwsgi.set_logvar("n\xe4me", "\u20ac"), uwsgi.get_logvar("n\xe4me")))
    rows["set_logvar int"] = outcome(lambda: uwsgi.set_logvar("name", 1), text=False)
    rows["set_logvar one"] = outcome(lambda: uwsgi.set_logvar("name"), text=False)
    rows["set_logvar bytearray"] = outcome(lambda: (uwsgi.set_logvar("b", bytearray(b"x")), uwsgi.get_logvar("b")), text=False)
    rows["set_logvar memoryview"] = outcome(lambda: (uwsgi.set_logvar("b", memoryview(b"y")), uwsgi.get_logvar("b")), text=False)
    rows["set_logvar empty"] = outcome(lambda: (uwsgi.set_logvar("e", ""), uwsgi.get_logvar("e")))
    rows["set_logvar long"] = outcome(lambda: (uwsgi.set_logvar("l", "x" * 300), uwsgi.get_logvar("l")))
    rows["get_logvar missing"] = outcome(lambda: uwsgi.get_logvar("missing"))
    rows["get_logvar int"] = outcome(lambda: uwsgi.get_logvar(1), text=False)
    rows["log_this_request"] = outcome(lambda: uwsgi.log_this_request())
    rows["add_var str"] = outcome(lambda: uwsgi.add_var("KEY", "value"))
    rows["add_var bytes"] = outcome(lambda: uwsgi.add_var(b"KEY2", b"value"))
    rows["add_var environ"] = outcome(lambda: environ.get("KEY"))
    rows["add_var int"] = outcome(lambda: uwsgi.add_var("KEY", 1), text=False)
    rows["add_var long"] = outcome(lambda: uwsgi.add_var("KEY", "x" * 70000))
    rows["chunked_read timeout"] = outcome(lambda: uwsgi.chunked_read(1))
    rows["chunked_read str"] = outcome(lambda: uwsgi.chunked_read("x"), text=False)
    rows["chunked_read_nb"] = outcome(lambda: uwsgi.chunked_read_nb())
    rows["sendfile missing"] = outcome(lambda: uwsgi.sendfile("/no/such/file"))
    rows["sendfile None"] = outcome(lambda: uwsgi.sendfile(None), text=False)
    rows["sendfile nothing"] = outcome(lambda: uwsgi.sendfile(), text=False)
    for name in ("readable", "writable", "timeout"):
        rows[f"fdevent.{name}"] = outcome(lambda name=name: kinds(environ[f"x-wsgiorg.fdevent.{name}"]))  # type: ignore[misc]
    for name in ("uwsgi.version", "uwsgi.node", "uwsgi.core"):
        rows[name] = outcome(lambda name=name: kinds(environ[name]))  # type: ignore[misc]
    if uwsgi.loop:  # uWSGI --async --ugreen never comes back from a suspend that waits for nothing
        rows["suspend"] = outcome(lambda: uwsgi.suspend())
        rows["green_schedule"] = outcome(lambda: uwsgi.green_schedule())
    rows["request calls in a thread"] = in_thread(lambda: uwsgi.connection_fd() and None)


def waiting(rows: Rows) -> None:
    """The native asynchronous API."""
    rows["ready_fd before"] = outcome(lambda: uwsgi.ready_fd())
    rows["async_sleep str"] = outcome(lambda: uwsgi.async_sleep("x"), text=False)
    rows["async_sleep 0"] = outcome(lambda: uwsgi.async_sleep(0))
    rows["wait_fd_read -1"] = outcome(lambda: uwsgi.wait_fd_read(-1))
    rows["wait_fd_write -1"] = outcome(lambda: uwsgi.wait_fd_write(-1))
    rows["wait_fd_read str"] = outcome(lambda: uwsgi.wait_fd_read("x"), text=False)
    rows["wait_fd_read nothing"] = outcome(lambda: uwsgi.wait_fd_read(), text=False)
    rows["wait_fd_read keyword"] = outcome(lambda: uwsgi.wait_fd_read(fd=0), text=False)
    rows["wait_fd_read"] = outcome(lambda: with_pair(wait_read))
    rows["wait_fd_read both ready"] = outcome(lambda: with_pair(wait_both))
    rows["wait_fd_read time-out"] = outcome(lambda: with_pair(wait_timeout))
    rows["wait_fd_read again"] = outcome(lambda: with_pair(wait_again))
    rows["wait_fd_write"] = outcome(lambda: with_pair(wait_write))
    rows["wait_fd_read eof"] = outcome(lambda: with_pair(wait_eof))
    rows["async_sleep 1"] = outcome(lambda: timed(lambda: (uwsgi.async_sleep(1), uwsgi.suspend(), uwsgi.ready_fd())))


def timed(call: Callable[[], Any]) -> Any:
    start = time.monotonic()
    return call(), about(time.monotonic() - start)


def about(seconds: float) -> str:
    """Whether that is nothing, the second that was asked for or the five of another wait; the machine may be busy."""
    return "nothing" if seconds < 0.9 else "a second" if seconds < 4.5 else "more"


def wait_read(a: socket.socket, b: socket.socket) -> Any:
    b.send(b"x")
    return uwsgi.wait_fd_read(a.fileno(), 3), uwsgi.suspend(), uwsgi.ready_fd() == a.fileno()


def wait_both(a: socket.socket, b: socket.socket) -> Any:
    a.send(b"x")
    b.send(b"x")
    waits = uwsgi.wait_fd_read(a.fileno(), 3), uwsgi.wait_fd_read(b.fileno(), 3)
    return waits, uwsgi.suspend(), uwsgi.ready_fd() in (a.fileno(), b.fileno())


def wait_timeout(a: socket.socket, b: socket.socket) -> Any:
    return timed(lambda: (uwsgi.wait_fd_read(a.fileno(), 1), uwsgi.wait_fd_read(b.fileno(), 5), uwsgi.suspend(), uwsgi.ready_fd()))


def wait_again(a: socket.socket, b: socket.socket) -> Any:
    """Whether a registration outlives the suspend that it ended: if so the second one ends at once."""
    b.send(b"x")
    uwsgi.wait_fd_read(a.fileno(), 5)
    uwsgi.suspend()
    uwsgi.async_sleep(1)
    return timed(lambda: (uwsgi.suspend(), uwsgi.ready_fd()))


def wait_write(a: socket.socket, b: socket.socket) -> Any:
    return uwsgi.wait_fd_write(a.fileno(), 3), uwsgi.suspend(), uwsgi.ready_fd() == a.fileno()


def wait_eof(a: socket.socket, b: socket.socket) -> Any:
    b.close()
    return uwsgi.wait_fd_read(a.fileno(), 3), uwsgi.suspend(), uwsgi.ready_fd() == a.fileno(), a.recv(1)


def yielding() -> Any:
    """The same by `yield ""`: the rows come after the waits."""
    rows: Rows = {}
    a, b = socket.socketpair()
    with a, b:
        b.send(b"x")
        for name, chunk in (("str", ""), ("bytes", b"")):
            rows[f"registered {name}"] = outcome(lambda: uwsgi.wait_fd_read(a.fileno(), 3))
            yield chunk
            rows[f"ready {name}"] = outcome(lambda: uwsgi.ready_fd() == a.fileno())
        yield uwsgi.wait_fd_read(b.fileno(), 1)
        rows["timed out"] = outcome(lambda: uwsgi.ready_fd())
        start = time.monotonic()
        yield uwsgi.async_sleep(1)
        rows["slept"] = outcome(lambda: (about(time.monotonic() - start), uwsgi.ready_fd()))
    yield json.dumps(rows).encode()


def in_thread(call: Callable[[], Any]) -> str:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(outcome(call)))
    thread.start()
    thread.join()
    return found[0]


def importing(rows: Rows) -> None:
    """Request functions where there is no request."""
    rows["import env"] = outcome(lambda: uwsgi.env)
    rows["import request_id"] = outcome(lambda: uwsgi.request_id())
    rows["import get_logvar"] = outcome(lambda: uwsgi.get_logvar("x"))
    rows["import ready_fd"] = outcome(lambda: uwsgi.ready_fd())
    rows["import worker_id"] = outcome(lambda: uwsgi.worker_id())
    rows["import total_requests"] = outcome(lambda: uwsgi.total_requests())
    rows["uwsgidecorators"] = outcome(lambda: __import__("uwsgidecorators").__name__)


values(IMPORT)
anywhere(IMPORT)
importing(IMPORT)


def after() -> None:
    STATE["after"] += 1


def forked() -> None:
    STATE["post_fork"] += 1


def leaving() -> None:
    if os.environ.get("LEAVING_FILE"):
        with open(os.environ["LEAVING_FILE"], "w") as file:
            file.write("atexit was called")


uwsgi.after_req_hook = after
uwsgi.post_fork_hook = forked
uwsgi.atexit = leaving


SENDING: dict[str, Callable[[str], Any]] = {
    "/sendfile/path": lambda path: uwsgi.sendfile(path),
    "/sendfile/bytes": lambda path: uwsgi.sendfile(path.encode()),
    "/sendfile/number": lambda path: (lambda fd: (uwsgi.sendfile(fd), outcome(lambda: os.fstat(fd))))(os.open(path, os.O_RDONLY)),
    "/sendfile/part": lambda path: uwsgi.sendfile(path, 0, 3, 5),
    "/sendfile/missing": lambda path: uwsgi.sendfile(path + ".missing"),
    "/offload": lambda path: uwsgi.offload(path),
    "/offload/missing": lambda path: uwsgi.offload(path + ".missing"),
}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
    rows: Rows = {}
    path = environ["PATH_INFO"]
    if path == "/names":
        body: Any = sorted(dir(uwsgi))
    elif path == "/opt":
        body = {key: repr(value) for key, value in uwsgi.opt.items()}
    elif path == "/magic":
        body = {key.decode(): repr(value) for key, value in uwsgi.magic_table.items()}
    elif path == "/import":
        body = IMPORT
    elif path == "/state":
        body = STATE
    elif path == "/values":
        values(rows)
        body = rows
    elif path == "/anywhere":
        anywhere(rows)
        body = rows
    elif path == "/requests":
        requests(rows, environ)
        body = rows
    elif path == "/waiting":
        waiting(rows)
        body = rows
    elif path == "/yielding":
        start_response("200 OK", [("Content-Type", "application/json")])
        return yielding()
    elif path == "/chunked":
        body = [outcome(uwsgi.chunked_read) for _ in range(4)]
    elif path == "/disconnect":
        body = outcome(uwsgi.disconnect)
        STATE["disconnect"] = body
    elif path == "/connected":
        body = [uwsgi.is_connected(uwsgi.connection_fd()), uwsgi.disconnect(), outcome(lambda: uwsgi.is_connected(uwsgi.connection_fd()))]
        STATE["connected"] = body
    elif path in SENDING:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
        STATE[path] = outcome(lambda: SENDING[path](environ["QUERY_STRING"]))
        return [b""]
    elif path == "/raw":
        sent = uwsgi.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nby hand")
        STATE["/raw"] = outcome(lambda: sent)
        return []
    elif path == "/counters":
        body = [uwsgi.request_id(), uwsgi.total_requests(), uwsgi.workers()[0]["requests"], uwsgi.workers()[0]["apps"][0]["requests"]]
    else:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"no such page\n"]
    data = json.dumps(body).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]
