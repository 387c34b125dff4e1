"""Command lines and files taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Optional

import pytest

from geuwsgi.config.sources import Collector, parse_arguments, split_section
from geuwsgi.errors import ConfigError


def ini(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def collected(*arguments: str, environ: Optional[Mapping[str, str]] = None) -> list[tuple[str, Optional[str]]]:
    collector = Collector(environ or {})
    collector.add_environment()
    collector.add_arguments(arguments)
    return [(entry.name, entry.value) for entry in collector.entries]


@pytest.mark.parametrize(
    ("words", "given", "alone"),
    [
        ("--http :80 --http-socket=:81", [("http", ":80"), ("http-socket", ":81")], []),
        ("-M -p4 -w mod:app", [("master", None), ("processes", "4"), ("module", "mod:app")], []),
        ("-Mp4", [("master", None), ("processes", "4")], []),
        ("-MLp 4", [("master", None), ("disable-logging", None), ("processes", "4")], []),
        ("-s :3031 -H dir -S a=b", [("socket", ":3031"), ("home", "dir"), ("set", "a=b")], []),
        ("-b8192 -z 5 -l9", [("buffer-size", "8192"), ("socket-timeout", "5"), ("listen", "9")], []),
        ("--workers 2 --wsgi x --pp y", [("workers", "2"), ("wsgi", "x"), ("pp", "y")], []),
        ("a.ini --master b.ini", [("master", None)], ["a.ini", "b.ini"]),
        ("--master -- --gevent", [("master", None)], ["--gevent"]),
        ("-C644", [("chmod-socket", "644")], []),
        ("-C 644", [("chmod-socket", None)], ["644"]),
        ("--http-keepalive --need-app=false", [("http-keepalive", None), ("need-app", "false")], []),
        ("--env A=B=C --env=D=E", [("env", "A=B=C"), ("env", "D=E")], []),
        ("--http-keepa --websockets-ping 3", [("http-keepalive", None), ("websockets-ping-freq", "3")], []),
        ("--touch-reload x y.ini", [("touch-reload", "x")], ["y.ini"]),
        ("--gevent= -", [("gevent", "")], ["-"]),
    ],
)
def test_parse_arguments(words: str, given: list[tuple[str, Optional[str]]], alone: list[str]) -> None:
    assert parse_arguments(words.split()) == (given, alone)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--gevnt 3", "command line: --gevnt: there is no such option, did you mean --gevent?"),
        ("--completely-different", "command line: --completely-different: there is no such option"),
        ("--http-s x", "command line: --http-s: is ambiguous, it may stand for --http-server-name-as-http-host, --http-socket"),
        ("--gevent", "command line: --gevent: needs an argument"),
        ("-Mp", "command line: --processes: needs an argument"),
        ("-M4", "command line: there is no option -4"),
        ("-ML4", "command line: there is no option -4 (in -ML4)"),
        ("--master=1", "command line: --master = 1: takes no argument on the command line"),
        ("--=x", "command line: there is no such option"),
    ],
)
def test_bad_arguments(words: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_arguments(words.split())
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("app.py", "command line: app.py is no ini file; an application is given as --wsgi-file app.py"),
        ("app:application", "command line: app:application is no ini file; an application is given as --module app:application"),
        ("--chmod-socket 644", "command line: 644 is no ini file; an argument of --chmod-socket needs the equals sign: --chmod-socket=644"),
        ("conf.yaml", "command line: conf.yaml: configuration of this kind is not read yet"),
        ("--yaml conf.yaml", "command line: --yaml = conf.yaml: configuration of this kind (YAML) is not read yet"),
        ("--include conf.json", "command line: --include = conf.json: configuration of this kind is not read yet"),
        ("--ini no-such.ini", "command line: --ini = no-such.ini: cannot be read: No such file or directory"),
        ("no-such.ini", "command line: no-such.ini cannot be read: No such file or directory"),
        ("--ini=", "command line: --ini: needs the name of a file"),
        ("--ini :x", "command line: --ini = :x: a section without a file"),
        ("--ini http://host/x.ini", "command line: --ini = http://host/x.ini: configuration is read from files only"),
        ("--stop pidfile", "command line: --stop = pidfile: only on the command line"),
        ("--set nothing", "command line: --set = nothing: write it as key=value"),
        ("--set =x", "command line: --set = =x: write it as key=value"),
        ("--set-placeholder master=1", "command line: --set-placeholder = master=1: master is an option"),
    ],
)
def test_refused(words: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        collected(*words.split())
    assert str(caught.value).startswith(complaint)


def test_ini_syntax(tmp_path: Path) -> None:
    path = ini(
        tmp_path / "a.ini",
        "before = any section\n"
        "[uwsgi]\r\n"
        "; a comment\n"
        "  # another\n"
        "\n"
        "bare\n"
        "  indented =  v  \n"
        "tab\t= \tv\t\n"
        "crlf = 1\r\n"
        "equals = a=b=c\n"
        "empty =\n"
        "rep = 1\n"
        "rep = 2\n"
        "hash = a#b;c\n"
        "text = 1 ; kept\n"
        'quoted = "x y"\n'
        "backslash = a \\\n"
        "[other]\n"
        "zz = 1\n"
        "[uwsgi]\n"
        "last = caf\u00e9",
    )
    assert collected("--ini", path)[1:] == [
        ("bare", ""),
        ("indented", "v"),
        ("tab", "v"),
        ("crlf", "1"),
        ("equals", "a=b=c"),
        ("empty", ""),
        ("rep", "1"),
        ("rep", "2"),
        ("hash", "a#b;c"),
        ("text", "1 ; kept"),
        ("quoted", '"x y"'),
        ("backslash", "a \\"),
        ("last", "caf\u00e9"),
    ]


def test_lines_are_remembered(tmp_path: Path) -> None:
    path = ini(tmp_path / "a.ini", "[x]\na = 1\n\n[uwsgi]\nb = 1\n; c\nd = 2\n")
    collector = Collector({})
    collector.add_arguments(["--master", path])
    assert [(entry.name, entry.source) for entry in collector.entries] == [
        ("master", "command line"),
        ("b", f"{path}:5"),
        ("d", f"{path}:7"),
    ]


def test_sections_and_files_include_each_other(tmp_path: Path) -> None:
    inner = ini(tmp_path / "inner.ini", "[uwsgi]\nx = base %n %x\n[mid]\ny = mid %n %x %X\nini = :uwsgi\n")
    outer = ini(tmp_path / "outer.ini", f"[uwsgi]\nbefore = %n\nini = {inner}:mid\nafter = %n\n")
    assert collected("--ini", outer)[1:] == [
        ("before", "outer"),
        ("ini", f"{inner}:mid"),
        ("y", "mid inner mid"),
        ("ini", ":uwsgi"),
        ("x", "base inner uwsgi"),
        ("after", "outer"),
    ]


def test_a_section_on_the_command_line(tmp_path: Path) -> None:
    path = ini(tmp_path / "a.ini", "[uwsgi]\na = 1\n[dev] ; with a comment\nb = 2\n")
    assert collected("--ini", f"{path}:dev") == [("ini", f"{path}:dev"), ("b", "2")]
    assert collected(f"{path}:dev") == [("b", "2")]
    assert collected("--ini", path, "--ini", ":dev")[1:] == [("a", "1"), ("ini", ":dev"), ("b", "2")]


def test_files_that_stand_alone_come_last(tmp_path: Path) -> None:
    path = ini(tmp_path / "a.ini", "[uwsgi]\ngevent = 1\n")
    assert collected(path, "--gevent", "2") == [("gevent", "2"), ("gevent", "1")]


def test_a_file_that_reads_itself(tmp_path: Path) -> None:
    path = ini(tmp_path / "a.ini", "[uwsgi]\nini = %p\n")
    with pytest.raises(ConfigError, match="read each other without end"):
        collected(path)


def test_a_missing_section_is_a_warning(tmp_path: Path) -> None:
    path = ini(tmp_path / "a.ini", "[uwsgi]\na = 1\n")
    collector = Collector({})
    collector.add_arguments(["--ini", f"{path}:prod"])
    assert collector.warnings == [f"{path}: there is no section [prod]"]


def test_an_option_without_its_equals_sign_is_a_warning(tmp_path: Path) -> None:
    path = ini(tmp_path / "a.ini", "[uwsgi]\nhttp :8080\nmaster\nsome words\n")
    collector = Collector({})
    collector.add_arguments(["--ini", str(path)])
    assert collector.warnings == [f"{path}:2: 'http :8080' sets nothing: there is no equals sign between http and its value"]
    assert [entry.name for entry in collector.entries] == ["ini", "http :8080", "master", "some words"]


def test_a_line_without_a_name(tmp_path: Path) -> None:
    path = ini(tmp_path / "a.ini", "[uwsgi]\n= 1\n")
    with pytest.raises(ConfigError, match=r"a\.ini:2: '= 1' has no name"):
        collected(path)


def test_byte_order_mark_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.ini"
    path.write_bytes(b"\xef\xbb\xbf[uwsgi]\nx = \xff\xfe\n")
    assert collected(str(path)) == [("x", "\udcff\udcfe")]


def test_a_colon_in_a_file_name(tmp_path: Path) -> None:
    path = ini(tmp_path / "a:b.ini", "[uwsgi]\na = 1\n")
    assert split_section(path) == (path, "")
    assert collected(path) == [("a", "1")]


def test_environment_comes_first() -> None:
    environ = {"UWSGI_HTTP_SOCKET": ":8080", "UWSGI_RELOADS": "1", "UWSGI_ORIGINAL_PROC_NAME": "x", "HOME": "/"}
    assert collected("--master", environ=environ) == [("http-socket", ":8080"), ("master", None)]


def test_set() -> None:
    assert collected("--set", "my-key=a=b", "-S", "gevent=5") == [
        ("set", "my-key=a=b"),
        ("my-key", "a=b"),
        ("set", "gevent=5"),
        ("gevent", "5"),
    ]


def test_conditions(tmp_path: Path) -> None:
    path = ini(
        tmp_path / "a.ini",
        "[uwsgi]\n"
        "if-env = STAGE\nenv-set = %(_)\nendif =\n"
        "if-env = STAGE=prod\nenv-prod = 1\nendif =\n"
        "if-env = STAGE=dev\nenv-dev = 1\nendif =\n"
        "if-not-env = STAGE\nno-stage = 1\nendif =\n"
        "if-exists = %d\nhere = %(_)\nend-if =\n"
        "if-not-dir = %d\nnot-here = 1\nendif =\n"
        "if-file = %p\nfile-here = 1\nendif =\n"
        "if-opt = env-set=prod\nopt-set = 1\nendif =\n"
        "if-not-opt = env-set=prod\nopt-not-set = 1\nendif =\n"
        "if-hostname = nobody-has-this-name\nmine = 1\nendif =\n"
        "if-plugin = gevent\nloop = yes\nendif =\n"
        "if-reload =\nreloaded = 1\nendif =\n"
        "always = 1\n",
    )
    got = dict(collected("--ini", path, environ={"STAGE": "prod"}))
    names = ["env-set", "env-prod", "here", "file-here", "opt-set", "loop", "always"]
    assert [name for name in got if not name.startswith(("if", "end", "ini"))] == names
    assert (got["env-set"], got["here"]) == ("prod", f"{tmp_path}/")


def test_loops(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.txt").write_text(f"{name}1\n{name}2\n")
    path = ini(
        tmp_path / "x.ini",
        "[uwsgi]\nfor = 1 2\nhttp = :808%(_)\nenv = N=%(_)\nendfor =\nfor-glob = %d*.txt\ng = %(_)\nend-for =\n"
        "for-times = 2\nt = %(_)\nend =\nfor-readline = %da.txt\nr = %(_)\nendfor =\n",
    )
    got = [(name, value) for name, value in collected(path) if not name.startswith(("for", "end"))]
    assert got == [
        ("http", ":8081"),
        ("http", ":8082"),
        ("env", "N=1"),
        ("env", "N=2"),
        ("g", f"{tmp_path}/a.txt"),
        ("g", f"{tmp_path}/b.txt"),
        ("t", "1"),
        ("t", "2"),
        ("r", "a1"),
        ("r", "a2"),
    ]


def test_files_inside_of_conditions(tmp_path: Path) -> None:
    inner = ini(tmp_path / "inner.ini", "[uwsgi]\na = 1\nb = 2\n")
    path = ini(
        tmp_path / "x.ini", f"[uwsgi]\nif-exists = {inner}\nini = %(_)\nendif =\nif-not-exists = {inner}\nini = nowhere.ini\nendif =\n"
    )
    assert [name for name, _ in collected(path)] == ["if-exists", "ini", "a", "b", "endif", "if-not-exists", "endif"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("if-env = A\nfor = 1 2\nendfor =\n", None),  # the inner one is skipped with the rest
        ("if-exists = /\nfor = 1 2\nendfor =\n", "x.ini:3: for = 1 2: stands inside of if-exists"),
        ("for-readline = nowhere\nx = 1\n", "No such file or directory"),
        ("if-hostname-match = (\nx = 1\n", "x.ini:2: if-hostname-match = (: "),
        ("if-hostname-match = " + "(" * 5000 + "\nx = 1\n", "recursion"),
        ("for-times = 99999999999\nx = 1\n", "x.ini:2: for-times = 99999999999: at most 100000 times"),
        ("include =\n", "x.ini:2: include: needs the name of a file"),
    ],
)
def test_bad_logic(text: str, complaint: Optional[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ini(tmp_path / "x.ini", "[uwsgi]\n" + text)
    if complaint is None:
        collected("x.ini")
        return
    with pytest.raises(ConfigError) as caught:
        collected("x.ini")
    assert complaint in str(caught.value)


def test_a_closed_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)  # what Python makes of it
    with pytest.raises(ConfigError, match="command line: --ini = -: standard input is closed"):
        collected("--ini", "-")


def test_a_condition_without_end(tmp_path: Path) -> None:
    path = ini(tmp_path / "x.ini", "[uwsgi]\nif-env = A\nx = 1\n")
    collector = Collector({})
    collector.add_arguments([path])
    collector.finish()
    assert collector.warnings == [f"{path}:2: if-env has no end"]
