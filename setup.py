"""The part of the build that setup.cfg cannot say: optional compiled modules.

Without a compiler, or without Cython, the installation succeeds all the same and the pure Python twins run.
"""

from __future__ import annotations

import os

from setuptools import Extension, setup

#: (module name, its sources). Each has a pure Python twin that stays importable.
COMPILED: list[tuple[str, list[str]]] = []


def extensions() -> list[Extension]:
    """The compiled modules, each allowed to fail; none when GEUWSGI_PURE is set or Cython is missing."""
    if not COMPILED or os.environ.get("GEUWSGI_PURE"):
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    modules = cythonize(
        [Extension(name, sources, extra_compile_args=["-O3"]) for name, sources in COMPILED],
        compiler_directives={"language_level": 3},
    )
    for module in modules:
        module.optional = True  # cythonize() returns new objects, without the flag of those that it was given
    return modules


setup(ext_modules=extensions())
