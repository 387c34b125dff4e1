"""Finds the application: a file, a module, a dotted name, a factory; one, or several under mountpoints.

uWSGI goes on without an application when an import fails and answers 500 to everything. Here that is an AppLoadError, with the
application's own traceback, always: a server that cannot serve should say so and end.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any, Callable, Optional

from ..errors import AppLoadError
from ..log import log

#: A WSGI callable (PEP 3333).
Application = Callable[..., Any]


@dataclass(frozen=True)
class AppSettings:
    """Where the application is.

    Attributes:
        module: "pkg.mod", "pkg.mod:name", "pkg.mod:factory()" (`--module`), or "".
        wsgi_file: a Python source file, any extension, or a package's directory (`--wsgi-file`), or "".
        callable: the name to look for where none is given (`--callable`).
        mounts: (mountpoint, "file.py" or "file.wsgi" or "pkg.mod:name") pairs (`--mount`).
        imports: modules and files that are imported before (`--import`).
    """

    module: str = ""
    wsgi_file: str = ""
    callable: str = "application"
    mounts: tuple[tuple[str, str], ...] = ()
    imports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mount:
    """One application at its mountpoint: "" for the root, else "/x" without a slash at the end."""

    mountpoint: str
    application: Application


def load_applications(settings: AppSettings) -> list[Mount]:
    """Import everything that was asked for, in uWSGI's order: what is no application, module, file, mounts.

    Returns:
        The applications as loaded; number 0 is the default application. Empty if none was asked for.
    Raises:
        AppLoadError: an import failed, or there is no such callable.
    Source: uWSGI's `init_uwsgi_app`: the first one keeps a mountpoint that is given twice, later ones are reported and skipped.
    """
    import_modules(settings.imports)
    loaded: list[Mount] = []
    if settings.module:
        _add(loaded, "", lambda: _from_module(settings.module, settings.callable), settings.module)
    if settings.wsgi_file:
        _add(loaded, "", lambda: _from_file(settings.wsgi_file, settings.callable), settings.wsgi_file)
    for mountpoint, target in settings.mounts:
        is_file = target.endswith((".py", ".wsgi")) or os.path.isdir(target)
        load = _from_file if is_file else _from_module
        _add(loaded, mountpoint, lambda load=load, target=target: load(target, settings.callable), target)  # type: ignore[misc]
    return loaded


def import_modules(targets: Iterable[str]) -> None:
    """Import what is no application: timers, hooks of the application, and the like.

    Args:
        targets: modules ("pkg.mod"), or the paths of files (with ".py").

    Raises:
        AppLoadError: an import failed.
    """
    for target in targets:
        if target.endswith(".py"):
            with _Loading(target):
                _execute(target, "")
        else:
            _import(target)


def _add(loaded: list[Mount], mountpoint: str, load: Callable[[], Any], target: str) -> None:
    mountpoint = mountpoint.rstrip("/")  # uWSGI reads past its buffer for a mountpoint with a slash at the end
    if any(mount.mountpoint == mountpoint for mount in loaded):
        log(f"mountpoint {mountpoint or '/'} already has an application, {target} is not loaded")
        return
    started = time.monotonic()
    found = load()
    # What uWSGI calls a multiapp module: a dict of mountpoints instead of one callable.
    applications = found if isinstance(found, dict) else {mountpoint: found}
    if not applications:
        raise AppLoadError(f"the dictionary of applications of {target} is empty")
    for point, application in applications.items():
        if not isinstance(point, str):
            raise AppLoadError(f"the mountpoint {point!r} in the dictionary of applications of {target} is not a str")
        if not callable(application):
            raise AppLoadError(f"{_describe(application)} found for {target} is not a callable, so it cannot serve requests")
        point = point.rstrip("/")
        if any(mount.mountpoint == point for mount in loaded):
            log(f"mountpoint {point or '/'} already has an application, skipping the one of {target}")
            continue
        number, default = len(loaded), "" if loaded else " (default app)"
        loaded.append(Mount(point, application))
        seconds = int(time.monotonic() - started)
        log(f"WSGI app {number} (mountpoint='{point}') ready in {seconds} seconds on interpreter main pid: {os.getpid()}{default}")


def _from_module(target: str, default_name: str) -> Any:
    """ "pkg.mod" or "pkg.mod:name" or "pkg.mod:factory()". Source: uWSGI's `uwsgi_uwsgi_loader`."""
    name, _, wanted = target.partition(":")
    if not name:
        raise AppLoadError(f"{target!r} names no module; write it as pkg.mod, pkg.mod:name or pkg.mod:factory()")
    module = _import(name)
    advice = f"write {name}:" if wanted else "use --callable "
    return _pick(module, f"module {name}", wanted or default_name, module_dict=not wanted, advice=advice)


def _import(name: str) -> ModuleType:
    with _Loading(f"the module {name}"):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            # Only when it is the module itself (or a package above it); a failed import inside it shows its traceback.
            if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
                raise
            looked = ", ".join(sys.path)
            raise AppLoadError(f"there is no module named {error.name!r} in {looked}; --chdir and --pythonpath say where else") from None


def _from_file(path: str, name: str) -> Any:
    """A source file, under the module name that uWSGI gives it ("uwsgi_file_app" for app.py), because pickles and loggers carry it.

    Compiled here rather than imported, so that app.wsgi and app.py of one directory do not share a cached .pyc.
    """
    with _Loading(path):
        module = _execute(path, "uwsgi_file_")
    return _pick(module, path, name, module_dict=False)


def _execute(path: str, prefix: str) -> ModuleType:
    source = os.path.abspath(path)
    package = os.path.isdir(source)
    if package:
        source = os.path.join(source, "__init__.py")
    base = path[:-3] if path.endswith(".py") else path
    name = prefix + base.replace(".", "_").replace("/", "_")
    loader = SourceFileLoader(name, source)
    spec = spec_from_file_location(name, source, loader=loader, submodule_search_locations=[os.path.dirname(source)] if package else None)
    assert spec is not None
    try:
        data = loader.get_data(source)
    except OSError as error:
        raise AppLoadError(f"cannot read {source}: {error.strerror}") from None
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        exec(loader.source_to_code(data, source), module.__dict__)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _pick(module: ModuleType, where: str, wanted: str, module_dict: bool, advice: str = "use --callable ") -> Any:
    """The application inside a module: `uwsgi.applications`, the module's own `applications`, or the attribute `wanted`."""
    assigned = getattr(sys.modules.get("uwsgi"), "applications", None)
    if not isinstance(assigned, dict) and module_dict:
        assigned = getattr(module, "applications", None)
    if isinstance(assigned, dict):
        return {point: getattr(module, app, app) if isinstance(app, str) else app for point, app in assigned.items()}

    factory = wanted.endswith("()")
    found: Any = module
    for part in wanted[:-2].split(".") if factory else wanted.split("."):
        if not hasattr(found, part):
            raise AppLoadError(f"no callable named {wanted!r} in {where}{_suggestion(module, advice)}")
        found = getattr(found, part)
    if factory:
        with _Loading(f"{wanted} of {where}"):
            found = found()
    if not callable(found) and not isinstance(found, dict):
        raise AppLoadError(f"{wanted!r} in {where} is {_describe(found)}, not a callable")
    return found


def _suggestion(module: ModuleType, advice: str) -> str:
    """Name the likely one, if the module has it under another usual name."""
    for name in ("application", "app", "wsgi_app", "create_app", "make_app"):
        if callable(getattr(module, name, None)):
            call = "()" if name.startswith(("create", "make")) else ""
            return f"; it has {name!r}: {advice}{name}{call}"
    return f"; name the application: {advice}NAME"


def _describe(value: Any) -> str:
    return f"a {type(value).__name__}"


class _Loading:
    """Turns whatever the application's code raises while it is imported into an AppLoadError that carries the application's traceback."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Optional[type], error: Optional[BaseException], trace: Any) -> None:
        if error is None or isinstance(error, (AppLoadError, KeyboardInterrupt)):
            return
        if isinstance(error, SystemExit):
            raise AppLoadError(f"{self.what} called sys.exit({error.code!r}) while it was loaded", _traceback(error)) from None
        if isinstance(error, Exception):
            raise AppLoadError(f"{self.what} cannot be loaded: {_last_line(error)}", _traceback(error)) from None


def _traceback(error: BaseException) -> str:
    """The traceback from the application's first line on: what this file and importlib did above it tells the reader nothing."""
    trace = error.__traceback__
    while trace is not None and (trace.tb_frame.f_code.co_filename == __file__ or "importlib" in trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip("\n")


def _last_line(error: BaseException) -> str:
    return traceback.format_exception_only(type(error), error)[-1].strip()
