"""The command as a person types it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from geuwsgi import __version__, cli
from geuwsgi.config import options
from geuwsgi.server.settings import ServerSettings
from tests.harness.programs import ROOT


def geuwsgi(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "geuwsgi", *arguments], cwd=cwd, capture_output=True, text=True, timeout=30)


def test_without_arguments() -> None:
    done = geuwsgi()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == cli.USAGE


def test_version() -> None:
    done = geuwsgi("--version")
    assert done.returncode == 0
    assert re.fullmatch(
        rf"geuwsgi {re.escape(__version__)} emulating uWSGI 2\.0\.31 \((compiled|pure)\), \w+ 3\.\d+\.\d+\S*, gevent \d\S*\n", done.stdout
    )


def test_a_checkout_without_gevent() -> None:
    # -S leaves out the site-packages.
    command = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from geuwsgi.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["--http", "127.0.0.1:0", "--wsgi-file", "app.py"]
    done = subprocess.run([sys.executable, "-I", "-S", "-c", command, *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr == f"geuwsgi: {sys.executable} has no package 'gevent': install geuwsgi with pip, which brings it along\n"


@pytest.mark.parametrize("argument", ["--help", "-h", "--usage"])
def test_help(argument: str) -> None:
    done = geuwsgi(argument)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: geuwsgi")


@pytest.mark.parametrize("width", [40, 80, 100, 250])
def test_help_fits(width: int) -> None:
    lines = cli.help_text(width).splitlines()
    assert max(map(len, lines)) <= min(100, max(80, width))
    assert not any(line.endswith(" ") for line in lines)


def test_help_names_every_option() -> None:
    words = set(re.findall(r"--[\w-]+", cli.help_text()))
    assert {"--" + name for option in options.OPTIONS for name in option.names} <= words


def test_help_tells_the_default_number_of_cores() -> None:
    assert f"up to {ServerSettings.cores} requests" in re.sub(r"\s+", " ", cli.help_text())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--gevnt", "5"], "geuwsgi: command line: --gevnt: there is no such option, did you mean --gevent?\n"),
        (["--gevent", "many"], "geuwsgi: command line: --gevent = many: N must be a whole number\n"),
        (["--gevent"], "geuwsgi: command line: --gevent: needs an argument\n"),
        (["x.ini"], "geuwsgi: x.ini:2: listen = long: N must be a whole number\n"),
        (["nowhere.ini"], "geuwsgi: command line: nowhere.ini cannot be read: No such file or directory\n"),
        (
            ["--yaml", "x.yaml"],
            "geuwsgi: command line: --yaml = x.yaml: configuration of this kind (YAML) is not read yet, write it as an ini file\n",
        ),
    ],
)
def test_one_message_and_status_1(arguments: list[str], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.ini").write_text("[uwsgi]\nlisten = long\n")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = geuwsgi(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", complaint)


def test_nothing_is_imported_before_it_can_be_patched() -> None:
    """gevent, and modules that keep references to what it patches, come after the configuration."""
    code = "import sys, geuwsgi.cli, geuwsgi.config.config as c; c.load(['--gevent', '5'], {}); print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    assert "geuwsgi.config.config" in loaded
    for name in ("gevent", "greenlet", "socket", "ssl", "threading", "subprocess", "selectors", "geuwsgi.process.run", "geuwsgi.server"):
        assert name not in loaded
