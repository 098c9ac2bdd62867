"""Only `netwatch.core.system`, and the modules that it names, use what a system lacks."""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from support.lacking import SOME_LACK, SYSTEMS, lacking_modules, lacking_names
from support.paths import ROOT

from netwatch.core.system import LINUX_ONLY, POSIX_ONLY

SEAM = "netwatch.core.system"


class Names(NamedTuple):
    """What a module imports, the names ``module.name`` that it uses, and its calls of `os.open`."""

    imports: frozenset[str]
    uses: frozenset[str]
    opens: tuple[str, ...]


def names_in(source: str) -> Names:
    imports, uses, opens = set(), set(), []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            uses.add(f"{node.value.id}.{node.attr}")
        elif isinstance(node, ast.Import):
            imports |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports.add(node.module)
            uses |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "os.open":
            opens.append(ast.unparse(node))
    return Names(frozenset(imports), frozenset(uses), tuple(opens))


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def all_names() -> dict[str, Names]:
    """The names in each module of netwatch."""
    paths = sorted((ROOT / "netwatch").rglob("*.py"))
    return {module_name(path): names_in(path.read_text()) for path in paths}


def used(names: Names, system: str) -> set[str]:
    """What a module uses that a system lacks."""
    lacking = {f"{each}.{name}" for each in SOME_LACK for name in lacking_names(each, system)}
    return {*(names.imports & lacking_modules(system)), *(names.uses & lacking)}


def is_below(module: str, places: tuple[str, ...]) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in places)


@pytest.mark.parametrize("system", SYSTEMS)
def test_nothing_else_uses_what_a_system_lacks(system: str) -> None:
    exempt = (SEAM, *LINUX_ONLY, *(POSIX_ONLY if system == "win32" else ()))
    found = {
        name: uses
        for name, names in all_names().items()
        if not is_below(name, exempt) and (uses := used(names, system))
    }
    assert found == {}


def test_each_exempt_module_uses_something() -> None:
    """A row that nothing needs any more is removed."""
    for places, system in ((LINUX_ONLY, "darwin"), (POSIX_ONLY, "win32")):
        for each in places:
            below = [names for name, names in all_names().items() if is_below(name, (each,))]
            assert any(used(names, system) for names in below), each


def test_it_would_find_them() -> None:
    names = names_in("import fcntl, os\nfrom socket import AF_UNIX\nos.geteuid()\nos.getpid()")
    assert used(names, "win32") == {"fcntl", "socket.AF_UNIX", "os.geteuid"}
    assert used(names, "freebsd14") == set()
    assert used(names_in("import os\nos.eventfd(0)"), "darwin") == {"os.eventfd"}


def test_what_is_opened_stays_as_it_is() -> None:
    """`os.open` on Windows translates line ends unless told not to (see `O_CLOEXEC` there)."""
    for name, names in all_names().items():
        for call in names.opens:
            if is_below(name, (*POSIX_ONLY, *LINUX_ONLY, SEAM)) or "devnull" in call:
                continue
            assert "netwatch.core.system.files.O_CLOEXEC" in names.uses, (name, call)
