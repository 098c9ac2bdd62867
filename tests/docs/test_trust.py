"""The page on who can do what, of which each line names its test."""

import ast
import re
from functools import cache

import pytest
from support.paths import ROOT

PAGE = (ROOT / "docs/concepts/trust.md").read_text()
NAMED = re.compile(r"`([a-z_/0-9]+\.py)::(test_\w+)`")
ACTORS = (
    *("user of the same", "analyst", "administrator", "sensor", "worker", "writer of the bucket"),
    *("mirror", "publisher", "network"),
)


def test_every_actor_has_a_part() -> None:
    headings = " ".join(line for line in PAGE.splitlines() if line.startswith("## "))
    assert [actor for actor in ACTORS if actor not in headings] == []


def test_each_line_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    rows = [line for line in rows if not line.startswith(("| ---", "| they |"))]
    assert len(rows) > 40
    unnamed = [line.split("|")[1].strip() for line in rows if not NAMED.search(line)]
    assert unnamed == ["can change everything, and read every key"]


@cache
def _names(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text())
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(each.name for each in ast.walk(tree) if isinstance(each, functions))


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(PAGE))))
def test_what_the_page_names_is_a_test(file: str, name: str) -> None:
    assert name in _names(file)
