"""The build backend (PEP 517): setuptools, which installs Cython only where it is needed.

An sdist contains the generated C, so building a wheel from it takes a C compiler at most.
"""

from typing import Any

from compiled_modules import is_off, is_translated
from setuptools.build_meta import *  # noqa: F403 - all hooks that are not defined here
from setuptools.build_meta import (
    get_requires_for_build_editable as _for_editable,
)
from setuptools.build_meta import (
    get_requires_for_build_sdist as _for_sdist,
)
from setuptools.build_meta import (
    get_requires_for_build_wheel as _for_wheel,
)


def _cython() -> list[str]:
    return [] if is_off() or is_translated() else ["Cython>=3.1"]


def get_requires_for_build_wheel(settings: Any = None) -> list[str]:
    """What building a wheel needs beside setuptools."""
    return [*_for_wheel(settings), *_cython()]


def get_requires_for_build_editable(settings: Any = None) -> list[str]:
    """What an editable installation needs beside setuptools."""
    return [*_for_editable(settings), *_cython()]


def get_requires_for_build_sdist(settings: Any = None) -> list[str]:
    """What building an sdist needs beside setuptools."""
    return [*_for_sdist(settings), *_cython()]
