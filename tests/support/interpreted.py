"""Import compiled modules from their Python source, to compare both forms in one process."""

import importlib
import importlib.util
import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from types import ModuleType

from support.paths import ROOT

_TOOL = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
SOURCES = {name: ROOT / f"{name.replace('.', '/')}.py" for name in _TOOL["netwatch"]["compiled"]}
"""The sources of the compiled modules by module name."""

LOOP = "netwatch.dissect.loop.loop"
"""The module of the packet loop."""


class SourceFinder:
    """An import finder that finds the source of a compiled module if `selects` its name."""

    def __init__(self, selects: Callable[[str], bool]) -> None:
        self._selects = selects

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        source = SOURCES.get(name) if self._selects(name) else None
        return importlib.util.spec_from_file_location(name, source) if source else None


def interpreted() -> ModuleType:
    """The module of the packet loop, interpreted like all modules that it is composed of."""
    return interpreted_loop()[LOOP]


def interpreted_loop() -> dict[str, ModuleType]:
    """The modules of the packet loop by name, interpreted."""
    return _import_again([LOOP], _is_of_the_loop)


def all_interpreted(*names: str) -> dict[str, ModuleType]:
    """These modules of netwatch and all that they import, by name, interpreted."""
    return _import_again(names, _is_of_netwatch)


def stale() -> list[str]:
    """The compiled modules that are older than their source, or than any declarations, which
    others may have been compiled with: Python would import those."""
    declared = max(path.stat().st_mtime for path in ROOT.glob("netwatch/**/*.pxd"))
    return [
        name
        for name, source in SOURCES.items()
        for built in [source.with_suffix(suffix) for suffix in EXTENSION_SUFFIXES]
        if built.exists() and built.stat().st_mtime < max(source.stat().st_mtime, declared)
    ]


def _import_again(names: Sequence[str], selects: Callable[[str], bool]) -> dict[str, ModuleType]:
    """Import modules and what they import again, where `selects` their names, from their source.
    The modules that were imported before stay what the rest of the process uses."""
    finder = SourceFinder(selects)
    before = {name: sys.modules.pop(name) for name in [*sys.modules] if selects(name)}
    sys.meta_path.insert(0, finder)
    try:
        for name in names:
            importlib.import_module(name)
    finally:
        sys.meta_path.remove(finder)
        imported = {name: sys.modules.pop(name) for name in [*sys.modules] if selects(name)}
        sys.modules.update(before)
        for name, module in before.items():
            # A package has its modules as attributes.
            package, _, last = name.rpartition(".")
            if package in sys.modules:
                setattr(sys.modules[package], last, module)
    return imported


def _is_of_the_loop(name: str) -> bool:
    batch = ("netwatch.core.observation_batch", "netwatch.core.text_dictionary")
    return name in SOURCES and (name.startswith("netwatch.dissect.") or name in batch)


def _is_of_netwatch(name: str) -> bool:
    return name.split(".")[0] == "netwatch"


if __name__ == "__main__":
    # The command line as it runs where no module is compiled.
    sys.meta_path.insert(0, SourceFinder(_is_of_netwatch))
    from netwatch.cli import main

    sys.exit(main())
