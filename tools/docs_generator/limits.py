"""Every limit, with its value taken from the code.

``data/limits.yaml`` lists them. A test demands a row for every constant of the code that is called
``MAX_...`` or ``..._LIMIT``.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from docs_generator.data import rows
from docs_generator.markdown import code, duration, size, table
from docs_generator.pages import ROOT

UNITS: dict[str, Callable[[float], str]] = {
    "": lambda value: f"{value:,}",
    "bytes": lambda value: size(int(value)),
    "ns": lambda value: duration(value / 1_000_000_000),
    "s": duration,
    "share": lambda value: f"one part in {value}",
}
"""How values are written, by unit."""


def places() -> set[str]:
    """The constants and arguments that the tables name."""
    return {
        place for part in rows("limits").values() for _, place, *_ in part if isinstance(place, str)
    }


def block(part: str) -> str:
    """The limits of a part of netwatch."""
    return table(
        ("limit on", "value", "when it is reached", "in the code"),
        (
            [what, UNITS[unit](value(place)), reached, code(place) if place in places() else ""]
            for what, place, unit, reached in rows("limits")[part]
        ),
    )


def value(place: str | int) -> float:
    """The value of a limit. Raises `ValueError` if the code has no such constant."""
    if isinstance(place, int):
        return place
    path, _, argument = place.partition(":")
    module, _, name = f"netwatch.{path}".rpartition(".")
    found: object
    if argument:
        owner = getattr(importlib.import_module(module), name)
        found = inspect.signature(owner).parameters[argument].default
    else:
        found = constants(module).get(name)
    if not isinstance(found, int | float):
        raise ValueError(f"{place} is not a number in the code: {found!r}")
    return found


@cache
def constants(module: str) -> dict[str, object]:
    """What a module assigns at its top level; for compiled code, which hides its constants, the
    literal in their declaration."""
    there = vars(importlib.import_module(module))
    found: dict[str, object] = {}
    for name, given in assignments(ROOT / f"{module.replace('.', '/')}.py"):
        if isinstance(given, ast.Call) and ast.unparse(given.func) == "cython.declare":
            literal = given.args[1]
            found[name] = literal.value if isinstance(literal, ast.Constant) else None
        else:
            found[name] = there.get(name)
    return found


def assignments(file: Path) -> Iterator[tuple[str, ast.expr]]:
    """The assignments at the top level of a module: name and expression."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield ast.unparse(target), node.value


def named() -> Iterator[str]:
    """Every constant of the code that is a limit by its name."""
    package = ROOT / "netwatch"
    for file in sorted(package.rglob("*.py")):
        module = ".".join(file.relative_to(package).with_suffix("").parts)
        for name, _ in assignments(file):
            if re.match(r"MAX_|(?!ANOMALY_)([A-Z0-9]+_)*LIMIT$", name):
                yield f"{module.removesuffix('.__init__')}.{name}"
