"""The build backend: setuptools, which asks for Cython only where something is to be translated.

An sdist ships the C that Cython generated, so building a wheel from one needs a C compiler at
most (PEP 517, `get_requires_for_build_wheel`).
"""

from pathlib import Path
from typing import Any

from setuptools.build_meta import (
    get_requires_for_build_editable as _for_editable,
)
from setuptools.build_meta import (
    get_requires_for_build_sdist as _for_sdist,
)
from setuptools.build_meta import (
    get_requires_for_build_wheel as _for_wheel,
)

CYTHON = "Cython>=3.1"


def _translates() -> list[str]:
    return [] if Path("PKG-INFO").exists() else [CYTHON]


def get_requires_for_build_wheel(settings: Any = None) -> list[str]:
    """What building a wheel needs."""
    return [*_for_wheel(settings), *_translates()]


def get_requires_for_build_editable(settings: Any = None) -> list[str]:
    """What an editable installation needs."""
    return [*_for_editable(settings), *_translates()]


def get_requires_for_build_sdist(settings: Any = None) -> list[str]:
    """What building an sdist needs."""
    return [*_for_sdist(settings), CYTHON]
