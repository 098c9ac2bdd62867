"""Documents as tests read them: headings, tables, code blocks, links."""

import ast
import re
import textwrap
from functools import cache
from pathlib import Path

from support.paths import ROOT

README = ROOT / "README.md"
DOCS = ROOT / "docs"

Rows = list[list[str]]


def pages() -> list[Path]:
    """The documents that readers get: those at the root, the site, the samples' README."""
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "pcaps" / "README.md"])


def without_code(text: str) -> str:
    """A page without its fenced code blocks."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, spelled as GitHub and MkDocs spell them."""
    headings = re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    """The targets of a page's links."""
    return re.findall(r"\]\(([^)\s]+)\)", without_code(text))


def rows(text: str) -> Rows:
    """The cells of all table rows, heads and rules left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = {i for i, row in enumerate(cells) if set("".join(row)) <= set("-: ")}
    return [row for i, row in enumerate(cells) if not {i, i + 1} & rules]


def blocks(language: str, text: str) -> list[str]:
    """The fenced code blocks of a language, with or without a title, also in lists."""
    fence = re.compile(
        rf"^( *)```{language}(?: title=[^\n]*)?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL
    )
    return [textwrap.dedent(found[2]) for found in fence.finditer(text)]


@cache
def functions_of(file: str) -> frozenset[str]:
    """The names of the functions in a file of the tests."""
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(each.name for each in ast.walk(tree) if isinstance(each, functions))
