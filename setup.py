"""The part of the build that setup.cfg cannot say: the optional compiled twins of a few hot modules.

Without a compiler, or without Cython, the installation succeeds all the same and the pure modules run.

    python setup.py build_ext --inplace     builds them in a checkout; done again only where a source has changed
"""

from __future__ import annotations

import glob
import os
import runpy

from setuptools import Extension, setup

BUILD = os.path.join("build", "cython")

DIRECTIVES = {
    "language_level": 3,
    # The annotations are mypy's; C types come from the .pxd files.
    "annotation_typing": False,
    # Every index is checked against the length by the code itself.
    "boundscheck": False,
    "wraparound": False,
}


def extensions() -> list[Extension]:
    """One extension per twin, each allowed to fail; none with GEUWSGI_PURE set or without Cython."""
    if os.environ.get("GEUWSGI_PURE", "") not in ("", "0"):
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    modules = []
    declarations = glob.glob(os.path.join("geuwsgi", "*", "*.pxd"))
    for twin in runpy.run_path(os.path.join("geuwsgi", "accel.py"))["TWINS"]:
        package, _, name = twin.rpartition(".")
        folder = os.path.join("geuwsgi", *package.split("."))
        written_by_hand = os.path.join(folder, f"_{name}.pyx")
        # Most are compiled from the module itself, with C types from `_name.pxd` where there is one.
        source = written_by_hand if os.path.exists(written_by_hand) else os.path.join(folder, f"{name}.py")
        # Cython looks for a change of `name.pxd`, but ours is `_name.pxd`, and may be used by others too.
        generated = os.path.join(BUILD, os.path.splitext(source)[0] + ".c")
        if os.path.exists(generated) and any(os.path.getmtime(path) > os.path.getmtime(generated) for path in declarations):
            os.remove(generated)
        modules.append(Extension(f"geuwsgi.{package}._{name}", [source], extra_compile_args=["-O3"]))
    modules = cythonize(modules, compiler_directives=DIRECTIVES, build_dir=BUILD, quiet=True)
    for module in modules:
        module.optional = True  # cythonize() returns new objects, without the flag of those that it was given
    return modules


setup(ext_modules=extensions())
