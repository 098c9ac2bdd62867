"""Modules of the folder ``packaging``, which is no package."""

import importlib
import sys
from types import ModuleType

from support.paths import ROOT


def packaging_modules(*names: str) -> list[ModuleType]:
    """Modules of the folder ``packaging``, which is no package."""
    sys.path.insert(0, str(ROOT / "packaging"))
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        sys.path.remove(str(ROOT / "packaging"))
