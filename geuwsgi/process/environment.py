"""What has to be as the application expects it before it is imported: directory, variables, virtual environment, path, limits, log."""

from __future__ import annotations

import glob
import os
import re
import resource
import site
import sys
import time
from collections.abc import Iterable
from typing import Optional

from ..errors import ConfigError
from ..log import log
from . import originals


def move_log(path: str) -> bool:
    """Put the time behind the name of the log file, as uWSGI does; False when there is none ("") or it cannot be."""
    if not path:
        log("there is no log file: --logto, --daemonize and --daemonize2 name one")
        return False
    try:
        os.rename(path, f"{path}.{time.time():.0f}")
    except OSError as error:
        log(f"the log file {path} cannot be moved: {error.strerror}")
        return False
    return True


def reopen_log(path: str, source: Optional[str]) -> None:
    """Open the log file anew, which somebody has moved away; does nothing when there is none ("")."""
    if path:
        try:
            redirect_log(path, source)
        except ConfigError as error:
            log(f"geuwsgi: {error}")


def redirect_log(path: str, source: Optional[str] = None, option: str = "logto") -> None:
    """Send standard output and standard error to the end of a file (`--logto`), for us, the application and the daemons alike.

    Args:
        path: the file.
        source: where the option was given that named it; `option` is that one.
    Raises:
        ConfigError: the file cannot be opened for appending.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise ConfigError(f"the log file cannot be opened: {error.strerror}", option, path, source) from None
    sys.stdout.flush()
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    originals.close(fd)


def logs_to(path: str) -> bool:
    """Whether standard output and standard error lead to this file already, as they do after a reload."""
    try:
        wanted = os.stat(path)
        return all(os.path.samestat(wanted, os.fstat(fd)) for fd in (1, 2))
    except OSError:
        return False


def raise_descriptor_limit() -> None:
    """Let this process open as many descriptors as the system permits: each websocket is one, and the usual soft limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS names "unlimited" as the hard limit and refuses it as the soft one
        log(f"the limit of open descriptors stays at {soft}: {error}")


def backlog_limit() -> int:
    """The longest queue of a listening socket. Where the kernel does not tell, no limit is known: the largest int of C."""
    try:
        with open("/proc/sys/net/core/somaxconn") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 2**31 - 1


def set_variables(assignments: Iterable[str]) -> None:
    """Apply `--env`: NAME=value sets, a bare NAME removes, as putenv(3) does for uWSGI."""
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if equals:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)


def change_directory(path: str, source: Optional[str] = None) -> None:
    """`--chdir`. Raises ConfigError if that directory cannot be entered."""
    try:
        os.chdir(path)
    except OSError as error:
        raise ConfigError(f"cannot change to this directory: {error.strerror}", "chdir", path, source) from None


def set_python_path(additions: Iterable[str], original_directory: str) -> None:
    """Put the working directory and `--pythonpath` in front of `sys.path`, where uWSGI puts them: the last addition first.

    Args:
        additions: directories or glob patterns; one that matches nothing is added as it is.
        original_directory: where the process was started; `python -m geuwsgi` put it in front, and after a --chdir nobody expects it there.
    """
    if sys.path and sys.path[0] in ("", original_directory):
        del sys.path[0]
    sys.path.insert(0, os.getcwd())
    for addition in additions:
        for entry in sorted(glob.glob(addition)) or [addition]:
            sys.path.insert(0, os.path.abspath(entry))


def activate_virtualenv(home: str, source: Optional[str] = None) -> None:
    """Let the application import from a virtual environment (`--virtualenv`), without a new interpreter.

    Its packages come before geuwsgi's own environment, which stays behind them: gevent lives there. `sys.prefix` points into the
    environment, as it does in uWSGI.

    Raises:
        ConfigError: no such directory, no environment, or one of another Python version: its compiled packages could not be loaded.
    Source: PEP 405 (pyvenv.cfg); uWSGI's `uwsgi_python_init`.
    """
    home = os.path.abspath(home)
    if not os.path.isdir(home):
        raise ConfigError("there is no such directory", "virtualenv", home, source)
    if os.path.realpath(home) == os.path.realpath(sys.prefix):
        return  # we run in it
    config = _read_pyvenv(os.path.join(home, "pyvenv.cfg"))
    ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
    theirs = _version_of(home, config)
    if theirs is None:
        raise ConfigError("this is no virtual environment: it has neither pyvenv.cfg nor lib/pythonX.Y", "virtualenv", home, source)
    if theirs != ours:
        raise ConfigError(
            f"this environment is for Python {theirs}, and geuwsgi runs on {ours}; "
            f"install geuwsgi with Python {theirs}, or make the environment anew with {sys.executable} -m venv",
            "virtualenv", home, source,
        )  # fmt: skip
    before = list(sys.path)
    for directory in _site_directories(home, ours):
        site.addsitedir(directory)
    if config.get("include-system-site-packages", "").lower() == "true" and config.get("home"):
        for directory in _site_directories(os.path.dirname(config["home"]), ours):
            site.addsitedir(directory)
    added = [entry for entry in sys.path if entry not in before]
    # In front of every other site-packages, behind the standard library.
    first = next((index for index, entry in enumerate(before) if "site-packages" in entry or "dist-packages" in entry), len(before))
    sys.path[:] = before[:first] + added + before[first:]
    sys.prefix = sys.exec_prefix = home


def _site_directories(home: str, version: str) -> list[str]:
    candidates = [os.path.join(home, lib, f"python{version}", "site-packages") for lib in ("lib", "lib64")]
    candidates.append(os.path.join(home, "lib", "python3", "dist-packages"))  # Debian's own Python
    seen: dict[str, str] = {}
    for directory in candidates:
        if os.path.isdir(directory):
            seen.setdefault(os.path.realpath(directory), directory)  # lib64 is often a link to lib
    return list(seen.values())


def _read_pyvenv(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8") as file:
            pairs = (line.partition("=") for line in file)
            return {key.strip().lower(): value.strip() for key, equals, value in pairs if equals}
    except OSError:
        return {}


def _version_of(home: str, config: dict[str, str]) -> Optional[str]:
    """ "3.11" for an environment, None for a directory that is none."""
    stated = config.get("version") or config.get("version_info") or ""
    match = re.match(r"(\d+\.\d+)", stated)
    if match:
        return match.group(1)
    ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
    found = sorted(os.path.basename(path)[6:] for path in glob.glob(os.path.join(home, "lib", "python[0-9].[0-9]*")))
    if ours in found:
        return ours  # a PYTHONHOME such as /usr may have several
    return found[0] if found else None
