"""Placeholders. What stands in these tests was seen on uWSGI 2.0.31, but for what `docs/differences.rst` names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from geuwsgi.config.expand import Magic, arithmetic, read_reference, replace_all
from geuwsgi.errors import ConfigError


def test_magic_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "site" / "app.prod.ini"
    path.parent.mkdir()
    path.write_text("")
    magic = Magic()
    magic.enter(f"{path}:web", str(path), "web")
    assert magic.replace("%n %s %e %c %x") == "app.prod app.prod.ini ini site web"
    assert magic.replace("%d|%p") == f"{os.path.realpath(path.parent)}/|{os.path.realpath(path)}"
    assert magic.replace("%o") == f"{path}:web"
    assert magic.replace("%i") == str(path.stat().st_ino)
    assert magic.replace("/%0/%1") == "/" + "/".join(os.path.realpath(path).split("/")[1:3])


def test_magic_of_the_process() -> None:
    magic = Magic()
    assert magic.replace("%v") == os.getcwd()
    assert magic.replace("%h") == os.uname().nodename
    assert magic.replace("%k") == str(os.cpu_count())
    assert magic.replace("%V") == "2.0.31"
    assert magic.replace("%u %g") == f"{os.getuid()} {os.getgid()}"
    assert magic.replace("%[[0m") == "\033[0m"


def test_a_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConfigError, match=r"^the current directory is gone"):
        Magic()


def test_magic_percent() -> None:
    magic = Magic()
    assert magic.replace("100%% done") == "100% done"
    assert magic.replace("%%n") == "%n"
    assert magic.replace("%(name)") == "%(name)"
    assert magic.replace("a%Qb") == "ab"  # unknown: nothing
    assert magic.replace("50%\r\nx") == "50%\r\nx"  # uWSGI joins the lines
    assert magic.replace("50%") == "50%"


def test_capitals_keep_the_first_file(tmp_path: Path) -> None:
    first, second = tmp_path / "first.ini", tmp_path / "second.ini"
    magic = Magic()
    magic.enter(str(first), str(first), "")
    magic.enter(f"{second}:x", str(second), "x")
    assert magic.replace("%n %N %x %X|") == "second first x |"
    magic.enter(":y", "", "y")
    assert magic.replace("%n %x") == "second y"


def test_a_symbolic_link_counts_as_itself(tmp_path: Path) -> None:
    (tmp_path / "real.ini").write_text("")
    (tmp_path / "link.ini").symlink_to("real.ini")
    magic = Magic()
    magic.enter("", str(tmp_path / "link.ini"), "")
    assert magic.replace("%n") == "link"


def test_hash_of_the_path() -> None:
    magic = Magic()
    magic.enter("", "/no/such/directory/b2.ini", "")
    assert magic.replace("%j") == "F09569BC"


def test_replace_all() -> None:
    values = {"a": "1", "b": "%(a)2", "empty": ""}
    assert replace_all("x%(a)y%(b)", "%", values.get) == "x1y12"
    assert replace_all("%(nosuch) %(a)", "%", values.get) == "%(nosuch) 1"
    assert replace_all("%(empty)%(a)", "%", values.get) == "1"
    assert replace_all("%() %(a", "%", values.get) == "%() %(a"
    assert replace_all("%%(a)", "%", values.get) == "%1"
    assert replace_all("$(a) @(a)", "%", values.get) == "$(a) @(a)"
    assert replace_all("%(f(x))", "%", {"f(x)": "y"}.get) == "y"


def test_innermost_first() -> None:
    values = {"which": "a", "a": "1"}
    assert replace_all("%(%(which))", "%", values.get) == "1"


@pytest.mark.parametrize("value", ["%(a)", "x%(b)"])
def test_a_value_that_refers_to_itself(value: str) -> None:
    values = {"a": "%(b)", "b": "%(a)"}
    with pytest.raises(ConfigError, match="refers to itself"):
        replace_all(value, "%", values.get)


def test_a_value_without_bounds() -> None:
    values = {"a": "x" * 4_000_000}
    with pytest.raises(ConfigError, match=r"grows beyond 16 MB with %\(a\)"):
        replace_all("%(a)" * 10, "%", values.get)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a", "2"),
        ("a + 1", "3"),
        ("a b + 2", "30"),
        ("5 - 7", "-2"),
        ("3 3 + 1", "34"),
        ("7 / 2", "3"),
        ("-7 / 2", "0"),  # -7 is no number to uWSGI, and no option
        ("1 + 2 * 3", "9"),
        ("10 ++", "11"),
        ("10 -- 2", "92"),
        ("x + 1", "1"),
        ("1 / 0", "0"),
        ("2 * 2 + 1", "5"),
        ("c + 1", "9"),
        ("x y", ""),
        ("9" * 5000 + " + 0", "9223372036854775807"),
        ("0" * 5000 + "7 + 0", "7"),
    ],
)
def test_arithmetic(expression: str, expected: str) -> None:
    assert arithmetic(expression, {"a": "2", "b": "8", "c": "8 ; eight"}.get) == expected


@pytest.mark.parametrize("expression", ["x", "10/3", "1/0"])
def test_arithmetic_needs_spaces(expression: str) -> None:
    assert arithmetic(expression, {}.get) is None


def test_read_reference(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n\n")
    assert read_reference(str(tmp_path / "key"), {}) == "secret\n"
    assert read_reference(f"file://{tmp_path}/key", {}) == "secret\n"
    assert read_reference("exec://echo $WORD", {"WORD": "hi", "PATH": os.environ["PATH"]}) == "hi"


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("no-such-file", r"@\(no-such-file\) cannot be read: No such file"),
        ("exec://exit 3", "ended with status 3"),
        ("fd://x", "'x' is no descriptor"),
        ("fd://99999999999999", "'99999999999999' is no descriptor"),
        ("http://127.0.0.1/", "not http://"),
    ],
)
def test_read_reference_fails(target: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        read_reference(target, {})
