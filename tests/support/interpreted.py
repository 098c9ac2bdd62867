"""What the build compiles, from its sources, beside the compiled form that is installed."""

import importlib
import importlib.util
import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from support.paths import ROOT

_TOOL = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
SOURCES = {name: ROOT / f"{name.replace('.', '/')}.py" for name in _TOOL["netwatch"]["compiled"]}
"""What the build compiles, by module name."""


class FromSource:
    """Finds those of these modules that `anew` takes in their sources alone."""

    def __init__(self, anew: Callable[[str], bool]) -> None:
        self._anew = anew

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        source = SOURCES.get(name) if self._anew(name) else None
        return importlib.util.spec_from_file_location(name, source) if source else None


LOOP = "netwatch.dissect.loop.loop"


def interpreted() -> ModuleType:
    """The module of the packet loop, interpreted like all modules that it is composed of."""
    return interpreted_loop()[LOOP]


def interpreted_loop() -> dict[str, ModuleType]:
    """The modules of the packet loop by name, interpreted."""
    return _imported([LOOP], _of_the_loop)


def all_interpreted(*names: str) -> dict[str, ModuleType]:
    """Modules of netwatch by name, interpreted, and all of netwatch that they stand on."""
    return _imported(names, _ours)


def _imported(names: Sequence[str], anew: Callable[[str], bool]) -> dict[str, ModuleType]:
    """What was imported anew; what others import stays as it was."""
    finder = FromSource(anew)
    before = {each: sys.modules.pop(each) for each in [*sys.modules] if anew(each)}
    sys.meta_path.insert(0, finder)
    try:
        for name in names:
            importlib.import_module(name)
    finally:
        sys.meta_path.remove(finder)
        made = {each: sys.modules.pop(each) for each in [*sys.modules] if anew(each)}
        sys.modules.update(before)
        for name, module in before.items():
            # a package names its modules, too
            package, _, last = name.rpartition(".")
            if package in sys.modules:
                setattr(sys.modules[package], last, module)
    return made


def _of_the_loop(name: str) -> bool:
    return name in SOURCES and name.startswith("netwatch.dissect.")


def _ours(name: str) -> bool:
    return name.split(".")[0] == "netwatch"


if __name__ == "__main__":
    # The command line as it runs where nothing could be compiled.
    sys.meta_path.insert(0, FromSource(_ours))
    from netwatch.cli import main

    sys.exit(main())
