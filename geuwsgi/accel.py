"""The compiled twins of a few hot modules: whether they are there, and how they take the place of the pure ones.

A module ends with `use_compiled(globals(), "Name")`. Where `<package>._<module>` was built, `Name` becomes the compiled
one and the pure one stays reachable as `PureName`, so that the tests hold both against the same bytes. Most twins are
compiled from the very same file, with C types from the `.pxd` beside it.

It is all or nothing: with a part missing, in a checkout with one older than its source, or with the environment variable
GEUWSGI_PURE set, everything runs pure.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
from typing import Any

#: The modules with a compiled twin, without the underscore. setup.py builds the same list.
TWINS = (
    "protocol.masking",
    "protocol.frames",
    "protocol.messages",
    "server.rawio",
    "server.request",
    "server.writer",
    "server.websocket",
    "server.tlsstream",
    "api.websocket",
)


def twin_name(module: str) -> str:
    """The compiled twin's full name: "protocol.frames" -> "geuwsgi.protocol._frames"."""
    package, _, name = module.rpartition(".")
    return f"geuwsgi.{package}._{name}"


def _available() -> bool:
    if os.environ.get("GEUWSGI_PURE", "") not in ("", "0"):
        return False
    # find_spec on the package's own path: importing a twin here would import its package in the middle of its own import.
    here = os.path.dirname(__file__)
    finder = importlib.machinery.PathFinder
    checkout = os.path.exists(os.path.join(os.path.dirname(here), "setup.py"))
    for module in TWINS:
        package, _, name = module.rpartition(".")
        folder = os.path.join(here, *package.split("."))
        spec = finder.find_spec("_" + name, [folder])
        if spec is None or spec.origin is None:
            return False
        by_hand = os.path.join(folder, f"_{name}.pyx")
        sources = [by_hand if os.path.exists(by_hand) else os.path.join(folder, f"{name}.py"), os.path.join(folder, f"_{name}.pxd")]
        if checkout and any(os.path.getmtime(spec.origin) < os.path.getmtime(source) for source in sources if os.path.exists(source)):
            return False  # built from an older version
    return True


#: True where the compiled twins run.
COMPILED = _available()


def use_compiled(names: dict[str, Any], *replaced: str) -> None:
    """Put a module's compiled names in place of its pure ones.

    Args:
        names: the module's globals.
        replaced: the public names that the compiled twin provides.
    """
    module: str = names["__name__"]
    package, _, name = module.rpartition(".")
    if name.startswith("_"):
        return  # the twin itself, compiled from the same file
    twin = importlib.import_module(f"{package}._{name}") if COMPILED else None
    for public in replaced:
        names["Pure" + public] = names[public]
        if twin is not None:
            names[public] = getattr(twin, public)
