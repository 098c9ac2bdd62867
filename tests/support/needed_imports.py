"""What programs of the project import, found in their sources without running them."""

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from support.paths import PCAPS, ROOT

FOLDERS = (ROOT, ROOT / "tools", ROOT / "packaging", ROOT / "tests", PCAPS)
"""Where modules of the project are."""

PROGRAMS = ("tools", "packaging", "tests", "pcaps")
"""Folders whose functions belong to a program: it will call them. What functions of netwatch import
depends on the command and its options."""


def third_party(paths: Iterable[Path]) -> dict[str, str]:
    """The top-level names of others' modules that files and what they import of the project import,
    each with a file that does."""
    found: dict[str, str] = {}
    seen: set[Path] = set()
    waiting = [*paths]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in imports(path):
            waiting += sources(name)
            top = name.partition(".")[0]
            if not is_ours(top) and top not in sys.stdlib_module_names:
                found.setdefault(top, str(path.relative_to(ROOT)))
    return found


@cache
def is_ours(name: str) -> bool:
    """Whether a top-level module is one of the project."""
    there = (each / name for each in FOLDERS)
    return any(each.is_dir() or each.with_suffix(".py").is_file() for each in there)


@cache
def sources(module: str) -> tuple[Path, ...]:
    """The files of a module of the project and of its packages; none if it is somebody else's."""
    for folder in FOLDERS:
        path = folder.joinpath(*module.split("."))
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                packages = (each / "__init__.py" for each in file.relative_to(folder).parents)
                there = (folder / each for each in packages)
                return (file, *(each for each in there if each.is_file()))
    return ()


@cache
def imports(path: Path) -> tuple[str, ...]:
    """The modules that a file imports, as far as running it will import them: of a program all, of
    netwatch those of the top level."""
    inside = path.relative_to(ROOT).parts[0] in PROGRAMS
    return tuple(_imports(ast.parse(path.read_text(encoding="utf-8")).body, inside))


def _imports(statements: Iterable[ast.AST], inside: bool) -> Iterator[str]:
    for each in statements:
        if isinstance(each, ast.Import):
            yield from (alias.name for alias in each.names)
        elif isinstance(each, ast.ImportFrom):
            if f"{each.module}.".startswith("cython.cimports."):
                continue  # only compiled code imports it
            yield from (f"{each.module}.{alias.name}" for alias in each.names)
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and not inside:
            continue
        elif isinstance(each, ast.If) and ast.unparse(each.test) == "TYPE_CHECKING":
            yield from _imports(each.orelse, inside)
        elif isinstance(each, ast.Try) and any(map(_does_without, each.handlers)):
            yield from _imports(each.handlers, inside)
        elif isinstance(each, ast.List):
            yield from _started(each)
        else:
            yield from _imports(ast.iter_child_nodes(each), inside)


def _does_without(handler: ast.ExceptHandler) -> bool:
    return "ImportError" in ast.unparse(handler)


def _started(command: ast.List) -> Iterator[str]:
    """The modules that a command starts: ``[sys.executable, "-m", "build", ...]``."""
    for option, name in zip(command.elts, command.elts[1:], strict=False):
        module = ast.unparse(name).strip("'")
        if ast.unparse(option) == "'-m'" and module.isidentifier():
            yield module
