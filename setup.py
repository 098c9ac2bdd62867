"""Hands the compiled modules and the files below the prefix to setuptools; everything else is in
pyproject.toml."""

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
    shared_files,
)

setup(
    # Without any, the wheel is of no platform.
    ext_modules=[] if is_off() else extensions(),
    data_files=shared_files(),
    cmdclass={
        "build_ext": BuildAllOrNone,
        "build_py": BuildPyAlone,
        "editable_wheel": EditableByPath,
        "sdist": SdistWithC,
    },
)
