"""What Python lacks on other systems, as typeshed says, whose stubs mypy brings.

A stub contains for each name on which systems there is one, as conditions on ``sys.platform``. A
name is lacking on a system if it is there on Linux and not on that one.
"""

import ast
import json
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import mypy
from support.paths import ROOT

SYSTEMS = ("win32", "darwin", "freebsd14")
"""Values of ``sys.platform``."""

STUBS = Path(mypy.__file__).parent / "typeshed" / "stdlib"

SOME_LACK = ("os", "signal", "socket", "select", "mmap", "time", "errno", "multiprocessing.context")
"""Modules that every system has, and of which some lack a part."""

NOT_EVERYWHERE = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
"""Modules of which some systems have nothing."""


@cache
def names_on(module: str, system: str) -> frozenset[str]:
    """The public names of a module on a system."""
    path = STUBS / module.replace(".", "/")
    stub = path / "__init__.pyi" if path.is_dir() else path.with_suffix(".pyi")
    return frozenset(_names(ast.parse(stub.read_text()).body, system))


def _names(statements: list[ast.stmt], system: str) -> set[str]:
    found: set[str] = set()
    for each in statements:
        if isinstance(each, ast.If):
            test = compile(ast.Expression(each.test), "stub", "eval")
            there = SimpleNamespace(platform=system, version_info=sys.version_info)
            found |= _names(each.body if eval(test, {"sys": there}) else each.orelse, system)
        elif isinstance(each, ast.ImportFrom):
            # A stub exports what it imports under another or, again, the same name.
            found |= {name.asname for name in each.names if name.asname}
        elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            found.add(each.target.id)
        elif isinstance(each, ast.Assign):
            found |= {target.id for target in each.targets if isinstance(target, ast.Name)}
        elif isinstance(each, ast.FunctionDef | ast.ClassDef):
            found.add(each.name)
    return {name for name in found if not name.startswith("_")}


@cache
def lacking_names(module: str, system: str) -> frozenset[str]:
    """The names of a module that a system lacks."""
    return names_on(module, "linux") - names_on(module, system)


def lacking_modules(system: str) -> frozenset[str]:
    """The modules that a system lacks."""
    return frozenset(each for each in NOT_EVERYWHERE if not names_on(each, system))


def as_on(system: str, folder: Path) -> dict[str, str]:
    """The environment in which netwatch finds what a system has; `folder` is for a file. See
    ``tests/systems/simulation/sitecustomize.py``."""
    simulated = {
        "system": system,
        "modules": sorted(lacking_modules(system)),
        "names": {each: sorted(lacking_names(each, system)) for each in SOME_LACK},
    }
    file = folder / "simulation.json"
    file.write_text(json.dumps(simulated))
    path = ROOT / "tests" / "systems" / "simulation"
    return {"NETWATCH_SIMULATION": str(file), "PYTHONPATH": str(path)}
