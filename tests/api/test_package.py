"""What the packages export, and what it costs to import them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import netwatch
from netwatch import api

PROGRAM = """
import sys
before = set(sys.modules)
import netwatch
assert set(sys.modules) - before == {"netwatch"}, set(sys.modules) - before
import re
class Watched(type(re)):
    def __setattr__(self, name, value):
        raise AssertionError(name)
re.__class__ = Watched
netwatch.match("tiktok.com")
netwatch.scan("none.pcap")
assert "netwatch.cli" not in sys.modules
"""


def test_what_is_exported_is_declared() -> None:
    """The names that a type checker sees are those that there are."""
    tree = ast.parse(Path(netwatch.__file__).read_text(encoding="utf-8"))
    declared = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "netwatch.api"
        for alias in node.names
    }
    assert declared == set(netwatch.__all__) - {"__version__"}
    for name in declared:
        assert getattr(netwatch, name) is getattr(api, name)
    assert set(netwatch.__all__) <= set(dir(netwatch))
    assert all(hasattr(api, name) for name in api.__all__)


def test_nothing_else_is_an_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'netwatch' has no attribute 'Incidents'"):
        netwatch.Incidents  # type: ignore[attr-defined]  # noqa: B018


def test_the_package_imports_nothing_until_it_is_asked(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-I", "-c", PROGRAM], cwd=tmp_path, check=True, timeout=60)
