"""Hands the compiled modules to setuptools; everything else is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).resolve().parent / "packaging"))
from compiled_modules import (
    BuildAllOrNone,
    BuildPyAlone,
    EditableByPath,
    SdistWithC,
    extensions,
    is_off,
)

setup(
    # Without any, the wheel is of no platform.
    ext_modules=[] if is_off() else extensions(),
    cmdclass={
        "build_ext": BuildAllOrNone,
        "build_py": BuildPyAlone,
        "editable_wheel": EditableByPath,
        "sdist": SdistWithC,
    },
)
