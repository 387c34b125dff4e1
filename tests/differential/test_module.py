"""The `uwsgi` module held against the real one: the same application under both servers, row by row.

What may differ stands in a table with its reason. A row that is in the table and does not differ fails too, so the tables are
never out of date.
"""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.harness.servers import Server
from tests.harness.wait import wait_until

pytestmark = pytest.mark.differential

APP = Path(__file__).with_name("module_app.py")
Start = Callable[..., Server]

_NO_SPOOLER = "no spooler yet, and names of subsystems that do not exist are absent"
_NOT_A_C_FUNCTION = "the callables are written in Python here"
_NO_REQUEST = "uWSGI answers from the request structure that is none yet"

KNOWN = {
    "SPOOL_OK": _NO_SPOOLER,
    "SPOOL_RETRY": _NO_SPOOLER,
    "SPOOL_IGNORE": _NO_SPOOLER,
    "buffer_size": "32 KiB of request head by default, as other servers take",
    "log bytes": "accepted here: uWSGI's Python 2 plugin did",
    "connect keyword": "timeout= works here, as types-uwsgi says",
    "import request_id": _NO_REQUEST,
    "import get_logvar": _NO_REQUEST,
    "import ready_fd": _NO_REQUEST,
    "set_logvar long": "uWSGI stores the length in one byte: 300 bytes become 44",
    "add_var environ": "a request's variables live in its environ here",
    "chunked_read_nb": "uWSGI waits for ever for chunks of a body that is not chunked",
    "sendfile None": "TypeError here; uWSGI returns an error without setting one",
    "fdevent.readable": _NOT_A_C_FUNCTION,
    "fdevent.writable": _NOT_A_C_FUNCTION,
    "request calls in a thread": "a thread that a request starts belongs to it here",
    "wait_fd_read both ready": "uWSGI closes the second of two descriptors that are ready at once",
    "ready str": "uWSGI tells it in environ['uwsgi.ready_fd'] only",
    "ready bytes": "uWSGI tells it in environ['uwsgi.ready_fd'] only",
}

#: Names that uWSGI has and geuwsgi does not: what belongs to them does not exist yet.
ABSENT = {
    "SPOOL_IGNORE", "SPOOL_OK", "SPOOL_RETRY", "accepting", "alarm", "cache_clear",
    "cache_dec", "cache_del", "cache_div", "cache_exists", "cache_get", "cache_inc", "cache_keys", "cache_mul", "cache_num",
    "cache_set", "cache_update", "call", "register_rpc", "rpc", "rpc_list", "farm_get_msg", "farm_msg", "in_farm", "mule_get_msg",
    "mule_id", "mule_msg", "i_am_the_lord", "lord_scroll", "scrolls", "i_am_the_spooler", "metric_dec", "metric_div", "metric_get",
    "metric_inc", "metric_mul", "metric_set", "metric_set_max", "metric_set_min", "ready", "set_warning_message",
    "cl", "embedded_data", "extract", "parsefile", "logsize", "start_response", "SymbolsImporter",
    "SymbolsZipImporter", "ZipImporter",
}  # fmt: skip

#: Names that geuwsgi has and uWSGI 2.0 does not.
ADDED = {"__getattr__", "request_context", "websocket_close", "websocket_opcode"}


def get(server: Server, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def rows(server: Server, path: str) -> Any:
    return json.loads(get(server, path))


def compare(ours: dict[str, str], theirs: dict[str, str]) -> None:
    assert set(ours) == set(theirs)
    wrong = [
        f"{row}\n    uWSGI:   {theirs[row][:300]}\n    geuwsgi: {ours[row][:300]}"
        for row in theirs
        if row not in KNOWN and ours[row] != theirs[row]
    ]
    assert not wrong, "\n".join(wrong)
    outdated = [row for row in theirs if row in KNOWN and ours[row] == theirs[row]]
    assert not outdated, f"no difference any more: {outdated}"


@pytest.fixture
def ours(shared_server: Start) -> Server:
    return shared_server(None, "--wsgi-file", str(APP), "--gevent", "10", "--set", "set-me=yes", cwd=APP.parent)


@pytest.fixture
def theirs(uwsgi_server: Start) -> Server:
    return uwsgi_server(None, "--wsgi-file", str(APP), "--gevent", "10", "--set", "set-me=yes", cwd=APP.parent)


@pytest.mark.parametrize("path", ["/import", "/values", "/anywhere", "/requests"])
def test_rows(ours: Server, theirs: Server, path: str) -> None:
    compare(rows(ours, path), rows(theirs, path))


@pytest.mark.parametrize("mode", ["--gevent", "--async"])
@pytest.mark.parametrize("path", ["/waiting", "/yielding"])
def test_asynchronous_api(shared_server: Start, uwsgi_server: Start, path: str, mode: str) -> None:
    """It works under --gevent here too, so the oracle is uWSGI --async either way."""
    ours = shared_server(None, "--wsgi-file", str(APP), mode, "10", "--set", "set-me=yes", cwd=APP.parent)
    theirs = uwsgi_server(None, "--wsgi-file", str(APP), "--async", "10", "--ugreen", "--set", "set-me=yes", cwd=APP.parent)
    compare(rows(ours, path), rows(theirs, path))


def test_names(ours: Server, theirs: Server) -> None:
    mine, real = set(rows(ours, "/names")), set(rows(theirs, "/names"))
    # A uWSGI that was compiled with PCRE has `route`, too.
    assert real - mine - {"env", "route"} == ABSENT
    assert {name for name in mine - real if not name.startswith(("channel", "websocket_channel_"))} == ADDED


@pytest.mark.parametrize("what", ["path", "bytes", "number", "part", "missing"])
def test_sendfile(ours: Server, theirs: Server, tmp_path: Path, what: str) -> None:
    (tmp_path / "file").write_bytes(b"0123456789" * 20000)
    path = f"/sendfile/{what}"
    assert get(ours, f"{path}?{tmp_path}/file") == get(theirs, f"{path}?{tmp_path}/file")
    assert rows(ours, "/state")[path] == rows(theirs, "/state")[path]


def test_offload_sends_the_file_where_uwsgi_sends_nothing(ours: Server, theirs: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    assert (get(ours, f"/offload?{tmp_path}/file"), get(theirs, f"/offload?{tmp_path}/file")) == (b"content", b"")
    assert rows(ours, "/state")["/offload"] == rows(theirs, "/state")["/offload"]


def test_send_writes_to_the_client(ours: Server, theirs: Server) -> None:
    assert get(ours, "/raw") == get(theirs, "/raw") == b"by hand"


@pytest.mark.parametrize("path", ["/disconnect", "/connected"])
def test_disconnect(shared_server: Start, theirs: Server, path: str) -> None:
    ours = shared_server(None, "--wsgi-file", str(APP), "--gevent", "5")
    for server in (ours, theirs):
        with pytest.raises((ConnectionError, http.client.BadStatusLine)):
            get(server, path)
    assert rows(ours, "/state")[path[1:]] == rows(theirs, "/state")[path[1:]]


def test_chunked_read(ours: Server, theirs: Server) -> None:
    answers = []
    for server in (ours, theirs):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request(
            "POST", "/chunked", body=iter([b"one", b"two" * 100]), headers={"Transfer-Encoding": "chunked"}, encode_chunked=True
        )
        answers.append(json.loads(connection.getresponse().read()))
        connection.close()
    assert answers[0] == answers[1]


def test_counters_and_hooks(server: Start, uwsgi_server: Start, tmp_path: Path) -> None:
    files = tmp_path / "ours", tmp_path / "theirs"
    arguments = (None, "--wsgi-file", str(APP), "--gevent", "10")
    ours = server(*arguments, env={"LEAVING_FILE": str(files[0])})
    theirs = uwsgi_server(*arguments, env={"LEAVING_FILE": str(files[1])}, fresh=True)
    for _ in range(3):
        assert rows(ours, "/counters") == rows(theirs, "/counters")
    assert rows(ours, "/state") == rows(theirs, "/state") == {"after": 3, "post_fork": 1}
    for one, file in zip((ours, theirs), files):
        one.interrupt()
        assert file.read_text() == "atexit was called"


def test_master(server: Start, uwsgi_server: Start) -> None:
    """With a master there is its pid, and uwsgidecorators can be imported."""
    arguments = (None, "--wsgi-file", str(APP), "--gevent", "10", "--master")
    ours, theirs = server(*arguments), uwsgi_server(*arguments)
    for path in ("/import", "/requests"):
        mine, real = rows(ours, path), rows(theirs, path)
        for row in ("masterpid", "uwsgidecorators", "import worker_id", "worker_id", "opt master"):
            assert mine.get(row) == real.get(row), row


INI = """
[uwsgi]
http-socket = 127.0.0.1:0
wsgi-file = {app}
gevent = 10
master = true
need-app =
my-key = the application's own
my-key = and again
place = %n.%e
"""


def test_configuration_file(server: Start, uwsgi_server: Start, tmp_path: Path) -> None:
    """`opt` and `magic_table` tell what the file said."""
    file = tmp_path / "some.ini"
    file.write_text(INI.format(app=APP))
    ours = server(None, "--ini", str(file), cwd=tmp_path)
    theirs = uwsgi_server(None, "--ini", str(file), cwd=tmp_path)
    mine, real = rows(ours, "/opt"), rows(theirs, "/opt")
    added = {"home", "ready-file"}  # by the test's harness
    assert {key: mine[key] for key in mine if key not in added} == {key: real[key] for key in real if key not in added}
    mine, real = rows(ours, "/magic"), rows(theirs, "/magic")
    assert set(mine) == set(real)
    program_and_times = "btTij"
    assert {key: mine[key] for key in mine if key not in program_and_times} == {
        key: real[key] for key in real if key not in program_and_times
    }


def test_the_log_takes_the_lines(ours: Server, theirs: Server) -> None:
    for server in (ours, theirs):
        rows(server, "/anywhere")
        wait_until(lambda server=server: "\na line for the log\n" in server.log, 20, "the line")
