"""The packet loop from its sources, beside the compiled one that is installed."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import netwatch.dissect

ROOM = Path(next(iter(netwatch.dissect.__path__)))
SOURCES = {f"netwatch.dissect.{pxd.stem}": pxd.with_suffix(".py") for pxd in ROOM.glob("*.pxd")}
"""What the build compiles of the room, by module name."""


class _FromSource:
    """Finds these modules in their sources alone."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        source = SOURCES.get(name)
        return importlib.util.spec_from_file_location(name, source) if source else None


def interpreted() -> ModuleType:
    """The kernel module, interpreted; what others import stays as it was."""
    finder = _FromSource()
    before = {name: sys.modules.pop(name) for name in SOURCES if name in sys.modules}
    room = vars(netwatch.dissect).copy()
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module("netwatch.dissect.kernel")
    finally:
        sys.meta_path.remove(finder)
        for name in SOURCES:
            sys.modules.pop(name, None)
        sys.modules.update(before)
        vars(netwatch.dissect).update(room)
