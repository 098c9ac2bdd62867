"""Prints each module that netwatch names in an import and that cannot be imported, one a line.

A program of its own: the test of the packages runs it with their interpreter.
"""

import ast
import importlib
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import netwatch


def named() -> Iterator[tuple[str, str]]:
    """The modules of libraries, and what is imported from them."""
    for path in Path(netwatch.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                yield from ((each.name, "") for each in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield from ((node.module, each.name) for each in node.names)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    ours = {"netwatch", "cython", *sys.stdlib_module_names}
    for module, name in sorted(set(named())):
        if module.partition(".")[0] in ours:
            continue
        try:
            if name and not hasattr(importlib.import_module(module), name):
                importlib.import_module(f"{module}.{name}")
            importlib.import_module(module)
        except ImportError:
            print(module)
        except OSError:  # it is there, and a library of the system is not
            continue
