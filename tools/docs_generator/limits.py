"""Limits, with their values taken from the code.

``data/limits.yaml`` lists all of them: a test demands a row for every constant of the code that is
called ``MAX_...`` or ``..._LIMIT``. ``data/limits_shown.yaml`` chooses those of the page.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from docs_generator.data import rows
from docs_generator.markdown import duration, size, table
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
    """The limits of a part of netwatch that users can meet."""
    known = described()
    return table(
        ("limit on", "value", "when it is reached"),
        (
            [known[place][0], UNITS[known[place][1]](value(place)), known[place][2]]
            for (place,) in rows("limits_shown")[part]
        ),
    )


@cache
def described() -> dict[str | int, tuple[str, str, str]]:
    """What is limited, the unit and what happens, by place; "the same" is that of the row above."""
    found: dict[str | int, tuple[str, str, str]] = {}
    for part in rows("limits").values():
        last = ""
        for what, place, unit, reached in part:
            last = last if reached == "the same" else reached
            found[place] = (what, unit, last)
    return found


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
