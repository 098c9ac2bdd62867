"""The page on what a sensor can do, of which each line names its test."""

import ast
import re

import pytest
from support.paths import ROOT

PAGE = (ROOT / "docs/concepts/fleet-trust.md").read_text()
NAMED = re.compile(r"`([a-z_/]+\.py)::(test_\w+)`")


def test_each_line_names_a_test() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    rows = [line for line in lines if not line.startswith(("| ---", "| do this", "| its holder"))]
    assert len(rows) > 15
    assert [line for line in rows if not NAMED.search(line)] == []


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(PAGE))))
def test_what_the_page_names_is_a_test(file: str, name: str) -> None:
    tree = ast.parse((ROOT / "tests" / file).read_text())
    assert name in {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)}
